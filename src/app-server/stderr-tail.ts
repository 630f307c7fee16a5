import { StringDecoder } from 'node:string_decoder';
import { sanitize, sanitizeLine, stripTerminalCodes } from '../system/sanitize.js';
import { LineSplitter } from './line-splitter.js';

/** The length of the text that an error quotes, and of one line of it, in bytes. */
const quotedBytes = 4096;
const summaryLength = 1_000;
/** The length of the text that is kept, in characters: more than is quoted, because sanitizing shortens the text. */
const keptLength = 4 * quotedBytes;

/** The end of what a process writes to stderr, sanitized. */
export type StderrSnapshot = {
	/** At most 4 KiB in UTF-8. */
	stderr: string;
	/** The last line, after the last `Error: …` if that is another line: a cause or an advice (clap) may have followed it. */
	stderrSummary: string;
};

/**
 * Keeps the end of stderr in whole lines, so that no token is cut in two and past recognition; of a line that is longer than
 * all that is kept, the end.
 */
export class StderrTail {
	readonly #splitter: LineSplitter;
	readonly #decoder = new StringDecoder('utf8');
	#text = '';
	#errorLine = '';
	#snapshot: StderrSnapshot | undefined;

	/** @param onFatalLine - is called at each line `Error: …`, as a Rust program writes when its `main` fails. */
	constructor(onFatalLine: () => void) {
		const add = (line: string) => {
			if (!/error:/i.test(line)) return;
			// Colours come although stderr is no terminal (Codex 0.66.0 to 0.169.0).
			const [word] = /^error: /i.exec(stripTerminalCodes(line.slice(0, 100))) ?? [];
			if (word !== undefined) this.#errorLine = line;
			if (word === 'Error: ') onFatalLine();
		};
		this.#splitter = new LineSplitter(quotedBytes, add, add);
	}

	push(chunk: Buffer): void {
		this.#snapshot = undefined;
		this.#text += this.#decoder.write(chunk);
		const excess = this.#text.length - keptLength;
		if (excess > keptLength) {
			const lineStart = this.#text.indexOf('\n', excess) + 1;
			const isShortLine = lineStart > 0 && this.#text.length - lineStart > quotedBytes;
			this.#text = this.#text.slice(isShortLine ? lineStart : excess);
		}
		this.#splitter.push(chunk);
	}

	/** Sanitizes the text once for all callers until more comes. */
	get snapshot(): StderrSnapshot {
		this.#snapshot ??= this.#makeSnapshot();
		return this.#snapshot;
	}

	#makeSnapshot(): StderrSnapshot {
		const text = sanitize(this.#text).trim();
		// The first character may be cut in two.
		const stderr = Buffer.from(text)
			.subarray(-quotedBytes)
			.toString()
			.replace(/^\ufffd+/, '');
		// The frames of a backtrace (`RUST_BACKTRACE`) explain nothing to a user.
		const [message = ''] = stderr.split(/\n\s*Stack backtrace:/);
		const errorLine = sanitize(this.#errorLine).trim();
		const wholeLine = message.slice(message.lastIndexOf('\n') + 1);
		// The gist of an error stands at its start, and that of other text at its end.
		const lastLine = errorLine === '' ? wholeLine.slice(-summaryLength) : wholeLine;
		const words = lastLine.endsWith(errorLine) ? lastLine : `${errorLine} … ${lastLine}`;
		return { stderr, stderrSummary: sanitizeLine(words, summaryLength) };
	}
}
