/**
 * Cuts a stream of bytes into lines at the byte 0x0A and nowhere else, so that a character that is split between two
 * chunks, and U+2028 in a string (`readline` of Node 24 and 26 splits there), stay whole.
 *
 * `onLine` gets each line without its end; `onTooLong` the head of one that is longer than `limit` bytes, once, as
 * soon as that is known; the rest of that line is dropped. Holds at most twice `limit` bytes.
 */
export class LineSplitter {
	readonly #limit: number;
	readonly #onLine: (line: string) => void;
	readonly #onTooLong: (head: string) => void;
	#buffer = Buffer.alloc(0);
	#size = 0;
	#dropping = false;

	constructor(limit: number, onLine: (line: string) => void, onTooLong: (head: string) => void) {
		this.#limit = limit;
		this.#onLine = onLine;
		this.#onTooLong = onTooLong;
	}

	push(chunk: Buffer): void {
		let start = 0;
		for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
			this.#add(chunk.subarray(start, end));
			if (!this.#dropping) this.#onLine(this.#take());
			this.#dropping = false;
			start = end + 1;
		}
		this.#add(chunk.subarray(start));
	}

	/** What has come of a line that has not ended yet. */
	get rest(): string {
		return this.#buffer.toString('utf8', 0, this.#size);
	}

	#add(part: Buffer): void {
		if (this.#dropping) return;
		const size = this.#size + Math.min(part.length, this.#limit - this.#size);
		if (size > this.#buffer.length) {
			// Doubled, so that a line that comes byte by byte costs neither a buffer a byte nor a copy of all a byte.
			const larger = Buffer.alloc(Math.max(size, Math.min(2 * this.#buffer.length, this.#limit)));
			this.#buffer.copy(larger, 0, 0, this.#size);
			this.#buffer = larger;
		}
		const fits = part.copy(this.#buffer, this.#size, 0, size - this.#size);
		this.#size = size;
		if (fits === part.length) return;
		this.#dropping = true;
		this.#onTooLong(this.#take());
	}

	#take(): string {
		const line = this.rest;
		this.#size = 0;
		// A long line's room is given back; that of a short one serves the next.
		if (this.#buffer.length > 65_536) this.#buffer = Buffer.alloc(0);
		return line;
	}
}
