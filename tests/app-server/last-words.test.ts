import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { failureOf, makeDirectory } from '../harness.js';
import { complain, say, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

const failAfter = async (start: string) => {
	const { session } = startSession({ start: `${start}; exit 1` });
	const error = await failureOf(session.listModels());
	return { error, ...session.progress };
};

/** An app-server that writes a text to stderr and ends. */
function failWith(text: string) {
	const file = path.join(makeDirectory(), 'text');
	writeFileSync(file, text);
	return failAfter(`cat ${file} >&2`);
}

test('the last words are those on stderr, or else the last line on stdout that was no message', async () => {
	const banner = `echo first; printf ' \\033[31mno  licence\\033[0m\\tfor sk-0123456789abcdef \\r\\n \\n'`;
	const silent = await failAfter(`${banner}; ${say('{"id":9,"result":1}')}`);
	expect(silent.error.message).toContain(': no licence for [redacted]. ');
	expect(silent.error.stderr).toBe('');
	const both = await failAfter(`${banner}; echo why >&2`);
	expect(both.error.message).toContain(': why. ');
	// Words without a line's end count, too, and half an answer does not.
	for (const act of ['printf why >&2', 'printf why', `echo why; printf '{"id":3,"res'`])
		expect((await failAfter(act)).error.message).toContain(': why. ');
});

test('lines of a log that explain no failure are no last words', async () => {
	const harmless = [
		'WARNING: proceeding, even though we could not update PATH: Permission denied',
		'warning: `x` is deprecated',
		'2026-01-01T00:00:00.123456Z  WARN codex_core: slow',
		'2026-01-01T00:00:00Z INFO codex_core: ready',
		'12:00:00 DEBUG x',
	];
	const after = [...harmless, ''].join('\n');
	const { error } = await failAfter(`${complain(`Error: no home\n${after}`)}`);
	expect(error.message).toContain(': Error: no home. ');
	expect(error.stderr).toContain('WARNING: proceeding');
	const alone = await failAfter(`${complain(after)}`);
	for (const words of ['PATH', 'deprecated', 'codex_core', 'DEBUG'])
		expect(alone.error.message).not.toContain(words);
	const noise = await failAfter(`${complain(after)}; echo on stdout`);
	expect(noise.error.message).toContain(': on stdout. ');
});

test('the text of stderr is kept without the white space around it, terminal codes and control characters', async () => {
	expect(await failWith('\n one\ntwo\n\n')).toMatchObject({ stderr: 'one\ntwo', lastWords: 'two' });
	expect(await failAfter(':')).toMatchObject({ stderr: '', lastWords: '' });
	const coloured =
		'\u001b[2m2026-01-01\u001b[0m \u001b[31mERROR\u001b[0m \u001b]8;;http://a\u0007link\u001b]8;;\u0007\u0008\r\n\tx';
	expect((await failWith(coloured)).stderr).toBe('2026-01-01 ERROR link\n\tx');
	expect((await failWith('one\ufffd two')).stderr).toBe('one\ufffd two');
});

test.each([
	['of many lines', Array.from({ length: 5_000 }, (_, index) => `line ${index}`).join('\n')],
	['with terminal codes', '\u001b[31mx\u001b[0m word\n'.repeat(5_000)],
	['of a long line', 'x '.repeat(3_000)],
	['of a line that is too long to keep', 'x '.repeat(500_000)],
])('4 KiB at most are kept of a text %s, and its end', async (_, text) => {
	const { stderr, lastWords } = await failWith(`${text} LAST WORDS: disk full`);
	expect(Buffer.byteLength(stderr)).toBeLessThanOrEqual(4096);
	expect(Buffer.byteLength(stderr)).toBeGreaterThan(4000);
	expect(stderr).toMatch(/ LAST WORDS: disk full$/);
	expect(lastWords).toMatch(/LAST WORDS: disk full$/);
	expect(lastWords.length).toBeLessThanOrEqual(1_000);
});

test('the 4 KiB are bytes, and no character is cut in two', async () => {
	for (const padding of ['', 'a', 'aa']) {
		const { stderr } = await failWith(`${'€'.repeat(1_300)}\n${'€'.repeat(700)}${padding}`);
		expect(Buffer.byteLength(stderr)).toBeLessThanOrEqual(4096);
		expect(Buffer.byteLength(stderr)).toBeGreaterThan(4090);
		expect(stderr).not.toContain('\ufffd');
	}
});

test.each([
	['character', '\\342\\202', '\\254', '€'],
	['token', 'sk-0123', '456789abcdef', '[redacted]'],
])('a %s that comes in two pieces is read as one', async (_, first, second, whole) => {
	const { session, untilSaid } = startSession({
		initialize: `printf 'up ${first}' >&2`,
		end: `printf '${second}' >&2`,
	});
	const failure = failureOf(session.listModels());
	await untilSaid('up');
	session.process.shutDown('gracefulShutdown');
	expect((await failure).stderr).toBe(`up ${whole}`);
});

test('no part of a token is shown that the 4 KiB cut in two, or the end of what is kept', async () => {
	const secret = `sk-${'0123456789abcdef'.repeat(8)}`;
	const texts = [`${'x\n'.repeat(8_950)}${secret.repeat(4)}\n${'\u001b[1m'.repeat(4_000)}end`];
	for (let length = 3_950; length < 4_110; length += 7)
		texts.push(`${secret} ${'x'.repeat(20)}\n${'y'.repeat(length)}\nend`);
	for (const text of texts) expect((await failWith(text)).stderr).not.toMatch(/[0-9a-f]{10}/);
});

test.each([
	['the last line', 'one\n  two\n\n', 'two'],
	['no blank line', 'one\n\nINFO two', 'one'],
	[
		'a line with the name of a level in it',
		'one\ndisk full, see the INFO above',
		'disk full, see the INFO above',
	],
	['no error of long ago', `start\nError: no home\n${'one\n'.repeat(10_000)}two`, 'two'],
	[
		'an error, without the backtrace after it',
		'start\n  Error: no home  \n\n  Stack backtrace:\n   0: std\n',
		'Error: no home',
	],
	[
		"an error of the launcher, without Node's frames after it",
		'Error: no program\n    at run (/h/codex.js:98:9)\n    at async run (node:internal:117:5)\n\nNode.js v20.20.2\n',
		'Error: no program',
	],
	[
		'an error and the last line after it',
		'Error: no\nError: no home\nsee the log',
		'Error: no home … see the log',
	],
	[
		'an error in any spelling',
		'\u001b[1merror: \u001b[0mlast key sk-0123456789abcdef\n\nTry --help.\n',
		'error: last key [redacted] … Try --help.',
	],
	[
		'no line in which an error stands elsewhere',
		'error: no\nan error: later\nlast',
		'error: no … last',
	],
	['an error once, where it is the last line', 'start\nError: no home\n', 'Error: no home'],
])('the last words are %s', async (_, text, lastWords) => {
	expect((await failWith(text)).lastWords).toBe(lastWords);
});
