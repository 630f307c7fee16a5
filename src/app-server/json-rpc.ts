import { isObject } from '../api/codex-model.js';

/** The longest line, in characters of a byte at least; a list of 12 models takes 14 KB (Codex 0.169.0). */
const maxLineLength = 8 * 1024 * 1024;

const refusal = { code: -32601, message: 'This client only lists models.' };

type Answer = { result?: unknown; error?: unknown };

type Pending = { resolve(answer: Answer): void; reject(error: unknown): void };

type Listeners = {
	write(line: string): void;
	onNotification(method: string, params: Record<string, unknown>): void;
	/** Makes the error for a line that must not be read. */
	toError(problem: string): unknown;
};

export type JsonRpcClient = ReturnType<typeof createJsonRpcClient>;

/** The client of newline-delimited JSON-RPC 2.0 without the `jsonrpc` member. */
export function createJsonRpcClient({ write, onNotification, toError }: Listeners) {
	const pending = new Map<unknown, Pending>();
	let lastId = 0;
	let lastNoise = '';
	let makeError: (() => unknown) | undefined;
	function take(id: unknown): Pending | undefined {
		const request = pending.get(id);
		pending.delete(id);
		return request;
	}

	function close(makeErrorOfClose: () => unknown): void {
		makeError ??= makeErrorOfClose;
		for (const { reject } of pending.values()) reject(makeError());
		pending.clear();
	}

	function onLine(line: string): void {
		const message = parseMessage(line);
		const { id, method, params } = message ?? {};
		if (!message) lastNoise = line.trim() || lastNoise;
		else if (typeof method !== 'string') take(id)?.resolve(message);
		else if (typeof id === 'string' || typeof id === 'number')
			write(JSON.stringify({ id, error: refusal }));
		else if (isObject(params)) onNotification(method, params);
	}

	/** Only the request that a long line answers fails by it. */
	function onLongLine(line: string): void {
		const [, id] = /^\s*\{[^{[]{0,60}?"id"\s*:\s*(\d+)/.exec(line) ?? [];
		const error = toError(`a line is longer than ${maxLineLength} bytes`);
		if (id) take(Number(id))?.reject(error);
		else close(() => error);
	}

	return {
		get isClosed(): boolean {
			return makeError !== undefined;
		},

		/** The last line that was no message, such as the banner of a launcher. */
		get lastNoise(): string {
			return lastNoise;
		},

		push: createLineReader(onLine, onLongLine),

		request(method: string, params: object): Promise<Answer> {
			return new Promise((resolve, reject) => {
				if (makeError) throw makeError();
				lastId += 1;
				pending.set(lastId, { resolve, reject });
				write(JSON.stringify({ id: lastId, method, params }));
			});
		},

		/** Rejects every request, pending and to come, with an error of its own. */
		close,
	};
}

/** Only 0x0A ends a line: `readline` also cuts at U+2028 (Node 24 and 26). The rest of a line that is too long is dropped. */
function createLineReader(onLine: (line: string) => void, onLongLine: (start: string) => void) {
	let line = '';
	let isTooLong = false;

	return (chunk: string): void => {
		for (const [index, piece] of chunk.split('\n').entries()) {
			if (index > 0) {
				if (!isTooLong) onLine(line);
				line = '';
				isTooLong = false;
			}
			if (isTooLong) continue;
			line += piece;
			isTooLong = line.length > maxLineLength;
			if (isTooLong) onLongLine(line);
		}
	};
}

/** The message of a line; `undefined` for noise. */
function parseMessage(line: string): Record<string, unknown> | undefined {
	try {
		const message = JSON.parse(line);
		return isObject(message) ? message : undefined;
	} catch {
		return undefined;
	}
}
