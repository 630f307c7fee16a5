import { expect, test } from 'vitest';
import { redact, redactJson } from '../src/redact.js';

const jwt = 'eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl';

test.each([
	['an API key', 'key sk-abcdefghijklmnop12345 used', 'key [redacted] used'],
	['a project key', 'sk-proj-AbC_dEf-123456789012', '[redacted]'],
	['a session key', 'sess-0123456789abcdef', '[redacted]'],
	['a JWT', `id_token ${jwt}.`, 'id_token [redacted]'],
	['a JWT that is cut off', jwt.slice(0, 30), '[redacted]'],
	['a bearer value', 'Authorization: Bearer abc123.def-456_ghi', 'Bearer [redacted]'],
	['a bearer value in lower case', 'bearer abcdefghijklmnopqrstuvwx', 'bearer [redacted]'],
	['basic credentials', 'authorization: basic dXNlcjpwYXNzd29yZDEyMw==', 'basic [redacted]'],
	['a refresh token in JSON', '{"refresh_token":"rt_opaque-value"}', '{"refresh_token":"[redacted]"}'],
	['an access token in JSON in a string', '{\\"access_token\\": \\"opaque\\"}', '[redacted]'],
	['a token in an address', 'https://h/cb?code=1&access_token=opaque&x=1', 'access_token=[redacted]&x=1'],
	['a password in an address', 'proxy http://user:secret@host:8080/', 'http://[redacted]@host:8080/'],
	['an environment variable', 'OPENAI_API_KEY=opaque-value', 'OPENAI_API_KEY=[redacted]'],
	['a header with a key', 'api-key: opaque', 'api-key: [redacted]'],
	['a client secret', 'client_secret=opaque', 'client_secret=[redacted]'],
])('redacts %s', (_, text, expected) => {
	const result = redact(text);
	expect(result).toContain(expected);
	expect(result).not.toMatch(/opaque|secret@|abcdefgh|0123456789abcdef|eyJ|dXNlcjp|abc123/);
});

test('redacts every one of several', () => {
	expect(redact(`a sk-aaaaaaaa b sk-bbbbbbbb c ${jwt} d ${jwt}`)).toBe(
		'a [redacted] b [redacted] c [redacted] d [redacted]',
	);
});

test.each([
	'Error: CODEX_HOME points to "/home/u/.codex", but that path does not exist',
	'Bearer authentication is required',
	'the token has expired, please log in again',
	'refresh token was already used',
	'desk-lamp, risk-averse and task-force',
	'error sending request for url (https://chatgpt.com/backend-api/codex/models?client_version=0.169.0)',
	'unexpected status 401 Unauthorized: Missing bearer or basic authentication in header',
	'basic auth failed',
])('leaves alone: %s', (text) => {
	expect(redact(text)).toBe(text);
});

test('says nothing more of what it has redacted', () => {
	expect(redact(redact(`Bearer ${jwt}`))).toBe('Bearer [redacted]');
});

test('does not take long over a long text', () => {
	const texts = ['sk-', 'eyJ', 'bearer ', 'token=', 'a.', 'https://', '"', 'api_key'];
	const startedAt = performance.now();
	for (const text of texts) redact(text.repeat(131_072 / text.length));
	// An expression that backtracks needs more for a single one of them.
	expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test('redacts the strings in a JSON value, with their keys in mind, and keeps the rest', () => {
	const data = {
		reason: 'cloudConfigBundle',
		attempts: 3,
		isFinal: true,
		none: null,
		refresh_token: 'opaque',
		nested: [{ detail: 'sk-abcdefghijk', apiKey: 'opaque' }, jwt],
	};
	const before = structuredClone(data);
	const result = redactJson(data);
	expect(result).toMatchObject({
		reason: 'cloudConfigBundle',
		attempts: 3,
		isFinal: true,
		none: null,
		nested: [{ detail: '[redacted]' }, '[redacted]'],
	});
	expect(JSON.stringify(result)).not.toMatch(/opaque|abcdefghijk|eyJ/);
	expect(data).toEqual(before);
});

test('gives undefined for no value at all', () => {
	expect(redactJson(undefined)).toBeUndefined();
});
