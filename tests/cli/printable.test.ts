import { expect, test } from 'vitest';
import { toPrintable, toPrintableJson } from '../../src/cli/terminal.js';

test.each([
	['a colour', 'a\u001b[31mb\u001b[0mc', 'abc'],
	['a cursor movement of C1', 'a\u009b2Jb', 'ab'],
	['a window title', 'a\u001b]0;title\u0007b', 'ab'],
	['a link', '\u001b]8;;https://example.com\u001b\\text\u001b]8;;\u001b\\', 'text'],
	['a device control string', 'a\u001bPq#0\u001b\\b', 'ab'],
	['a reset', 'a\u001bcb', 'ab'],
	['a character set', 'a\u001b(0b', 'ab'],
	['the start of a sequence without its end', 'a\u001b', 'a '],
	['a sequence that its removal puts together', 'a\u001b\u001b[0m[31mb', 'a [31mb'],
	['a line feed, a tab and a bell', 'a\nb\tc\u0007d', 'a b c d'],
	['U+2028 and U+2029', 'a\u2028b\u2029c', 'a b c'],
	['bidirectional controls', 'a\u202eb\u2066c\u2069d\u200ee', 'abcde'],
	['invisible characters', 'a\u200bb\u200dc\ufeffd\u00ade\u{e0041}f', 'abcdef'],
])('toPrintable leaves nothing of %s', (_, text, printable) => {
	expect(toPrintable(text)).toBe(printable);
});

test('toPrintable keeps letters of every script, marks and emoji', () => {
	const text = 'Größe 漢字 한글 สวัสดี e\u0301 👍🏽 ❤️ 🇩🇪';
	expect(toPrintable(text)).toBe(text);
});

test('toPrintable reads hostile text of 200,000 characters once', () => {
	// An expression that starts again at each character would take minutes.
	for (const part of [
		'\u001b',
		'\u001b[',
		'\u009d',
		'\u001b]',
		';?',
		'\u001b[;',
		'\u009b0',
		'\u200b',
	]) {
		expect(toPrintable(`\u001b${part.repeat(200_000 / part.length)}`).length).toBeLessThanOrEqual(
			200_001,
		);
	}
});

const hostile =
	'a\u007fb\u0085c\u009bd\u2028e\u2029f\u202eg\u2066h\u200bi\u{e0041}j\nk\u001bl\ud800m"\\n';

test('toPrintableJson keeps the value', () => {
	const value = { [hostile]: [hostile, 1, null, { a: true }], 漢: '👍🏽' };
	expect(JSON.parse(toPrintableJson(value))).toEqual(value);
	expect(toPrintableJson(value)).toContain('"漢": "👍🏽"');
});

test('toPrintableJson escapes what a terminal obeys', () => {
	expect(toPrintableJson(hostile)).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
	expect(toPrintableJson('\u009b\u2028\u202e')).toBe('"\\u009b\\u2028\\u202e"');
	expect(toPrintableJson('\u{e0041}')).toBe('"\\udb40\\udc41"');
});

test('toPrintableJson indents by two spaces', () => {
	expect(toPrintableJson([{ id: 'a' }])).toBe('[\n  {\n    "id": "a"\n  }\n]');
});
