import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';
import { AppServerProcess, type Exit, type Launch, type Loss } from './app-server-process.js';
import {
	type CodexModelsError,
	exitedError,
	type FetchPhase,
	notFoundError,
	protocolError,
	rpcError,
} from './errors.js';
import type { Grace } from './grace.js';
import { LineSplitter } from './line-splitter.js';
import { type CodexModel, parseModels } from './model.js';
import type { ClientInfo } from './options.js';
import { findFile } from './program.js';
import { redact, redactJson } from './redact.js';
import { StderrTail } from './stderr-tail.js';

/** The longest line that is read, in bytes; 3,000 models make one of 1.4 MB (Codex 0.169.0). */
const lineLimit = 8 * 1024 * 1024;
/** What all pages of a list may come to, in characters, so that a hundred of the longest do not fill the memory. */
const listLimit = 4 * lineLimit;
const pageLimit = 100;
/** A model takes 500 bytes of memory and more, and only 11 on the wire; Codex 0.169.0 has 12 models. */
const modelLimit = 100_000;

/**
 * How long an app-server that has written a fatal `Error: …` may take to end after a blank line on its input; the real
 * ones take 2 to 4 ms (0.66.0, 0.115.0).
 */
const lingerMs = 500;

/**
 * How often one that has not answered `initialize` is sent a space. Codex 0.66.0 to 0.115.0 with a bad configuration or home
 * often do not even write their `Error: …`, let alone exit, before one more byte of input comes. In front of a message
 * a space means nothing (tried on 0.66.0 to 0.169.0), and one that is well has mostly answered by then.
 */
const nudgeMs = 300;

const methodNotFound = -32601;

export type AppServerListeners = {
	onConfigWarning?(summary: string, details: string | null): void;
	onExit(exit: Exit & { pid: number; lifetimeMs: number }): void;
};

type Pending = { id: number; resolve(result: unknown): void; reject(error: CodexModelsError): void };

/** What a message can bear of a text, in characters; Codex's own have some hundred. */
const quotedLength = 1_000;

/**
 * On one line, without terminal codes. Cut twice: what is redacted must be short enough for a regular expression, and a
 * token must not be cut in two by the length that is quoted.
 */
const quotable = (text: string) => {
	const clean = redact(stripVTControlCharacters(text.slice(0, 4 * quotedLength))).replaceAll(
		/\p{Cc}+/gu,
		' ',
	);
	return clean.length > quotedLength ? `${clean.slice(0, quotedLength)} …` : clean;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A conversation with one `codex app-server`: newline-delimited JSON-RPC 2.0 without the `jsonrpc` member
 * (https://developers.openai.com/codex/app-server). One request at a time.
 */
export class AppServer {
	readonly #launch: Launch;
	readonly #clientInfo: ClientInfo;
	readonly #listeners: AppServerListeners;
	readonly #startedAt = performance.now();
	readonly #process: AppServerProcess;
	readonly #stderr = new StderrTail(() => this.#onFatalWords());
	#phase: FetchPhase = 'spawn';
	#nextId = 1;
	#pending: Pending | undefined;
	#listLength = 0;
	/** Why no request will be answered any more; made for who asks, and after a whole list nobody does. */
	#failure: (() => CodexModelsError) | undefined;
	#lingerTimer: NodeJS.Timeout | undefined;
	#nudge: NodeJS.Timeout | undefined;

	constructor(launch: Launch, clientInfo: ClientInfo, listeners: AppServerListeners) {
		this.#launch = launch;
		this.#clientInfo = clientInfo;
		this.#listeners = listeners;
		const stdout = new LineSplitter(
			lineLimit,
			(line) => this.#onLine(line),
			() => this.#fail(() => this.#unreadable(`a line is longer than ${lineLimit} bytes`)),
		);
		this.#process = new AppServerProcess(launch, {
			onStdout: (chunk) => {
				if (!this.isLost) stdout.push(chunk);
			},
			onStderr: (chunk) => this.#stderr.push(chunk),
			onLoss: (loss) => this.#onLoss(loss),
			onExit: (exit) => {
				const lifetimeMs = performance.now() - this.#startedAt;
				this.#listeners.onExit({ ...exit, pid: this.#process.pid as number, lifetimeMs });
			},
		});
	}

	/** It will not answer any more. */
	get isLost(): boolean {
		return this.#failure !== undefined;
	}

	/** `undefined` where it could not be started. */
	get pid(): number | undefined {
		return this.#process.pid;
	}

	/** What it was last asked for. */
	get phase(): FetchPhase {
		return this.#phase;
	}

	/** What it wrote to stderr, as far as it is worth quoting. */
	get words(): { stderr: string; lastWords: string } {
		return { stderr: this.#stderr.toString(), lastWords: this.#stderr.lastWords };
	}

	/** Resolves when the process and its group are gone. */
	get gone(): Promise<void> {
		return this.#process.gone;
	}

	/** All models, hidden ones included, from as many pages as there are. May be asked again when it has answered. */
	async listModels(): Promise<CodexModel[]> {
		if (this.#phase === 'spawn') {
			this.#nudge = setInterval(() => this.#process.offer(' '), nudgeMs).unref();
			await this.#request('initialize', { clientInfo: this.#clientInfo, capabilities: null });
			clearInterval(this.#nudge);
			this.#process.write('{"method":"initialized"}');
		}
		const models: CodexModel[] = [];
		const cursors = new Set<string>();
		let cursor: string | undefined;
		this.#listLength = 0;
		do {
			// No `limit`: all come on one page then, and a stalled network costs Codex 5 s a page (0.155.0, 0.169.0).
			const page = this.#readPage(await this.#request('model/list', { includeHidden: true, cursor }));
			for (const model of parseModels(page.data)) models.push(model);
			if (models.length > modelLimit) throw this.#unreadable(`there are more than ${modelLimit} models`);
			cursor = page.nextCursor;
			if (cursor === undefined) break;
			if (cursors.has(cursor)) throw this.#unreadable(`the cursor ${JSON.stringify(cursor)} came twice`);
			cursors.add(cursor);
		} while (cursors.size < pageLimit);
		if (cursor !== undefined) throw this.#unreadable(`there are more than ${pageLimit} pages`);
		return models;
	}

	/** Gives up what is being waited for, with this error, and ends the process. */
	abandon(error: CodexModelsError, grace: Grace): void {
		this.#fail(() => error);
		this.end(grace);
	}

	end(grace: Grace): void {
		this.#process.end(grace);
	}

	get #elapsedMs(): number {
		return performance.now() - this.#startedAt;
	}

	#request(method: Exclude<FetchPhase, 'spawn'>, params: object): Promise<unknown> {
		return new Promise((resolve, reject) => {
			if (this.#failure) {
				reject(this.#failure());
				return;
			}
			this.#phase = method;
			const id = this.#nextId++;
			this.#pending = { id, resolve, reject };
			this.#process.write(JSON.stringify({ id, method, params }));
		});
	}

	#readPage(result: unknown): { data: unknown[]; nextCursor: string | undefined } {
		if (!isObject(result)) throw this.#unreadable('its result is no object');
		const { data, nextCursor } = result;
		if (!Array.isArray(data)) throw this.#unreadable('its result has no array "data"');
		if (nextCursor === undefined || nextCursor === null || nextCursor === '') {
			return { data, nextCursor: undefined };
		}
		if (typeof nextCursor !== 'string')
			throw this.#unreadable('its "nextCursor" is neither a string nor null');
		return { data, nextCursor };
	}

	/** Skips whatever is neither an answer that is waited for nor a request: a launcher's banner, other notifications. */
	#onLine(line: string): void {
		// Most noise is told without an error, which costs 50 times as much as a line is worth.
		const text = line.trim();
		if (!text.startsWith('{') || !text.endsWith('}')) return;
		let message: unknown;
		try {
			message = JSON.parse(text);
		} catch {
			return;
		}
		if (!isObject(message)) return;
		try {
			if (typeof message.method === 'string') this.#onCall(message);
			else if (this.#pending && message.id === this.#pending.id) this.#onAnswer(message, line.length);
		} catch {
			// JSON that nests deeper than the stack can be parsed, and not written again (Node 20): no reason for the host to end.
			this.#fail(() => this.#unreadable('it holds what cannot be handled'));
		}
	}

	#onCall({ id, method, params }: Record<string, unknown>): void {
		if (typeof id === 'string' || typeof id === 'number') {
			const error = { code: methodNotFound, message: 'This client only lists models.' };
			this.#process.offer(`${JSON.stringify({ id, error })}\n`);
		} else if (method === 'configWarning' && isObject(params) && typeof params.summary === 'string') {
			const { summary, details } = params;
			this.#listeners.onConfigWarning?.(
				quotable(summary),
				typeof details === 'string' ? quotable(details) : null,
			);
		}
	}

	#onAnswer({ result, error }: Record<string, unknown>, length: number): void {
		const { resolve, reject } = this.#pending as Pending;
		const failure = error === undefined || error === null ? undefined : this.#readError(error);
		this.#pending = undefined;
		this.#listLength += length;
		if (failure) {
			reject(failure);
		} else if (result === undefined) {
			reject(this.#unreadable('it has neither a result nor an error'));
		} else if (this.#listLength > listLimit) {
			reject(this.#unreadable(`its pages are longer than ${listLimit} characters`));
		} else {
			resolve(result);
		}
	}

	#readError(error: unknown): CodexModelsError {
		if (!isObject(error) || typeof error.code !== 'number') return this.#unreadable('its error has no code');
		return rpcError({
			rpcCode: error.code,
			rpcMessage: typeof error.message === 'string' ? quotable(error.message) : '',
			rpcData: redactJson(error.data),
			phase: this.#phase,
			elapsedMs: this.#elapsedMs,
		});
	}

	#unreadable(problem: string): CodexModelsError {
		return protocolError({ problem, phase: this.#phase, elapsedMs: this.#elapsedMs });
	}

	/**
	 * Codex 0.66.0 to 0.115.0 write why they cannot start, and then wait for one more byte of input before they exit. One
	 * that is well skips the blank line.
	 */
	#onFatalWords(): void {
		if (this.#lingerTimer || this.#failure) return;
		this.#process.offer('\n');
		this.#lingerTimer = setTimeout(() => {
			if (this.#phase === 'initialize') this.#onLoss({ exitCode: null, signal: null });
		}, lingerMs).unref();
	}

	async #onLoss(loss: Loss): Promise<void> {
		clearTimeout(this.#lingerTimer);
		if ('spawnError' in loss) {
			const error = await this.#explainSpawnError(loss.spawnError);
			this.#fail(() => error);
		} else {
			this.#fail(() => this.#exited(loss));
		}
	}

	async #explainSpawnError(cause: NodeJS.ErrnoException): Promise<CodexModelsError> {
		const { command, knownAs = command, args, cwd, env } = this.#launch;
		// Node adds it, for all to see who print the error.
		Object.assign(cause, { spawnargs: [redact(args.join(' '))] });
		const facts = { elapsedMs: this.#elapsedMs, command: knownAs, cause };
		// A missing working directory gives the ENOENT or EACCES of a missing command.
		const cwdIsUsable = await Promise.all([stat(cwd), access(cwd, constants.X_OK)]).then(
			([stats]) => stats.isDirectory(),
			() => false,
		);
		if (!cwdIsUsable) return notFoundError({ ...facts, missingCwd: cwd });
		if (cause.code === 'ENOENT') {
			// What is there, and is not found: a script whose interpreter is missing (Linux), or a program for another libc.
			const isThere = await findFile(command, env).then(
				() => true,
				() => false,
			);
			return notFoundError({ ...facts, isThere });
		}
		if (/^(?:EACCES|EPERM|ENOTDIR|ELOOP|ENAMETOOLONG|ENOEXEC|EISDIR)$/.test(cause.code ?? '')) {
			return notFoundError(facts);
		}
		return this.#exited({ exitCode: null, signal: null }, cause);
	}

	#exited(exit: Exit, cause?: Error): CodexModelsError {
		const { command, knownAs = command, args } = this.#launch;
		return exitedError({
			...exit,
			cause,
			...this.words,
			phase: cause ? 'spawn' : this.#phase,
			elapsedMs: this.#elapsedMs,
			commandLine: quotable([knownAs, ...args].join(' ')),
		});
	}

	#fail(makeError: () => CodexModelsError): void {
		clearInterval(this.#nudge);
		this.#failure ??= makeError;
		this.#pending?.reject(makeError());
		this.#pending = undefined;
	}
}
