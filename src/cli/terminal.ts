import { stripTerminalCodes } from '../system/sanitize.js';
import { clearTimer, setUnrefInterval, setUnrefTimeout } from '../system/timers.js';

type Stream = Pick<NodeJS.WriteStream, 'write'> & { isTTY?: boolean; columns?: number };
type Environment = Record<string, string | undefined>;

/** A waiting line that is shown for less than this only flickers. */
const waitingDelayMs = 200;

/**
 * Whether to write colours. FORCE_COLOR is stronger than NO_COLOR, as in Node; an empty variable counts as none, as
 * https://no-color.org and https://force-color.org say. The `styleText` of Node 20.17 looks at neither.
 */
export function hasColors(stream: { isTTY?: boolean }, env: Environment = process.env): boolean {
	if (env.FORCE_COLOR) return !['0', 'false'].includes(env.FORCE_COLOR);
	return !env.NO_COLOR && stream.isTTY === true && env.TERM !== 'dumb';
}

/** The width to fold lines to; infinite in a pipe, and on a terminal that reports no width. */
export const lineWidth = ({ columns }: { columns?: number }) => columns || Number.POSITIVE_INFINITY;

/**
 * Shows a line that tells how long the wait has lasted: on a terminal, and nothing elsewhere. `clear` makes room for other
 * text; the line comes back within a second.
 */
export function showWaiting(stream: Stream, env: Environment = process.env) {
	if (stream.isTTY !== true || env.TERM === 'dumb') return { clear() {}, stop() {} };
	const startedAt = performance.now();
	let isShown = false;
	const draw = () => {
		const text = `Asking Codex … ${Math.round((performance.now() - startedAt) / 1_000)} s`;
		// A line that is folded by the terminal could not be cleared.
		stream.write(`\r\u001b[K${text.slice(0, lineWidth(stream) - 1)}`);
		isShown = true;
	};
	const clear = () => {
		if (isShown) stream.write('\r\u001b[K');
		isShown = false;
	};
	const timers = [setUnrefTimeout(draw, waitingDelayMs), setUnrefInterval(draw, 1_000)];
	return {
		clear,
		stop() {
			timers.forEach(clearTimer);
			clear();
		},
	};
}

/** The characters that JSON may hold and a terminal may obey: DEL and C1, formats such as U+202E, U+2028 and U+2029. */
const unsafe = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text on one line, without anything that a terminal obeys and without invisible characters. */
export function toPrintable(text: string): string {
	return stripTerminalCodes(text)
		.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
		.replaceAll(/\p{Cf}+/gu, '');
}

/** The value as JSON whose strings are the same, and in which nothing is left that a terminal obeys. */
export function toPrintableJson(value: unknown): string {
	const toEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
	// A character may be two code units, and so two escapes.
	return JSON.stringify(value, null, 2).replaceAll(unsafe, (character) =>
		character.split('').map(toEscape).join(''),
	);
}
