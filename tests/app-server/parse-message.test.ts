import { expect, test } from 'vitest';
import { parseMessage } from '../../src/app-server/parse-message.js';

const omitted = '[omitted: nested too deep]';
const padding = 'x'.repeat(70_000);

test('a message is an object on a line, with white space around it', () => {
	expect(parseMessage(' \t{"id":1,"result":[]}\r')).toEqual({ id: 1, result: [] });
});

test('noise is no message', () => {
	for (const line of [
		'',
		' ',
		'null',
		'[]',
		'[{}]',
		'"{}"',
		'7',
		'{',
		'}',
		'{x}',
		'{} {}',
		'{"a":1',
		`{${padding}}`,
	]) {
		expect(parseMessage(line)).toBeUndefined();
	}
});

test('a long message is read as it is, with brackets and quotes in its strings', () => {
	const deep = JSON.parse('['.repeat(90) + ']'.repeat(90));
	const brackets = '[{'.repeat(200);
	const text = `${brackets}"${brackets}\\"\\\\`;
	const message = {
		id: 1,
		padding,
		deep,
		text,
		[`${brackets}\\`]: { '{[': ['}', ']'] },
		last: deep,
	};
	expect(parseMessage(JSON.stringify(message))).toEqual(message);
});

test('parts of a long message that nest too deep are omitted, and the rest of it stays', () => {
	const deep = '['.repeat(40_000) + ']'.repeat(40_000);
	const message = parseMessage(
		`{"id":1,"error":{"code":-1,"data":${deep},"message":"no"},"last":[1]}`,
	);
	expect(message).toMatchObject({ id: 1, error: { code: -1, message: 'no' }, last: [1] });
	let part = (message as { error: { data: unknown } }).error.data;
	let depth = 0;
	for (; Array.isArray(part); part = part[0]) depth++;
	expect([part, depth < 200]).toEqual([omitted, true]);
});

test('objects that nest too deep are omitted, and what follows each of them stays', () => {
	const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
	const shallow = JSON.parse(`${'{"a":['.repeat(40)}1${']}'.repeat(40)}`);
	const siblings = Array.from({ length: 300 }, () => shallow);
	const message = parseMessage(
		`{"data":[${deep},"[",${deep}],"siblings":${JSON.stringify(siblings)}}`,
	);
	expect(message).toMatchObject({ data: [{ a: { a: {} } }, '[', { a: { a: {} } }], siblings });
	expect(JSON.stringify(message).split(omitted)).toHaveLength(3);
});

test('a long message that is no JSON is noise', () => {
	for (const text of [
		`{"a":${'['.repeat(70_000)}}`,
		`{"${'\\'.repeat(70_001)}"}`,
		`{"a":${']'.repeat(70_000)}}`,
	]) {
		expect(parseMessage(text)).toBeUndefined();
	}
});
