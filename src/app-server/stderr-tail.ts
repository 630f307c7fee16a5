import type { Readable } from 'node:stream';
import { sanitize, sanitizeLine } from '../system/sanitize.js';

/** The length of the text that an error quotes, in bytes, and of its last words. */
const quotedBytes = 4096;
const wordsLength = 1_000;
/** The length of the text that is kept, in characters: more than is quoted, because sanitizing shortens the text. */
const keptLength = 4 * quotedBytes;

/** The line by which Codex says that it answers with the models that are built into it (0.136.0 to 0.171.0). */
const fallback = /^.*failed to refresh available models.*(?=\n)/m;
/** Lines that explain no failure: empty ones, and those of a log. */
const harmless = /^$|^(?:\S*\d{2}:\d{2}\S*\s+)?(?:WARN|INFO|DEBUG|TRACE)/i;

/** The end of what a process writes to stderr. */
export function createStderrTail(stderr: Readable) {
	let text = '';
	const tail = {
		/** The first complaint of Codex that it could not ask its server, as a whole line; '' while there is none. */
		fallbackLine: '',

		/** Sanitized: `stderr` has 4 KiB at most in UTF-8, and `lastWords` is a line that explains a failure, or ''. */
		get snapshot() {
			const clean = sanitize(text).trim();
			// The first character may be cut in two.
			const stderr = Buffer.from(clean)
				.subarray(-quotedBytes)
				.toString()
				.replace(/^\ufffd+/, '');
			return { stderr, lastWords: findLastWords(clean) };
		},
	};

	stderr.setEncoding('utf8').on('data', (chunk: string) => {
		text += chunk;
		tail.fallbackLine ||= fallback.exec(text)?.[0] ?? '';
		const excess = text.length - keptLength;
		// In whole lines, so that no token is cut in two and past recognition.
		if (excess > 0) text = text.slice(text.indexOf('\n', excess) + 1 || excess);
	});
	return tail;
}

/** The last line, after the last `Error: …` if that is another line: a cause or an advice may have followed it (clap). */
function findLastWords(text: string) {
	// The frames of a backtrace (`RUST_BACKTRACE`, the npm launcher) explain nothing to a user.
	const [message = ''] = text.split(/\n\s*Stack backtrace:|\n\s+at .*:\d+:\d+/);
	const telling = message
		.split('\n')
		.map((line) => line.trim())
		.filter((line) => !harmless.test(line));
	const last = telling.at(-1) ?? '';
	const error = telling.findLast((line) => /^error: /i.test(line));
	// The gist of an error stands at its start, and that of other text at its end.
	if (!error) return last.slice(-wordsLength);
	return sanitizeLine(error === last ? error : `${error} … ${last}`, wordsLength);
}
