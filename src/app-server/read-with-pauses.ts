import type { Readable } from 'node:stream';
import { setUnrefTimeout } from '../system/timers.js';

/** The bytes that are handled at once, and the milliseconds that this may go on before the event loop has its turn. */
const sliceBytes = 4 * 1024;
const turnMs = 5;

/**
 * Reads a stream with pauses, however much there is to read. A stream hands over chunk after chunk in one turn of the event
 * loop, and a chunk may be 20,000 lines: the timers that end a flooding process would come seconds late (`yes "" >&2`,
 * Node 20). The timer of a pause is unreferenced, because a flood must not keep the parent process alive either.
 */
export function readWithPauses(stream: Readable, onBytes: (bytes: Buffer) => void): void {
	let spentMs = 0;
	const take = (chunk: Buffer) => {
		for (let start = 0; start < chunk.length; start += sliceBytes) {
			if (spentMs > turnMs) {
				spentMs = 0;
				stream.pause();
				setUnrefTimeout(() => {
					stream.resume();
					take(chunk.subarray(start));
				}, 1);
				return;
			}
			const startedAt = performance.now();
			onBytes(chunk.subarray(start, start + sliceBytes));
			spentMs += performance.now() - startedAt;
		}
	};
	stream.on('data', take);
}
