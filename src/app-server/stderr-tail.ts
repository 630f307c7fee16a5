import { stripVTControlCharacters } from 'node:util';
import { LineSplitter } from './line-splitter.js';
import { redact } from './redact.js';

/** What an error quotes, in bytes. */
const quotedBytes = 4096;
/** Of a longer line only its head is kept, in bytes. */
const lineBytes = 4096;
/** What is remembered, in characters: more than is quoted, for terminal codes and tokens are taken out of it. */
const keptLength = 4 * quotedBytes;

// Colours come although stderr is no terminal (seen with Codex 0.66.0 to 0.169.0).
const clean = (text: string) => stripVTControlCharacters(text).replaceAll(/(?![\n\t])\p{Cc}/gu, '');

/**
 * The last words of a process, whatever it writes: whole lines, so that no token is cut in two and past recognition,
 * and cleaned only when somebody asks.
 */
export class StderrTail {
	#lines: string[] = [];
	#length = 0;
	#errorLine = '';
	readonly #splitter: LineSplitter;

	/** @param onError - called at each line `Error: …`, as a Rust program writes when its `main` fails. */
	constructor(onError: () => void) {
		const add = (line: string) => {
			this.#lines.push(line);
			this.#length += line.length + 1;
			if (this.#length > 2 * keptLength) this.#trim();
			if (!/error: /i.test(line) || !/^error: /i.test(clean(line))) return;
			this.#errorLine = line;
			if (line.includes('Error: ')) onError();
		};
		this.#splitter = new LineSplitter(lineBytes, add, add);
	}

	push(chunk: Buffer): void {
		this.#splitter.push(chunk);
	}

	/** Seldom, and many lines at once: a `shift` of a long array moves all of it. */
	#trim(): void {
		let first = 0;
		while (this.#length > keptLength) this.#length -= (this.#lines[first++] as string).length + 1;
		this.#lines.splice(0, first);
	}

	/**
	 * The words to quote: the last line, after the `Error: …` that a backtrace (`RUST_BACKTRACE`) may have followed, or the
	 * `error: …` about an argument, with its advice (clap).
	 */
	get lastWords(): string {
		const errorLine = redact(clean(this.#errorLine)).trim();
		const lastLine = this.toString().split('\n').at(-1) ?? '';
		return errorLine && errorLine !== lastLine ? `${errorLine} … ${lastLine}` : lastLine;
	}

	/** At most 4 KiB in UTF-8, without terminal codes, tokens and keys as `[redacted]`. */
	toString(): string {
		const text = redact(clean([...this.#lines, this.#splitter.rest].join('\n'))).trim();
		const bytes = Buffer.from(text);
		if (bytes.length <= quotedBytes) return text;
		let start = bytes.length - quotedBytes;
		// Not in the middle of a character: its further bytes are 10xxxxxx.
		while (((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
		return bytes.toString('utf8', start);
	}
}
