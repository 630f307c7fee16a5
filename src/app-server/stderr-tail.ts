import { sanitize, sanitizeLine, stripTerminalCodes } from '../core/sanitize.js';
import { LineSplitter } from './line-splitter.js';

/** The length of the text that an error quotes, in bytes. */
const quotedBytes = 4096;
/** The length of the summary, in characters. */
const summaryLength = 1_000;
/** The length of a line that is kept, in bytes: the head of a longer one. */
const lineBytes = 4096;
/** The length of the lines that are kept, in characters: more than is quoted, because sanitizing shortens them. */
const keptLength = 4 * quotedBytes;

/** The end of what a process writes to stderr, sanitized. */
export type StderrSnapshot = {
	/** At most 4 KiB in UTF-8. */
	stderr: string;
	/**
	 * The lines to quote, as one: the last line, after the last `Error: …`, which a cause or an advice (clap) may have followed.
	 */
	stderrSummary: string;
};

/** Keeps the end of stderr in whole lines, so that no token is cut in two and past recognition. */
export class StderrTail {
	readonly #splitter: LineSplitter;
	#lines: string[] = [];
	#length = 0;
	#errorLine = '';
	#snapshot: StderrSnapshot | undefined;

	/** @param onFatalLine - is called at each line `Error: …`, as a Rust program writes when its `main` fails. */
	constructor(onFatalLine: () => void) {
		const add = (line: string) => {
			this.#lines.push(line);
			this.#length += line.length + 1;
			if (this.#length > 2 * keptLength) this.#trim();
			if (!/error:/i.test(line)) return;
			// Colours come although stderr is no terminal (seen with Codex 0.66.0 to 0.169.0).
			const [word] = /^error: /i.exec(stripTerminalCodes(line.slice(0, 100))) ?? [];
			if (word === undefined) return;
			this.#errorLine = line;
			if (word === 'Error: ') onFatalLine();
		};
		this.#splitter = new LineSplitter(lineBytes, add, add);
	}

	push(chunk: Buffer): void {
		this.#snapshot = undefined;
		this.#splitter.push(chunk);
	}

	/** Sanitizes the text once for all callers until more comes. */
	get snapshot(): StderrSnapshot {
		this.#snapshot ??= this.#makeSnapshot();
		return this.#snapshot;
	}

	/** Many lines at once, because a `shift` of a long array moves all of it. */
	#trim(): void {
		let first = 0;
		while (this.#length > keptLength) this.#length -= (this.#lines[first++] as string).length + 1;
		this.#lines.splice(0, first);
	}

	#makeSnapshot(): StderrSnapshot {
		const stderr = lastBytes(sanitize([...this.#lines, this.#splitter.rest].join('\n')).trim());
		// The frames of a backtrace (`RUST_BACKTRACE`) explain nothing to a user.
		const [message = ''] = stderr.split(/\n\s*Stack backtrace:/);
		const lastLine = message.slice(message.lastIndexOf('\n') + 1);
		const errorLine = sanitize(this.#errorLine).trim();
		const isLast = errorLine === '' || lastLine.endsWith(errorLine);
		return {
			stderr,
			stderrSummary: sanitizeLine(isLast ? lastLine : `${errorLine} … ${lastLine}`, summaryLength),
		};
	}
}

function lastBytes(text: string): string {
	const bytes = Buffer.from(text);
	if (bytes.length <= quotedBytes) return text;
	let start = bytes.length - quotedBytes;
	// Not in the middle of a character: its further bytes are 10xxxxxx.
	while (((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
	return bytes.toString('utf8', start);
}
