import { isObject } from '../api/codex-model.js';
import { LineSplitter } from './line-splitter.js';
import { parseMessage } from './parse-message.js';

/** The longest line, in bytes; a list of 12 models takes 14 KB (Codex 0.169.0). */
const maxLineBytes = 8 * 1024 * 1024;

const methodNotFound = -32601;

/** `length` is that of the line, in characters. */
export type Answer = { result: unknown; error: unknown; length: number };

type Pending = { resolve(answer: Answer): void; reject(error: unknown): void };

type Listeners = {
	/** Sends a line without which the server cannot answer. */
	write(line: string): void;
	/** Sends a line that the server can do without. */
	tryWrite(line: string): void;
	onNotification(method: string, params: Record<string, unknown>): void;
	/** Is called at a line that must not be read. */
	onBadLine(problem: string): void;
};

/** The client of newline-delimited JSON-RPC 2.0 without the `jsonrpc` member. */
export class JsonRpcClient {
	readonly #listeners: Listeners;
	readonly #pending = new Map<unknown, Pending>();
	readonly #splitter: LineSplitter;
	#lastId = 0;
	#makeError: (() => unknown) | undefined;

	constructor(listeners: Listeners) {
		this.#listeners = listeners;
		const onTooLong = () => listeners.onBadLine(`a line is longer than ${maxLineBytes} bytes`);
		this.#splitter = new LineSplitter(maxLineBytes, (line) => this.#onLine(line), onTooLong);
	}

	get isClosed(): boolean {
		return this.#makeError !== undefined;
	}

	/** Takes bytes of the server's output. */
	push(chunk: Buffer): void {
		if (!this.isClosed) this.#splitter.push(chunk);
	}

	request(method: string, params: object): Promise<Answer> {
		return new Promise((resolve, reject) => {
			if (this.#makeError) throw this.#makeError();
			const id = ++this.#lastId;
			this.#pending.set(id, { resolve, reject });
			this.#listeners.write(JSON.stringify({ id, method, params }));
		});
	}

	/** Rejects every request, pending and to come, with an error of its own. */
	close(makeError: () => unknown): void {
		this.#makeError ??= makeError;
		for (const { reject } of this.#pending.values()) reject(this.#makeError());
		this.#pending.clear();
	}

	/** Skips whatever is neither an awaited answer nor a call: the banner of a launcher, an answer that comes twice. */
	#onLine(line: string): void {
		const message = this.isClosed ? undefined : parseMessage(line);
		if (!message) return;
		const { id, method, params, result, error } = message;
		if (typeof method !== 'string') {
			this.#pending.get(id)?.resolve({ result, error, length: line.length });
			this.#pending.delete(id);
		} else if (typeof id === 'string' || typeof id === 'number') {
			const refusal = { code: methodNotFound, message: 'This client only lists models.' };
			this.#listeners.tryWrite(`${JSON.stringify({ id, error: refusal })}\n`);
		} else if (isObject(params)) {
			this.#listeners.onNotification(method, params);
		}
	}
}
