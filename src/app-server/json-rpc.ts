import { isObject } from '../api/codex-model.js';

/** The longest line, in bytes; a list of 12 models takes 14 KB (Codex 0.169.0). */
const maxLineBytes = 8 * 1024 * 1024;

const refusal = { code: -32601, message: 'This client only lists models.' };

export type Answer = { result?: unknown; error?: unknown };

/** An optional request may go without an answer: one that is too long counts as an empty one. */
type Pending = { isOptional: boolean; resolve(answer: Answer): void; reject(error: unknown): void };

type Listeners = {
	write(line: string): void;
	onNotification(method: string, params: Record<string, unknown>): void;
	/** Is called at a line that is no message, such as the banner of a launcher. */
	onNoise(line: string): void;
	/** Is called at a line that must not be read. */
	onBadLine(problem: string): void;
};

/** The client of newline-delimited JSON-RPC 2.0 without the `jsonrpc` member. */
export class JsonRpcClient {
	readonly #listeners: Listeners;
	readonly #pending = new Map<unknown, Pending>();
	/** The parts of the line so far, and their bytes. After `maxLineBytes` the rest of the line is dropped. */
	#parts: Buffer[] = [];
	#size = 0;
	#lastId = 0;
	#makeError: (() => unknown) | undefined;

	constructor(listeners: Listeners) {
		this.#listeners = listeners;
	}

	get isClosed(): boolean {
		return this.#makeError !== undefined;
	}

	/** Takes bytes of the server's output. Only 0x0A ends a line: `readline` also cuts at U+2028 (Node 24 and 26). */
	push(chunk: Buffer): void {
		let start = 0;
		for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
			this.#append(chunk.subarray(start, end));
			const line = Buffer.concat(this.#parts.splice(0)).toString();
			const isWhole = this.#size <= maxLineBytes;
			this.#size = 0;
			if (isWhole && !this.isClosed) this.#onLine(line);
			start = end + 1;
		}
		this.#append(chunk.subarray(start));
	}

	request(method: string, params: object, isOptional = false): Promise<Answer> {
		return new Promise((resolve, reject) => {
			if (this.#makeError) throw this.#makeError();
			const id = ++this.#lastId;
			this.#pending.set(id, { isOptional, resolve, reject });
			this.#listeners.write(JSON.stringify({ id, method, params }));
		});
	}

	/** Rejects every request, pending and to come, with an error of its own. */
	close(makeError: () => unknown): void {
		this.#makeError ??= makeError;
		for (const { reject } of this.#pending.values()) reject(this.#makeError());
		this.#pending.clear();
	}

	#append(part: Buffer): void {
		this.#size += part.length;
		if (this.#size <= maxLineBytes) this.#parts.push(part);
		else if (this.#parts.length > 0) this.#onLongLine(Buffer.concat(this.#parts.splice(0)));
	}

	/** An answer that nothing waits for, or that may be missing, may be of any length. */
	#onLongLine(line: Buffer): void {
		const [, digits] =
			/^\s*\{[^{[]{0,60}?"id"\s*:\s*(\d+)/.exec(line.toString('latin1', 0, 100)) ?? [];
		const isAwaited = this.#pending.get(Number(digits))?.isOptional === false;
		if (digits && !isAwaited) this.#settle(Number(digits), {});
		else this.#listeners.onBadLine(`a line is longer than ${maxLineBytes} bytes`);
	}

	#onLine(line: string): void {
		const message = parseMessage(line.trim());
		const { id, method, params, result, error } = message ?? {};
		if (!message) this.#listeners.onNoise(line);
		else if (typeof method !== 'string') this.#settle(id, { result, error });
		else if (typeof id === 'string' || typeof id === 'number')
			this.#listeners.write(JSON.stringify({ id, error: refusal }));
		else if (isObject(params)) this.#listeners.onNotification(method, params);
	}

	#settle(id: unknown, answer: Answer): void {
		this.#pending.get(id)?.resolve(answer);
		this.#pending.delete(id);
	}
}

/** The message of a line; `undefined` for noise. A comparison of both ends costs a fiftieth of an error of `JSON.parse`. */
function parseMessage(text: string): Record<string, unknown> | undefined {
	if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
