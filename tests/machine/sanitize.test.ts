import { beforeEach, expect, test, vi } from 'vitest';
import * as module from '../../src/system/sanitize.js';

// Mutation testing leaves out the patterns of a module that is loaded before the test.
let { sanitize, sanitizeJson, sanitizeLine, toReason } = module;
beforeEach(async () => {
	vi.resetModules();
	({ sanitize, sanitizeJson, sanitizeLine, toReason } = await import(
		'../../src/system/sanitize.js'
	));
});

const jwt = 'eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl';

/** Parts of the secrets below. */
const told = /opaque|abcdefgh|0123456789abcdef|eyJ|dXNlcjp|abc123|zZ9/;

test.each([
	['key sk-abcdefghijklmnop12345 used', 'key [redacted] used'],
	['sk-proj-AbC_dEf-0123456789abcdef', '[redacted]'],
	['sk-svcacct-abcdefgh_0123', '[redacted]'],
	["Incorrect API key provided: 'sk-abcdefgh'.", "Incorrect API key provided: '[redacted]'."],
	['provided: sk-abcde***fgh1.', 'provided: [redacted]'],
	['sess-0123456789abcdef', '[redacted]'],
	[`id_token ${jwt}.`, 'id_token [redacted]'],
	[jwt.slice(0, 30), '[redacted]'],
	['refresh token rt_abcdefghijk.lmn was used', 'refresh token [redacted] was used'],
	['Authorization: Bearer abc123.def-456_ghi', 'Authorization: [redacted]'],
	['bearer abcdefghijklmnopqrstuvwx', 'bearer [redacted]'],
	['Bearer "SECRET123abc"', 'Bearer "[redacted]"'],
	['Bearer [SECRETabc]', 'Bearer [redacted]'],
	['sk-\u00adabcdefghijkl', '[redacted]'],
	['Authorization: ApiKey opaque123', 'Authorization: [redacted]'],
	['authorization: bearer opaque', 'authorization: [redacted]'],
	['{"authorization":"Bearer opaque"}', '{"authorization":"[redacted]"}'],
	['authorization: basic dXNlcjpwYXNzd29yZDEyMw==', 'authorization: [redacted]'],
	['{"refresh_token":"opaque-value"}', '{"refresh_token":"[redacted]"}'],
	['{\\"access_token\\": \\"opaque\\"}', '{\\"access_token\\": \\"[redacted]\\"}'],
	['{ accessToken: "opaque" }', '{ accessToken: "[redacted]" }'],
	['access token: opaque-0123456789', 'access token: [redacted]'],
	['https://h/cb?access_token=opaque&x=1', 'https://h/cb?access_token=[redacted]'],
	['proxy http://user:opaque@host:8080/', 'proxy http://[redacted]@host:8080/'],
	['https://user:a@opaque@h/', 'https://[redacted]@h/'],
	['https://opaque@h/', 'https://[redacted]@h/'],
	['proxy-authorization: Negotiate opaque', 'proxy-authorization: [redacted]'],
	['OPENAI_API_KEY=opaque-value', 'OPENAI_API_KEY=[redacted]'],
	['apikey: opaque and more', 'apikey: [redacted] and more'],
	['x-api-key: opaque', 'x-api-key: [redacted]'],
	['--token=opaque', '--token=[redacted]'],
])('%s becomes %s', (text, expected) => {
	expect(sanitize(text)).toBe(expected);
	expect(sanitize(expected)).not.toMatch(told);
});

test.each([
	'Error: CODEX_HOME points to "/home/u/.codex", but that path does not exist',
	'Bearer authentication is required',
	'missing bearer token',
	'Missing bearer authentication.',
	'the token has expired, please log in again',
	'refresh token was already used',
	'desk-lamp, risk-averse and task-force',
	'error sending request for url (https://chatgpt.com/backend-api/codex/models?client_version=0.169.0)',
	'unexpected status 401 Unauthorized: Missing bearer or basic authentication in header',
	'basic auth failed',
	'gpt-5.1-codex-mini, o3, o4-mini-high and codex-mini-latest of codex-cli 0.169.0',
	'model_provider "nope" not found at codex-rs/core/src/config/mod.rs:1034:17',
	'550e8400-e29b-41d4-a716-446655440000 at 2026-01-01T00:00:00.123456Z',
	'@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex',
	'C:\\Users\\sk-user\\AppData\\Roaming\\npm\\codex.cmd',
	'da39a3ee5e6b4b0d3255bfef95601890afd80709',
	'tokenizer: o200k_base, token_endpoint: https://auth.openai.com',
	'max_tokens=4096, token_count: 123, input tokens: 12345',
])('a text without a secret stays as it is: %s', (text) => {
	expect(sanitize(text)).toBe(text);
});

/** Beginnings of secrets and of terminal codes, between bars. */
const repeated =
	'sk-|/sk-|eyJ|bearer |token=|token: |a.|a:|https://|https://a:|://a|basic a.|"|\\"|api_key|a-|--|token=Some(|password="|secret {|-----BEGIN PRIVATE KEY-----| |--token |authorization: |\u001b|\u001b[|\u001b]|\u001b]a\u001b|\u009b0|\u001bP\u0007'.split(
		'|',
	);

test('a long text takes little time, whatever it repeats', () => {
	const startedAt = performance.now();
	for (const text of repeated) sanitize(text.repeat(65_536 / text.length));
	// An expression that backtracks needs more for a single one of them.
	expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test('terminal codes, control characters and the controls of a text direction are removed', () => {
	const codes =
		'\u001b[2ma\u001b[0m \u001b]8;;http://x\u0007b\u001b]8;;\u001b\\ \u009b31mc\u0008\r\u0000\u007f\u202ed\u2066\ufeffe';
	expect(sanitize(codes)).toBe('a b cde');
	expect(sanitize('a\n\tb ü😀')).toBe('a\n\tb ü😀');
	expect(sanitize('\u001b[1;31ma\u001b(B\u001b=b\u001b[?25l')).toBe('ab');
	// A token that a code cuts in two is whole again.
	expect(sanitize('sk-01234\u001b[0m56789abcdef')).toBe('[redacted]');
});

test('a line has no white space but single blanks, and at most its length', () => {
	expect(sanitizeLine('  a \n\n\tb  ', 10)).toBe('a b');
	expect(sanitizeLine('x'.repeat(11), 10)).toBe('xxxxxxxx …');
	expect(sanitizeLine('x'.repeat(10), 10)).toBe('xxxxxxxxxx');
	for (let length = 0; length < 40; length++)
		expect(
			sanitizeLine(`${' a'.repeat(length)} ${'sk-'}${'0123456789abcdef'.repeat(9)}`, 40),
		).not.toMatch(told);
	expect(sanitizeLine('\u001b[31m'.repeat(1e6), 1_000)).toBe('');
});

test('a reason is the message of an error, or the text of another value', () => {
	expect(toReason(new Error('no\nkey sk-0123456789abcdef'))).toBe('no key [redacted]');
	expect([toReason('text'), toReason(7), toReason(undefined)]).toEqual(['text', '7', 'undefined']);
	const throws = () => {
		throw new Error('no');
	};
	const none = 'a value that cannot be shown';
	const strange = [
		Object.create(null),
		{ toString: 1, valueOf: 1 },
		Symbol('s'),
		{ toString: throws },
	];
	expect(strange.map(toReason)).toEqual([none, none, 'Symbol(s)', none]);
	expect(toReason('x'.repeat(1e6))).toHaveLength(500);
});

test('the strings in a JSON value are redacted, with their names in mind, and the rest stays', () => {
	const data = {
		...{ reason: 'cloudConfigBundle', attempts: 3, isFinal: true, none: null, id_token: null },
		refresh_token: 'opaque',
		access_token: { raw: 'sk-opaque', size: 7 },
		nested: [{ detail: 'sk-abcdefghijk', apiKey: 'opaque' }, jwt],
		color: '\u001b[31mred',
	};
	const before = structuredClone(data);
	expect(sanitizeJson(data, 10_000)).toEqual({
		...{ reason: 'cloudConfigBundle', attempts: 3, isFinal: true, none: null, id_token: null },
		...{ refresh_token: '[redacted]', access_token: { raw: '[redacted]', size: 7 }, color: 'red' },
		nested: [{ detail: '[redacted]', apiKey: '[redacted]' }, '[redacted]'],
	});
	expect(data).toEqual(before);
	for (const value of [undefined, null, 7, false, 'text', []])
		expect(sanitizeJson(value, 100)).toEqual(value);
});

test('a JSON value that is long becomes a placeholder', () => {
	const values = ['x'.repeat(101), Array(101).fill(0), { ['x'.repeat(101)]: 1 }, '€'.repeat(50)];
	for (const value of values)
		expect(sanitizeJson(value, 100)).toBe('[omitted: more than 100 bytes of JSON]');
	expect(sanitizeJson('x'.repeat(98), 100)).toBe('x'.repeat(98));
});
