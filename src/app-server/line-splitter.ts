/** The largest buffer that is kept for the next line, in bytes. */
const reusedBytes = 65_536;

/**
 * Cuts a stream of bytes into lines at the byte 0x0A and nowhere else, so that a character that is split between two
 * chunks stays whole, and U+2028 in a string, too (`readline` of Node 24 and 26 splits there).
 *
 * `onLine` gets each line without its end; `onTooLong` gets the head of a line that is longer than `limit` bytes, once, as
 * soon as the length is known; the rest of that line is dropped. The splitter holds at most twice `limit` bytes.
 */
export class LineSplitter {
	readonly #limit: number;
	readonly #onLine: (line: string) => void;
	readonly #onTooLong: (head: string) => void;
	#buffer = Buffer.alloc(0);
	#size = 0;
	#isDropping = false;

	constructor(limit: number, onLine: (line: string) => void, onTooLong: (head: string) => void) {
		this.#limit = limit;
		this.#onLine = onLine;
		this.#onTooLong = onTooLong;
	}

	push(chunk: Buffer): void {
		let start = 0;
		for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
			this.#append(chunk.subarray(start, end));
			if (!this.#isDropping) this.#onLine(this.#take());
			this.#isDropping = false;
			start = end + 1;
		}
		this.#append(chunk.subarray(start));
	}

	/** The part of a line that has not ended yet. */
	get rest(): string {
		return this.#buffer.toString('utf8', 0, this.#size);
	}

	#append(part: Buffer): void {
		if (this.#isDropping) return;
		const size = this.#size + Math.min(part.length, this.#limit - this.#size);
		if (size > this.#buffer.length) {
			// The buffer doubles, so that a line that comes byte by byte costs no copy of the whole line for each byte.
			const larger = Buffer.alloc(Math.max(size, Math.min(2 * this.#buffer.length, this.#limit)));
			this.#buffer.copy(larger, 0, 0, this.#size);
			this.#buffer = larger;
		}
		const fits = part.copy(this.#buffer, this.#size, 0, size - this.#size);
		this.#size = size;
		if (fits === part.length) return;
		this.#isDropping = true;
		this.#onTooLong(this.#take());
	}

	#take(): string {
		const line = this.rest;
		this.#size = 0;
		if (this.#buffer.length > reusedBytes) this.#buffer = Buffer.alloc(0);
		return line;
	}
}
