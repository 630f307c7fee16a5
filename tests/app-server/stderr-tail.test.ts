import { expect, test } from 'vitest';
import { StderrTail } from '../src/stderr-tail.js';

function tailOf(...chunks: (string | Uint8Array)[]) {
	let errors = 0;
	const tail = new StderrTail(() => errors++);
	for (const chunk of chunks) tail.push(Buffer.from(chunk));
	return { text: tail.toString(), lastWords: tail.lastWords, errors };
}

test('gives what was written, without the white space around it', () => {
	expect(tailOf('\n one\ntwo\n', 'three').text).toBe('one\ntwo\nthree');
});

test('is empty where nothing was written', () => {
	expect(tailOf()).toEqual({ text: '', lastWords: '', errors: 0 });
});

test('takes terminal codes and control characters out', () => {
	const coloured =
		'\u001b[2m2026-01-01\u001b[0m \u001b[31mERROR\u001b[0m \u001b]8;;http://a\u0007link\u001b]8;;\u0007\u0008\r\n\tx';
	expect(tailOf(coloured).text).toBe('2026-01-01 ERROR link\n\tx');
});

test('is at most 4 KiB, and the last of what was written', () => {
	const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}`).join('\n');
	const { text } = tailOf(lines);
	expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
	expect(Buffer.byteLength(text)).toBeGreaterThan(4000);
	expect(lines.endsWith(text)).toBe(true);
});

test('counts the 4 KiB in bytes, and cuts no character in two', () => {
	for (const padding of ['', 'a', 'aa']) {
		const { text } = tailOf(`${'€'.repeat(1_300)}\n`, `${'€'.repeat(700)}${padding}`);
		expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
		expect(Buffer.byteLength(text)).toBeGreaterThan(4090);
		expect(text).not.toContain('\ufffd');
	}
});

test('fills the 4 KiB although terminal codes are taken out of them', () => {
	const { text } = tailOf('\u001b[31mx\u001b[0m word\n'.repeat(2_000));
	expect(Buffer.byteLength(text)).toBeGreaterThan(4000);
});

test('redacts a token wherever the chunks were split', () => {
	const line = 'token is sk-proj-abcdefghijklmnop0123456789 here\n';
	for (let at = 1; at < line.length; at++) {
		expect(tailOf(line.slice(0, at), line.slice(at)).text).toBe('token is [redacted] here');
	}
});

test('shows no part of a token that the 4 KiB cut in two', () => {
	const secret = `sk-${'0123456789abcdef'.repeat(8)}`;
	for (let length = 3_950; length < 4_110; length += 7) {
		const { text } = tailOf(`${secret} ${'x'.repeat(20)}\n`, `${'y'.repeat(length)}\n`, 'end');
		expect(text).not.toMatch(/[0-9a-f]{10}/);
	}
});

test('shows no part of a token in a line that is too long to keep', () => {
	for (let length = 4_060; length < 4_100; length++) {
		expect(tailOf(`${'y'.repeat(length)} sk-0123456789abcdef0123456789abcdef\n`).text).not.toMatch(
			/[0-9a-f]{10}/,
		);
	}
});

test('keeps the head of a line that is too long', () => {
	const { text } = tailOf(`head ${'x'.repeat(100_000)}\nlast`);
	expect(text.endsWith('x\nlast')).toBe(true);
});

test('tells of each line that begins with "Error: ", coloured or not, as soon as it ends', () => {
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

test('takes no other line for a fatal one', () => {
	expect(tailOf('2026 ERROR Error: deep inside\nerror: x\nErrors: 3\n  Error: indented\n').errors).toBe(0);
});

test('has the last line for its last words', () => {
	expect(tailOf('one\ntwo\n\n').lastWords).toBe('two');
});

test('has the line "Error: …" among its last words when a backtrace follows it', () => {
	const { lastWords } = tailOf('start\nError: no home\n\nStack backtrace:\n   0: std\n   1: main\n');
	expect(lastWords).toContain('Error: no home');
	expect(lastWords).toContain('1: main');
	expect(lastWords).not.toContain('\n');
});

test('says the line "Error: …" once when it is the last', () => {
	expect(tailOf('start\nError: no home\n').lastWords).toBe('Error: no home');
});

test('redacts its last words', () => {
	expect(tailOf('Error: bearer sk-abcdefghijk\nat main\n').lastWords).not.toContain('abcdefghijk');
	expect(tailOf('last sk-abcdefghijk').lastWords).not.toContain('abcdefghijk');
});

test('holds little, however much is written', () => {
	const tail = new StderrTail(() => {});
	const lines = Buffer.from(`${'x'.repeat(99)}\n`.repeat(10_000));
	const withoutEnd = Buffer.alloc(1_000_000, 'y');
	const before = process.memoryUsage();
	for (let count = 0; count < 300; count++) tail.push(count % 3 ? lines : withoutEnd);
	const after = process.memoryUsage();
	// 300 MB went in; what the garbage collector has not fetched yet is in this, too.
	expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(
		100_000_000,
	);
	expect(Buffer.byteLength(tail.toString())).toBeLessThanOrEqual(4096);
});
