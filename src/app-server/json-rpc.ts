import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Readable } from 'node:stream';
import { isObject, type Properties, toObject } from '../api/codex-model.js';
import { type At, protocolError } from '../api/errors.js';
import { rpcError } from './failures.js';

/** The longest line, in characters of a byte at least; a list of 12 models takes 14 KB (Codex 0.169.0). */
const maxLineLength = 8 * 1024 * 1024;

const refusal = { code: -32601, message: 'This client only lists models.' };

type Pending = { resolve(answer: Properties): void; reject(error: unknown): void };

/**
 * The client of newline-delimited JSON-RPC 2.0 without the `jsonrpc` member.
 *
 * @param at - is told in errors.
 */
export function createJsonRpcClient(
	{ stdin, stdout }: ChildProcessWithoutNullStreams,
	at: At,
	onNotification: (method: string, params: Properties) => void,
) {
	const pending = new Map<unknown, Pending>();
	let lastId = 0;
	let lastNoise = '';
	let makeError: (() => unknown) | undefined;

	const write = (message: object) => stdin.write(`${JSON.stringify(message)}\n`);

	function close(makeErrorOfClose: () => unknown) {
		makeError ??= makeErrorOfClose;
		for (const { reject } of pending.values()) reject(makeError());
	}

	function onLine(line: string) {
		const message = parse(line);
		const { id, method, params } = toObject(message);
		if (!isObject(message)) lastNoise = line.trim() || lastNoise;
		else if (typeof method !== 'string') pending.get(id)?.resolve(message);
		else if (typeof id === 'string' || typeof id === 'number') write({ id, error: refusal });
		else onNotification(method, toObject(params));
	}

	/** Only the request that a long line answers fails by it. */
	function onLongLine(line: string) {
		const [, id] = /^\s*\{[^{[]{0,60}?"id"\s*:\s*(\d+)/.exec(line) ?? [];
		const error = protocolError({ problem: `a line is longer than ${maxLineLength} bytes`, ...at });
		if (id) pending.get(Number(id))?.reject(error);
		else close(() => error);
	}

	readLines(stdout, onLine, onLongLine);

	return {
		write,
		/** Rejects every request, pending and to come, with an error of its own. */
		close,
		isClosed: () => makeError !== undefined,
		/** The last line that was no message, such as the banner of a launcher. */
		readNoise: () => lastNoise,

		/** Resolves to the result of the answer. */
		async request(method: string, params: object) {
			if (makeError) throw makeError();
			lastId += 1;
			const id = lastId;
			write({ id, method, params });
			const { result, error } = await new Promise<Properties>((resolve, reject) =>
				pending.set(id, { resolve, reject }),
			);
			pending.delete(id);
			if (error) throw rpcError(error, at);
			if (result !== undefined) return result;
			throw protocolError({ problem: 'it has neither a result nor an error', ...at });
		},
	};
}

/** Only 0x0A ends a line: `readline` also cuts at U+2028 (Node 24 and 26). The rest of a line that is too long is dropped. */
function readLines(
	stdout: Readable,
	onLine: (line: string) => void,
	onLongLine: (start: string) => void,
) {
	let line = '';
	stdout.setEncoding('utf8').on('data', (chunk: string) => {
		for (const [index, piece] of chunk.split('\n').entries()) {
			if (index > 0) {
				if (line.length <= maxLineLength) onLine(line);
				line = '';
			}
			if (line.length > maxLineLength) continue;
			line += piece;
			if (line.length > maxLineLength) onLongLine(line);
		}
	});
	// Last words may have no line feed; half an answer is none.
	stdout.on('end', () => line.startsWith('{') || onLine(line));
}

function parse(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}
