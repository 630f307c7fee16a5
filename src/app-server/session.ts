import { type CodexConfiguredModel, isObject, unknownConfiguredModel } from '../api/codex-model.js';
import type { CodexModelsError, FetchPhase, FetchProgress } from '../api/errors.js';
import { exitedError, notFoundError, protocolError, rpcError } from '../api/errors.js';
import type { ModelListAnswer } from '../api/fetch.js';
import type { ClientInfo } from '../api/options.js';
import { parseConfiguredModel } from '../api/parse-models.js';
import { sanitizeJson, sanitizeLine } from '../system/sanitize.js';
import { clearTimer, setUnrefInterval, setUnrefTimeout, sleep } from '../system/timers.js';
import { type Answer, JsonRpcClient } from './json-rpc.js';
import { ModelListPages } from './model-list-pages.js';
import {
	type Disconnect,
	type Exit,
	ProcessSupervisor,
	type SpawnSpec,
} from './process-supervisor.js';
import type { ProcessTimings, ShutdownKind } from './shutdown.js';
import { StderrTail } from './stderr-tail.js';

/** The largest `data` of a JSON-RPC error, in bytes of JSON. */
const maxErrorDataBytes = 16 * 1024;
/** The longest text of a warning, in characters; those of Codex 0.169.0 have 300. */
const maxWarningLength = 1_000;

/**
 * The interval of the wake-up bytes that an app-server gets until it answers `initialize`, in milliseconds. Codex 0.66.0 to
 * 0.115.0 with a bad configuration or home often neither exit nor write their `Error: …` before one more byte of input
 * comes. A space in front of a message means nothing (0.66.0 to 0.169.0).
 */
const wakeUpMs = 150;
/** The time to end after a fatal `Error: …` and a line feed, in milliseconds; 0.66.0 and 0.115.0 take 2 to 4. */
const fatalToExitMs = 500;

/**
 * The wait for the answer to `config/read` when the list is complete, in milliseconds: the answer comes 1 to 7 ms after the
 * list (Codex 0.136.0 to 0.169.0), and up to 120 ms after it on a busy machine, where the list takes ten times as long, too.
 */
const configuredGraceMs = (elapsedMs: number) => Math.min(150, Math.max(50, elapsedMs / 4));

export type SessionSpec = SpawnSpec & {
	/** The command as the user knows it, where another file is started in its place. */
	displayCommand: string;
	clientInfo: ClientInfo;
	onConfigWarning(summary: string, details: string | null): void;
};

/** A conversation with one `codex app-server` (https://developers.openai.com/codex/app-server). One list at a time. */
export class AppServerSession {
	readonly #spec: SessionSpec;
	readonly #process: ProcessSupervisor;
	readonly #rpc: JsonRpcClient;
	readonly #stderr = new StderrTail(() => this.#onFatalLine());
	#startedAt = performance.now();
	#phase: FetchPhase = 'spawn';
	#hasFatalLine = false;
	#wakeUpTimer: NodeJS.Timeout | undefined;

	constructor(spec: SessionSpec, timings?: ProcessTimings) {
		this.#spec = spec;
		this.#rpc = new JsonRpcClient({
			write: (line) => this.#process.write(line),
			tryWrite: (line) => this.#process.tryWrite(line),
			onNotification: (method, params) => this.#onNotification(method, params),
			onBadLine: (problem) => this.#close(() => this.#protocolError(problem)),
		});
		const listeners = {
			onStdout: (chunk: Buffer) => this.#rpc.push(chunk),
			onStderr: (chunk: Buffer) => this.#stderr.push(chunk),
			onDisconnect: (disconnect: Disconnect) => this.#onDisconnect(disconnect),
		};
		this.#process = new ProcessSupervisor(spec, listeners, timings);
	}

	/** Whether the app-server will not answer any more. */
	get isClosed(): boolean {
		return this.#rpc.isClosed;
	}

	/** `undefined` where the app-server could not be started. */
	get pid(): number | undefined {
		return this.#process.pid;
	}

	get progress(): FetchProgress {
		return { phase: this.#phase, ...this.#stderr.snapshot };
	}

	/** Resolves when the process and its group are gone; with `undefined` if none was started. */
	get exited(): Promise<Exit | undefined> {
		return this.#process.exited;
	}

	shutDown(kind: ShutdownKind): void {
		this.#process.shutDown(kind);
	}

	/** Fetches all models, hidden ones included, and the configured one. May be called again after an answer. */
	async listModels(): Promise<ModelListAnswer> {
		this.#startedAt = performance.now();
		if (this.#phase === 'spawn') await this.#initialize();
		const pages = new ModelListPages();
		let configured: Promise<CodexConfiguredModel> | undefined;
		do {
			// No `limit`: all come on one page then, and a stalled network costs Codex 5 s a page (0.155.0, 0.169.0).
			const answer = this.#request('model/list', { includeHidden: true, cursor: pages.cursor });
			// Behind the first request, because up to 0.115.0 one that is in front delays the list by 4 ms.
			configured ??= this.#readConfiguredModel();
			const { result, length } = await answer;
			const problem = pages.add(result, length);
			if (problem !== undefined) throw this.#protocolError(problem);
		} while (pages.cursor !== undefined);
		const late = sleep(configuredGraceMs(this.#elapsedMs)).then(() => unknownConfiguredModel);
		return { models: pages.models, configured: await Promise.race([configured, late]) };
	}

	async #initialize(): Promise<void> {
		const { clientInfo } = this.#spec;
		this.#wakeUpTimer = setUnrefInterval(() => this.#process.tryWrite(' '), wakeUpMs);
		// That notification carries the name of the machine. A release that does not know the member skips it (0.66.0).
		const capabilities = { optOutNotificationMethods: ['remoteControl/status/changed'] };
		await this.#request('initialize', { clientInfo, capabilities });
		clearTimer(this.#wakeUpTimer);
		this.#process.write('{"method":"initialized"}');
	}

	/** Never rejects. */
	#readConfiguredModel(): Promise<CodexConfiguredModel> {
		const answer = this.#rpc.request('config/read', { includeLayers: false, cwd: this.#spec.cwd });
		return answer
			.then(({ result }) => parseConfiguredModel(result))
			.catch(() => unknownConfiguredModel);
	}

	async #request(method: 'initialize' | 'model/list', params: object): Promise<Answer> {
		this.#phase = method;
		const answer = await this.#rpc.request(method, params);
		const { result, error } = answer;
		if (error !== undefined && error !== null) throw this.#rpcError(error);
		if (result === undefined) throw this.#protocolError('it has neither a result nor an error');
		return answer;
	}

	#onNotification(method: string, { summary, details }: Record<string, unknown>): void {
		if (method !== 'configWarning' || typeof summary !== 'string') return;
		const cleanDetails =
			typeof details === 'string' ? sanitizeLine(details, maxWarningLength) : null;
		this.#spec.onConfigWarning(sanitizeLine(summary, maxWarningLength), cleanDetails);
	}

	/** Codex 0.66.0 to 0.115.0 write why they cannot start, and wait for one more byte. A healthy one skips an empty line. */
	#onFatalLine(): void {
		if (this.#phase !== 'initialize' || this.#hasFatalLine || this.isClosed) return;
		this.#hasFatalLine = true;
		clearTimer(this.#wakeUpTimer);
		this.#process.tryWrite('\n');
		const closeUnlessEnded = () => this.#onDisconnect({ exitCode: null, signal: null });
		this.#wakeUpTimer = setUnrefTimeout(closeUnlessEnded, fatalToExitMs);
	}

	#onDisconnect({ spawnError: cause, ...exit }: Disconnect): void {
		const { displayCommand, args } = this.#spec;
		const explained = cause && explainSpawnError(cause, this.#spec, this.#elapsedMs);
		const commandLine = [displayCommand, ...args].join(' ');
		const phase = cause ? 'spawn' : this.#phase;
		this.#close(
			() =>
				explained ??
				exitedError({ ...exit, ...this.#at, phase, ...this.#stderr.snapshot, commandLine, cause }),
		);
	}

	#close(makeError: () => CodexModelsError): void {
		clearTimer(this.#wakeUpTimer);
		this.#rpc.close(makeError);
	}

	get #elapsedMs(): number {
		return performance.now() - this.#startedAt;
	}

	get #at() {
		return { phase: this.#phase, elapsedMs: this.#elapsedMs };
	}

	#rpcError(error: unknown): CodexModelsError {
		if (!isObject(error) || typeof error.code !== 'number')
			return this.#protocolError('its error has no code');
		const rpcMessage = typeof error.message === 'string' ? error.message : '';
		const rpcData = sanitizeJson(error.data, maxErrorDataBytes);
		return rpcError({ rpcCode: error.code, rpcMessage, rpcData, ...this.#at });
	}

	#protocolError(problem: string): CodexModelsError {
		return protocolError({ problem, ...this.#at });
	}
}

/** The codes of a file that cannot be run; any other failure is one of the system, such as EMFILE or EAGAIN. */
const notExecutableCodes =
	/^(?:EACCES|EPERM|ENOTDIR|ELOOP|ENAMETOOLONG|ENOEXEC|EISDIR|EFTYPE|UNKNOWN)$/;

/** The error for a process that could not be started because of its file; `undefined` for other reasons. */
function explainSpawnError(
	cause: NodeJS.ErrnoException,
	{ displayCommand: command, args }: SessionSpec,
	elapsedMs: number,
) {
	// Node adds the arguments, which are shown to all who print the error.
	Object.assign(cause, { spawnargs: [sanitizeLine(args.join(' '), 1_000)] });
	// The file was there a moment ago: ENOENT stands for a script without its interpreter, or a program for another libc.
	if (cause.code === 'ENOENT')
		return notFoundError({ elapsedMs, command, problem: 'no interpreter', cause });
	if (notExecutableCodes.test(cause.code ?? ''))
		return notFoundError({ elapsedMs, command, problem: 'not executable', cause });
	return undefined;
}
