import { expect, test } from 'vitest';
import { sanitize, sanitizeJson, sanitizeLine, toReason } from '../../src/system/sanitize.js';

const jwt = 'eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl';

test.each([
	['key sk-abcdefghijklmnop12345 used', 'key [redacted] used'],
	['sk-proj-AbC_dEf-0123456789abcdef', '[redacted]'],
	["Incorrect API key provided: 'sk-abcde***fgh1'.", "Incorrect API key provided: '[redacted]'."],
	['GET /keys/sk-abcdefgh0123/info', 'GET /keys/[redacted]/info'],
	['sess-0123456789abcdef', '[redacted]'],
	[`id ${jwt}.`, 'id [redacted]'],
	[`id ${jwt.slice(0, 30)} and ${jwt}`, 'id [redacted] and [redacted]'],
	['refresh token rt_abcdefghijk.lmn was used', 'refresh token [redacted] was used'],
	['bearer abcdefghijklmnopqrstuvwx', 'bearer [redacted]'],
	['sent Bearer opaque-1, then', 'sent Bearer [redacted] then'],
	['Bearer token-opaque', 'Bearer [redacted]'],
	['Bearer "opaque"', 'Bearer "[redacted]"'],
	['Authorization: Bearer opaque.def-456_ghi', 'Authorization: [redacted]'],
	['Authorization: ApiKey opaque', 'Authorization: [redacted]'],
	['{"authorization":"Basic opaque="}', '{"authorization":"[redacted]"}'],
	['{"refresh_token":"opaque"}', '{"refresh_token":"[redacted]"}'],
	['{\\"access_token\\": \\"opaque\\"}', '{\\"access_token\\": \\"[redacted]\\"}'],
	['{ accessToken: "opaque" }', '{ accessToken: "[redacted]" }'],
	['OPENAI_API_KEY=opaque x', 'OPENAI_API_KEY=[redacted] x'],
	['x-api-key: opaque', 'x-api-key: [redacted]'],
	['client_secret=opaque', 'client_secret=[redacted]'],
	['password=opaque', 'password=[redacted]'],
	['proxy http://user:opaque@host:8080/', 'proxy http://[redacted]@host:8080/'],
	['https://user:a@opaque@h/', 'https://[redacted]@h/'],
	['sk-\u00adabcdefghijkl', '[redacted]'],
	['sk-01234\u001b[0m56789abcdef', '[redacted]'],
])('%s becomes %s, and a second time, too', (text, expected) => {
	expect(sanitize(text)).toBe(expected);
	expect(sanitize(expected)).not.toContain('opaque');
});

test.each([
	'Error: CODEX_HOME points to "/home/u/.codex", but that path does not exist',
	'Bearer authentication is required',
	'missing bearer token',
	'the token has expired, please log in again',
	'refresh token was already used',
	'desk-lamp, risk-averse and task-force',
	'error sending request for url (https://chatgpt.com/backend-api/codex/models?client_version=0.169.0)',
	'unexpected status 401 Unauthorized: Missing bearer or basic authentication in header',
	'gpt-5.1-codex-mini, o3, o4-mini-high and codex-mini-latest of codex-cli 0.169.0',
	'550e8400-e29b-41d4-a716-446655440000 at 2026-01-01T00:00:00.123456Z',
	'@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex',
	'C:\\Users\\sk-user\\AppData\\Roaming\\npm\\codex.cmd',
])('a text without a secret stays as it is: %s', (text) => {
	expect(sanitize(text)).toBe(text);
});

test('terminal codes, control characters and the controls of a text direction are removed', () => {
	const codes =
		'\u001b[2ma\u001b[0m \u001b]8;;http://x\u0007b\u001b]8;;\u0007 \u009b31mc\u0008\r\u0000\u007f\u202ed\u2066\ufeffe';
	expect(sanitize(codes)).toBe('a b cde');
	expect(sanitize('a\n\tb ü😀')).toBe('a\n\tb ü😀');
});

test('a line has no white space but single blanks, and at most its length', () => {
	expect(sanitizeLine('  a \n\n\tb  ', 10)).toBe('a b');
	expect(sanitizeLine('x'.repeat(11), 10)).toBe('xxxxxxxx …');
	expect(sanitizeLine('x'.repeat(10), 10)).toBe('xxxxxxxxxx');
	const secret = `sk-${'0123456789abcdef'.repeat(9)}`;
	for (let length = 0; length < 40; length++)
		expect(sanitizeLine(`${' a'.repeat(length)} ${secret}`, 40)).not.toContain('0123');
});

test('a reason is the message of an error, or the text of another value', () => {
	expect(toReason(new Error('no\nkey sk-0123456789abcdef'))).toBe('no key [redacted]');
	expect([toReason('text'), toReason(7), toReason(undefined)]).toEqual(['text', '7', 'undefined']);
	for (const value of [Object.create(null), { toString: 1, valueOf: 1 }, Symbol('s')])
		expect(toReason(value)).toEqual(expect.any(String));
	expect(toReason('x'.repeat(1e6)).length).toBeLessThanOrEqual(500);
});

test('the strings in a JSON value are redacted, with their names in mind, and the rest stays', () => {
	const same = {
		reason: 'cloudConfigBundle',
		attempts: 3,
		isFinal: true,
		none: null,
		id_token: null,
	};
	const data = { ...same, nested: [{ detail: 'sk-abcdefghijk', apiKey: 'opaque' }, jwt] };
	const before = structuredClone(data);
	expect(sanitizeJson(data, 10_000)).toEqual({
		...same,
		nested: [{ detail: '[redacted]', apiKey: '[redacted]' }, '[redacted]'],
	});
	expect(data).toEqual(before);
	for (const value of [undefined, null, 7, false, 'text', []])
		expect(sanitizeJson(value, 100)).toEqual(value);
});

test('a JSON value that is long or nests deep becomes a placeholder', () => {
	const nest = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
	const long = ['x'.repeat(101), Array(60).fill(''), { ['x'.repeat(101)]: 1 }, '€'.repeat(50)];
	for (const value of [...long, '"'.repeat(60), nest(5_000), nest(1_000_000)])
		expect(sanitizeJson(value, 100)).toMatch(/^\[omitted: more than 100 bytes of JSON/);
	expect(sanitizeJson('x'.repeat(98), 100)).toBe('x'.repeat(98));
});
