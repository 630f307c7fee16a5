import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineSplitter } from '../../src/app-server/line-splitter.js';

function split(limit: number, chunks: Iterable<Uint8Array>) {
	const lines: string[] = [];
	const heads: string[] = [];
	const splitter = new LineSplitter(
		limit,
		(line) => lines.push(line),
		(head) => heads.push(head),
	);
	for (const chunk of chunks) splitter.push(Buffer.from(chunk));
	const whole = [...lines];
	// A line end brings the line that has no end yet.
	splitter.push(Buffer.from('\n'));
	return { lines: whole, heads, rest: lines[whole.length] ?? '' };
}

test('a splitter cuts at the byte 0x0A and keeps the line that has no end yet', () => {
	expect(split(100, [Buffer.from('a\nb\n\nc')])).toEqual({
		lines: ['a', 'b', ''],
		heads: [],
		rest: 'c',
	});
});

test.each([
	['carriage return', '\r'],
	['line separator', '\u2028'],
	['paragraph separator', '\u2029'],
	['next line', '\u0085'],
	['form feed', '\f'],
	['vertical tab', '\v'],
	['a character with 0x0A in its code', '\u0a0a'],
])('a splitter does not cut at a %s', (_, character) => {
	expect(split(100, [Buffer.from(`a${character}b\n`)]).lines).toEqual([`a${character}b`]);
});

test('the lines are the same wherever the chunks are split', () => {
	const bytes = Buffer.from('{"a":"ä€😀\u2028"}\r\n\nlast 😀\nrest €');
	const whole = split(100, [bytes]);
	expect(whole.lines).toEqual(['{"a":"ä€😀\u2028"}\r', '', 'last 😀']);
	for (let first = 0; first <= bytes.length; first++) {
		for (let second = first; second <= bytes.length; second++) {
			const chunks = [
				bytes.subarray(0, first),
				bytes.subarray(first, second),
				bytes.subarray(second),
			];
			expect(split(100, chunks)).toEqual(whole);
		}
	}
	expect(
		split(
			100,
			Array.from(bytes, (byte) => Buffer.of(byte)),
		),
	).toEqual(whole);
});

test('the lines of any text in any chunks are those of a split of the whole', () => {
	const text = fc.string({ unit: fc.constantFrom('a', '\n', '\r', '€', '😀', '\u2028') });
	const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 });
	fc.assert(
		fc.property(text, sizes, (content, chunkSizes) => {
			const bytes = Buffer.from(content);
			const chunks: Buffer[] = [];
			for (let start = 0, index = 0; start < bytes.length; index++) {
				const size = chunkSizes[index % chunkSizes.length] as number;
				chunks.push(bytes.subarray(start, start + size));
				start += size;
			}
			const expected = content.split('\n');
			const rest = expected.pop();
			expect(split(1_000, chunks)).toEqual({ lines: expected, heads: [], rest });
		}),
	);
});

test('a line may have exactly the limit, and not one byte more', () => {
	expect(split(4, [Buffer.from('abcd\nabcde\nab\n')])).toEqual({
		lines: ['abcd', 'ab'],
		heads: ['abcd'],
		rest: '',
	});
});

test('the limit counts bytes, not characters', () => {
	expect(split(4, [Buffer.from('€a\n€ä\n')])).toMatchObject({
		lines: ['€a'],
		heads: [expect.any(String)],
	});
});

test('a line that is too long is told as soon as that is known, once, and the next one is read', () => {
	const long = split(4, [Buffer.from('abc'), Buffer.from('de')]);
	expect(long).toEqual({ lines: [], heads: ['abcd'], rest: '' });
	const further = split(4, [
		Buffer.from('abcde'),
		Buffer.from('fghijklm'),
		Buffer.from('nop\nnext\n'),
	]);
	expect(further).toEqual({ lines: ['next'], heads: ['abcd'], rest: '' });
});

test('a splitter holds no more than the limit of a line without an end', () => {
	const limit = 1024 * 1024;
	let longestHead = 0;
	const splitter = new LineSplitter(
		limit,
		() => expect.unreachable(),
		(head) => {
			longestHead = Math.max(longestHead, head.length);
		},
	);
	const chunk = Buffer.alloc(65_536, 'x');
	const before = process.memoryUsage().arrayBuffers;
	let most = 0;
	for (let pushed = 0; pushed < 256 * limit; pushed += chunk.length) {
		splitter.push(chunk);
		most = Math.max(most, process.memoryUsage().arrayBuffers - before);
	}
	expect(longestHead).toBe(limit);
	// Twice the limit, and the garbage that is not collected yet.
	expect(most).toBeLessThan(32 * limit);
});

test('a line stays whole where its chunk is written over afterwards', () => {
	const lines: string[] = [];
	const splitter = new LineSplitter(
		100,
		(line) => lines.push(line),
		() => {},
	);
	const chunk = Buffer.from('abc');
	splitter.push(chunk);
	chunk.fill('x');
	splitter.push(Buffer.from('d\n'));
	expect(lines).toEqual(['abcd']);
});
