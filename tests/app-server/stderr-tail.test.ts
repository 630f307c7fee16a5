import { expect, test, vi } from 'vitest';
import { StderrTail } from '../../src/app-server/stderr-tail.js';

function tailOf(...chunks: (string | Uint8Array)[]) {
	let errors = 0;
	const tail = new StderrTail(() => errors++);
	for (const chunk of chunks) tail.push(Buffer.from(chunk));
	const { stderr, stderrSummary } = tail.snapshot;
	return { stderr, stderrSummary, errors };
}

test('the tail is the text that was written, without the white space around it', () => {
	expect(tailOf('\n one\ntwo\n', 'three').stderr).toBe('one\ntwo\nthree');
});

test('the tail is empty where nothing was written', () => {
	expect(tailOf()).toEqual({ stderr: '', stderrSummary: '', errors: 0 });
});

test('the tail has no terminal codes and control characters', () => {
	const coloured =
		'\u001b[2m2026-01-01\u001b[0m \u001b[31mERROR\u001b[0m \u001b]8;;http://a\u0007link\u001b]8;;\u0007\u0008\r\n\tx';
	expect(tailOf(coloured).stderr).toBe('2026-01-01 ERROR link\n\tx');
});

test('the tail is at most 4 KiB, and the end of the text', () => {
	const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}`).join('\n');
	const { stderr } = tailOf(lines);
	expect(Buffer.byteLength(stderr)).toBeLessThanOrEqual(4096);
	expect(Buffer.byteLength(stderr)).toBeGreaterThan(4000);
	expect(lines.endsWith(stderr)).toBe(true);
});

test.each([6_000, 1_000_000])('the tail of a last line of %d characters is its end', (length) => {
	const { stderr, stderrSummary } = tailOf(
		'first\n',
		`${'x '.repeat(length / 2)}LAST WORDS: disk full`,
	);
	expect(Buffer.byteLength(stderr)).toBe(4096);
	expect(stderr).toMatch(/x LAST WORDS: disk full$/);
	expect(stderrSummary).toMatch(/^x .*x LAST WORDS: disk full$/);
	expect(stderrSummary.length).toBeLessThanOrEqual(1_000);
});

test('the 4 KiB are bytes, and no character is cut in two', () => {
	for (const padding of ['', 'a', 'aa']) {
		const { stderr } = tailOf(`${'€'.repeat(1_300)}\n`, `${'€'.repeat(700)}${padding}`);
		expect(Buffer.byteLength(stderr)).toBeLessThanOrEqual(4096);
		expect(Buffer.byteLength(stderr)).toBeGreaterThan(4090);
		expect(stderr).not.toContain('\ufffd');
	}
});

test('the tail fills the 4 KiB although terminal codes are taken out', () => {
	const { stderr } = tailOf('\u001b[31mx\u001b[0m word\n'.repeat(2_000));
	expect(Buffer.byteLength(stderr)).toBeGreaterThan(4000);
});

test('a token is redacted wherever the chunks were split', () => {
	const line = 'token is sk-proj-abcdefghijklmnop0123456789 here\n';
	for (let at = 1; at < line.length; at++) {
		expect(tailOf(line.slice(0, at), line.slice(at)).stderr).toBe('token is [redacted] here');
	}
});

test('no part of a token that the 4 KiB cut in two is shown', () => {
	const secret = `sk-${'0123456789abcdef'.repeat(8)}`;
	for (let length = 3_950; length < 4_110; length += 7) {
		const { stderr } = tailOf(`${secret} ${'x'.repeat(20)}\n`, `${'y'.repeat(length)}\n`, 'end');
		expect(stderr).not.toMatch(/[0-9a-f]{10}/);
	}
});

test('no part of a token in a line that is too long to keep is shown', () => {
	for (let length = 4_060; length < 4_100; length += 3) {
		expect(
			tailOf(`${'y'.repeat(length)} sk-0123456789abcdef0123456789abcdef\n`).stderr,
		).not.toMatch(/[0-9a-f]{10}/);
	}
});

test('a line that is too long keeps its head', () => {
	const { stderr } = tailOf(`head ${'x'.repeat(100_000)}\nlast`);
	expect(stderr.endsWith('x\nlast')).toBe(true);
});

test('each line that begins with "Error: ", coloured or not, is told as soon as it ends', () => {
	let errors = 0;
	const tail = new StderrTail(() => errors++);
	tail.push(Buffer.from('Err'));
	tail.push(Buffer.from('or: it broke'));
	expect(errors).toBe(0);
	tail.push(Buffer.from('\n'));
	expect(errors).toBe(1);
	tail.push(Buffer.from('\u001b[1mError: \u001b[0magain\n'));
	expect(errors).toBe(2);
});

test('no other line counts as fatal', () => {
	expect(
		tailOf('2026 ERROR Error: deep inside\nerror: x\nErrors: 3\n  Error: indented\n').errors,
	).toBe(0);
});

test('the summary is the last line', () => {
	expect(tailOf('one\ntwo\n\n').stderrSummary).toBe('two');
});

test('the summary is the line "Error: …" when a backtrace follows it', () => {
	const { stderrSummary } = tailOf(
		'start\nError: no home\n\nStack backtrace:\n   0: std\n   1: main\n',
	);
	expect(stderrSummary).toBe('Error: no home');
});

test('the frames of a backtrace are no part of the summary, whatever white space stands before them', () => {
	expect(tailOf('Error: no home\n   \n\t Stack backtrace:\n   0: std').stderrSummary).toBe(
		'Error: no home',
	);
});

test('a line that only begins as the "Error: …" before it is added to the summary', () => {
	expect(tailOf('Error: no\nError: no home\nsee the log').stderrSummary).toBe(
		'Error: no home … see the log',
	);
	expect(tailOf('Error: no  \n  Caused by: Error: no').stderrSummary).toBe('Caused by: Error: no');
	expect(tailOf('error: no\nan error: later\nlast').stderrSummary).toBe('error: no … last');
});

test('a replacement character that the process wrote stays', () => {
	expect(tailOf('one\ufffd two').stderr).toBe('one\ufffd two');
});

test('the summary has the line "Error: …" once when it is the last', () => {
	expect(tailOf('start\nError: no home\n').stderrSummary).toBe('Error: no home');
});

test('the summary is redacted', () => {
	expect(tailOf('Error: bearer sk-abcdefghijk\nat main\n').stderrSummary).not.toContain(
		'abcdefghijk',
	);
	expect(tailOf('last sk-abcdefghijk').stderrSummary).not.toContain('abcdefghijk');
});

test('a tail holds little, however much is written', () => {
	const tail = new StderrTail(() => {});
	const lines = Buffer.from(`${'x'.repeat(99)}\n`.repeat(10_000));
	const withoutEnd = Buffer.alloc(1_000_000, 'y');
	const before = process.memoryUsage();
	for (let count = 0; count < 60; count++) tail.push(count % 3 ? lines : withoutEnd);
	const after = process.memoryUsage();
	// 60 MB went in; the garbage that is not collected yet is in this, too.
	expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(
		100_000_000,
	);
	expect(Buffer.byteLength(tail.snapshot.stderr)).toBeLessThanOrEqual(4096);
});

test('the summary is the last "error: …", in any spelling, and the last line after it', () => {
	const text =
		'Error: first\n\u001b[1merror: \u001b[0mlast key sk-0123456789abcdef\n\nFor more information, try --help.\n';
	expect(tailOf(text).stderrSummary).toBe(
		'error: last key [redacted] … For more information, try --help.',
	);
});

test('the summary is one line of at most 1,000 characters', () => {
	const { stderrSummary } = tailOf(`Error: ${'a '.repeat(1_500)}\nlast`);
	expect(stderrSummary.length).toBeLessThanOrEqual(1_000);
	expect(stderrSummary).toMatch(/^Error: a a .* …$/);
});

test('a snapshot is made once for all callers, until more is written', () => {
	const tail = new StderrTail(() => {});
	tail.push(Buffer.from('one\n'));
	const first = tail.snapshot;
	const replaceAll = vi.spyOn(String.prototype, 'replaceAll');
	for (let count = 0; count < 1_000; count++) expect(tail.snapshot).toBe(first);
	expect(replaceAll).not.toHaveBeenCalled();
	tail.push(Buffer.from('two'));
	expect(tail.snapshot.stderr).toBe('one\ntwo');
});
