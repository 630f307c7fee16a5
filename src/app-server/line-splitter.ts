import { StringDecoder } from 'node:string_decoder';

/**
 * Cuts a stream of bytes into lines at the byte 0x0A only: `readline` also cuts at U+2028 (Node 24 and 26).
 *
 * `onLine` gets each line without its end. `onTooLong` gets the head of a line that is longer than `limit` bytes, as soon as
 * the length is known; the rest of that line is dropped.
 */
export class LineSplitter {
	readonly #limit: number;
	readonly #onLine: (line: string) => void;
	readonly #onTooLong: (head: string) => void;
	readonly #decoder = new StringDecoder('utf8');
	#line = '';
	/** The bytes of the line so far; more than `limit` while its rest is dropped. */
	#size = 0;

	constructor(limit: number, onLine: (line: string) => void, onTooLong: (head: string) => void) {
		this.#limit = limit;
		this.#onLine = onLine;
		this.#onTooLong = onTooLong;
	}

	push(chunk: Buffer): void {
		let start = 0;
		for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
			this.#append(chunk.subarray(start, end));
			const line = this.#line + this.#decoder.end();
			const isWhole = this.#size <= this.#limit;
			this.#line = '';
			this.#size = 0;
			if (isWhole) this.#onLine(line);
			start = end + 1;
		}
		this.#append(chunk.subarray(start));
	}

	#append(part: Buffer): void {
		if (this.#size > this.#limit) return;
		this.#line += this.#decoder.write(part.subarray(0, this.#limit - this.#size));
		this.#size += part.length;
		if (this.#size <= this.#limit) return;
		const head = this.#line;
		this.#line = '';
		this.#onTooLong(head);
	}
}
