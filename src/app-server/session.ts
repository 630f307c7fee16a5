import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Properties, toObject } from '../api/codex-model.js';
import { type At, type FetchProgress, protocolError } from '../api/errors.js';
import {
	type CatalogWarning,
	type FetchRequest,
	type ModelListAnswer,
	maxWarningLength,
	readAnswer,
} from '../api/model-list.js';
import type { ClientInfo } from '../api/options.js';
import { sanitizeLine } from '../system/sanitize.js';
import { sleep } from '../system/timers.js';
import { attendProcess } from './child-process.js';
import { exitedError } from './failures.js';
import { createJsonRpcClient } from './json-rpc.js';
import { createStderrTail } from './stderr-tail.js';

const maxPages = 100;
/** The number of warnings that are told of; Codex 0.171.0 has some three. */
const maxWarnings = 20;
/** The wait for the answer to `config/read` when the list is complete, in milliseconds; it takes 1 to 7 (0.66.0 to 0.171.0). */
const configReadMs = 150;

const builtInWords = 'Codex could not ask its server and lists the models that are built into it';

/** A conversation with one `codex app-server` (https://developers.openai.com/codex/app-server). One list at a time. */
export class AppServerSession {
	readonly process: ReturnType<typeof attendProcess>;
	readonly #request: FetchRequest;
	readonly #clientInfo: ClientInfo;
	readonly #rpc: ReturnType<typeof createJsonRpcClient>;
	readonly #stderr: ReturnType<typeof createStderrTail>;
	readonly #warnings: CatalogWarning[] = [];
	#warningCount = 0;
	readonly #at: At = { phase: 'spawn' };

	/**
	 * @param child - has been started.
	 * @param request - is the first of those that the app-server answers.
	 */
	constructor(
		child: ChildProcessWithoutNullStreams,
		request: FetchRequest,
		clientInfo: ClientInfo,
	) {
		this.#request = request;
		this.#clientInfo = clientInfo;
		this.#rpc = createJsonRpcClient(child, this.#at, this.#onNotification);
		this.#stderr = createStderrTail(child.stderr);
		this.process = attendProcess(child);
		this.process.disconnected.then((exit) =>
			this.#rpc.close(() =>
				exitedError({ ...this.progress, ...this.#at, ...exit, command: request.command }),
			),
		);
	}

	/** Whether the app-server will not answer any more. */
	get isClosed(): boolean {
		return this.#rpc.isClosed();
	}

	get progress(): FetchProgress {
		const { stderr, lastWords } = this.#stderr.snapshot;
		const words = lastWords || sanitizeLine(this.#rpc.readNoise(), maxWarningLength);
		return { phase: this.#at.phase, stderr, lastWords: words };
	}

	/** Fetches all models, hidden ones included, and the configuration. May be called again after an answer. */
	async listModels(): Promise<ModelListAnswer> {
		this.#at.startedAt = performance.now();
		const isFirst = this.#at.phase === 'spawn';
		if (isFirst) {
			this.#at.phase = 'initialize';
			await this.#rpc.request('initialize', { clientInfo: this.#clientInfo });
			this.#rpc.write({ method: 'initialized' });
			this.#at.phase = 'model/list';
		}
		const listing = this.#listPages();
		// Behind the first request, because up to 0.115.0 one that is in front delays the list by 4 ms.
		const reading = this.#rpc
			.request('config/read', { includeLayers: true, cwd: this.#request.target.cwd })
			.catch(() => undefined);
		const models = await listing;
		const listedAt = Date.now();
		const config = await Promise.race([reading, sleep(configReadMs)]);
		// stderr is a pipe of its own: what was written there before the list has been read when the event loop has turned.
		await nextTurn();
		const { fallbackLine } = this.#stderr;
		const warnings = [...this.#warnings];
		// A kept app-server answers from its memory, whatever it complains of later.
		if (isFirst && fallbackLine && !isWrittenAfter(listedAt, fallbackLine))
			warnings.push({ type: 'built-in-list', message: `${builtInWords}: ${fallbackLine}` });
		return readAnswer({ models, config, warnings });
	}

	/** The entries of all pages. */
	async #listPages() {
		let entries: unknown[] = [];
		const cursors: string[] = [];
		for (;;) {
			// No `limit`: all come on one page then, and a stalled network costs Codex 5 s a page (0.155.0, 0.169.0).
			const params = { includeHidden: true, cursor: cursors.at(-1) };
			const { data, nextCursor } = toObject(await this.#rpc.request('model/list', params));
			if (!Array.isArray(data))
				throw this.#protocolError('its result is no object, or has no array "data"');
			entries = entries.concat(data);
			if ((nextCursor ?? '') === '') return entries;
			if (typeof nextCursor !== 'string')
				throw this.#protocolError('its "nextCursor" is neither a string nor null');
			if (cursors.includes(nextCursor))
				throw this.#protocolError(`the cursor "${sanitizeLine(nextCursor, 100)}" came twice`);
			if (cursors.push(nextCursor) === maxPages)
				throw this.#protocolError(`there are more than ${maxPages} pages`);
		}
	}

	readonly #onNotification = (method: string, { summary, details }: Properties) => {
		if (method !== 'configWarning' || typeof summary !== 'string') return;
		if (this.#warningCount === maxWarnings) return;
		this.#warningCount += 1;
		const { emit, target } = this.#request;
		const message = sanitizeLine(summary, maxWarningLength);
		const more = typeof details === 'string' ? sanitizeLine(details, maxWarningLength) : null;
		emit(target, { type: 'config-warning', summary: message, details: more });
		// Other warnings, such as that of a missing bubblewrap, change no list.
		if (/using (?:the )?defaults/i.test(summary))
			this.#warnings.push({ type: 'config-ignored', message: `${message} ${more ?? ''}` });
	};

	#protocolError(problem: string) {
		return protocolError({ problem, ...this.#at });
	}
}

/** A complaint behind the list is about a request that Codex made behind it, and the list is that of the server. */
const isWrittenAfter = (listedAt: number, line: string) =>
	Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)?.[0] ?? '') > listedAt;
