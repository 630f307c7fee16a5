import { expect, test } from 'vitest';
import { redact, redactJson } from '../src/redact.js';

const jwt = 'eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0.c2lnbmF0dXJl';

/** Each secret here is, or holds, the word "opaque", a JWT, or one of these. */
const told = /opaque|abcdefgh|0123456789abcdef|eyJ|dXNlcjp|abc123|zZ9/;

test.each([
	['an API key', 'key sk-abcdefghijklmnop12345 used', 'key [redacted] used'],
	['a short API key', 'key sk-opaque used', 'key [redacted] used'],
	['a project key', 'sk-proj-AbC_dEf-0123456789abcdef', '[redacted]'],
	['a key of a service account', 'sk-svcacct-abcdefgh_0123', '[redacted]'],
	['a key in quotes', "Incorrect API key provided: 'sk-abcdefgh'.", "Incorrect API key provided: '[redacted]'."],
	['a key that is shown in part', 'Incorrect API key provided: sk-abcde***fgh1.', 'provided: [redacted]'],
	['a key in a path', 'GET /keys/sk-abcdefgh0123/info', 'GET /keys/[redacted]/info'],
	['a session key', 'sess-0123456789abcdef', '[redacted]'],
	['a JWT', `id_token ${jwt}.`, 'id_token [redacted]'],
	['a JWT that is cut off', jwt.slice(0, 30), '[redacted]'],
	['a refresh token of OpenAI', 'refresh token rt_abcdefghijk.lmn was used', 'refresh token [redacted]'],
	['a token of GitHub', 'ghp_abcdefgh0123456789abcdef', '[redacted]'],
	['a fine-grained token of GitHub', 'github_pat_11ABC_abcdefgh0123', '[redacted]'],
	['a key of Google', 'AIzaSyabcdefgh0123456789abcdef', '[redacted]'],
	['a key of Stripe', 'sk_live_abcdefgh0123', '[redacted]'],
	['a key of Slack', 'xoxb-0123456789abcdef', '[redacted]'],
	['a bearer value', 'Authorization: Bearer abc123.def-456_ghi', 'Bearer [redacted]'],
	['a bearer value in lower case', 'bearer abcdefghijklmnopqrstuvwx', 'bearer [redacted]'],
	['a short bearer value', 'Bearer opaque-1', 'Bearer [redacted]'],
	['a bearer value after a colon', 'Bearer: opaque-1', 'Bearer: [redacted]'],
	['a bearer value after an equals sign', 'bearer=opaque', 'bearer=[redacted]'],
	['a header with a bearer value of letters', 'authorization: bearer opaque', 'bearer [redacted]'],
	['a header of the scheme Token', 'Authorization: Token opaque', 'Token [redacted]'],
	['a header in JSON', '{"authorization":"Bearer opaque"}', '"authorization":"[redacted]"'],
	['basic credentials', 'authorization: basic dXNlcjpwYXNzd29yZDEyMw==', 'basic [redacted]'],
	['a refresh token in JSON', '{"refresh_token":"opaque-value"}', '{"refresh_token":"[redacted]"}'],
	['an access token in JSON in a string', '{\\"access_token\\": \\"opaque\\"}', '\\"[redacted]\\"'],
	['a token in an assignment', 'refresh_token=opaque', 'refresh_token=[redacted]'],
	['a name in camel case', '{ accessToken: "opaque" }', 'accessToken: "[redacted]"'],
	['what Rust prints of an option', 'token: Some("opaque0")', 'token: Some("[redacted]")'],
	['what Rust prints of a string in it', 'access_token: Some(Secret("opaque"))', 'Some(Secret("[redacted]"))'],
	['an option without quotes', 'access_token: Some(opaque)', 'access_token: Some([redacted])'],
	['an object below a secret name', '"access_token": {"raw": "opaque", "n": 1}', '"access_token": [redacted]'],
	['a phrase', 'access token: opaque-0123456789', 'access token: [redacted]'],
	['a token in an address', 'https://h/cb?code=opaque&access_token=opaque&x=1', '?code=[redacted]&access_token=[redacted]&x=1'],
	['a key in an address', 'https://h/v1?key=opaque&x=1', '?key=[redacted]&x=1'],
	['a password in an address', 'proxy http://user:opaque@host:8080/', 'http://[redacted]@host:8080/'],
	['a password with an @', 'https://user:a@opaque@h/', 'https://[redacted]@h/'],
	['a token in an address', 'https://abcdefgh0123456789@github.com/a', 'https://[redacted]@github.com/a'],
	['an environment variable', 'OPENAI_API_KEY=opaque-value', 'OPENAI_API_KEY=[redacted]'],
	['a variable in quotes', 'export CODEX_API_KEY="opaque value"', 'CODEX_API_KEY="[redacted]"'],
	['a header with a key', 'x-api-key: opaque', 'x-api-key: [redacted]'],
	['a client secret', 'client_secret=opaque', 'client_secret=[redacted]'],
	['a password with a comma', 'password="a,opaque"', 'password="[redacted]"'],
	['a password of digits', 'password=0123456789abcdef', 'password=[redacted]'],
	['an argument', 'codex --api-key opaque run', '--api-key [redacted] run'],
	['an argument with an equals sign', '--token=opaque', '--token=[redacted]'],
	['an argument for a token', 'mcp --bearer-token opaque', '--bearer-token [redacted]'],
	['a code verifier', 'code_verifier=opaque', 'code_verifier=[redacted]'],
	['a private key', '-----BEGIN RSA PRIVATE KEY-----\nopaque\nabcdefgh\n-----END RSA PRIVATE KEY-----\nx', '[redacted]\nx'],
])('redacts %s', (_, text, expected) => {
	const result = redact(text);
	expect(result).toContain(expected);
	expect(result).not.toMatch(told);
});

test('redacts every one of several', () => {
	expect(redact(`a sk-aaaaaaaa b sk-bbbbbbbb c ${jwt} d ${jwt}`)).toBe('a [redacted] b [redacted] c [redacted] d [redacted]');
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
	'basic auth failed',
	'OPENAI_API_KEY: not found',
	'api_key: not set',
	'refresh_token: null',
	'access_token: expired',
	'{"access_token": null, "refresh_token": ""}',
	'unexpected token: gpt-5.1',
	'unexpected token: `gpt-5.1-codex-max`, expected identifier',
	'https://auth.openai.com/oauth/token: 401',
	'Failed to refresh token: 401 Unauthorized',
	'Failed to refresh token: error sending request for url (https://auth.openai.com/oauth/token)',
	'Failed to refresh token: Your access token could not be refreshed because it was revoked',
	'/home/sk-developer/.codex/config.toml',
	'ssh://git@github.com/openai/codex',
	'https://user@h/',
	'max_tokens=4096, token_count: 123, input tokens: 12345, max_token: 4096',
	'gpt-5.1-codex-mini, o3, o4-mini-high and codex-mini-latest of codex-cli 0.169.0',
	'model_provider "nope" not found at codex-rs/core/src/config/mod.rs:1034:17',
	'550e8400-e29b-41d4-a716-446655440000 at 2026-01-01T00:00:00.123456Z',
	'@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex',
	'C:\\Users\\sk-user\\AppData\\Roaming\\npm\\codex.cmd',
	'da39a3ee5e6b4b0d3255bfef95601890afd80709',
	'tokenizer: o200k_base, token_endpoint: https://auth.openai.com',
])('leaves alone: %s', (text) => {
	expect(redact(text)).toBe(text);
});

test('says nothing more of what it has redacted', () => {
	const texts = [`Bearer ${jwt}`, 'refresh_token="opaque"', 'token: Some("opaque0")', '--api-key opaque', 'Bearer: opaque-1'];
	for (const text of texts) expect(redact(redact(text))).toBe(redact(text));
});

test('does not take long over a long text', () => {
	const texts = [
		...[
			'sk-',
			'/sk-',
			'eyJ',
			'bearer ',
			'token=',
			'token: ',
			'a.',
			'a:',
			'https://',
			'https://a:',
			'"',
			'\\"',
			'api_key',
			'a-',
			'--',
		],
		...['token=Some(', 'password="', 'secret {', '-----BEGIN PRIVATE KEY-----', ' ', '--token ', 'authorization: '],
	];
	const startedAt = performance.now();
	for (const text of texts) redact(text.repeat(131_072 / text.length));
	// An expression that backtracks needs more for a single one of them.
	expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test('redacts the strings in a JSON value, with their keys in mind, and keeps the rest', () => {
	const data = {
		reason: 'cloudConfigBundle',
		attempts: 3,
		isFinal: true,
		none: null,
		refresh_token: 'opaque',
		id_token: null,
		access_token: { raw: 'opaque', parts: ['opaque', { part: 'opaque' }] },
		nested: [{ detail: 'sk-abcdefghijk', apiKey: 'opaque' }, jwt],
		token: 'expired',
	};
	const before = structuredClone(data);
	const result = redactJson(data);
	expect(result).toEqual({
		reason: 'cloudConfigBundle',
		attempts: 3,
		isFinal: true,
		none: null,
		refresh_token: '[redacted]',
		id_token: null,
		access_token: { raw: '[redacted]', parts: ['[redacted]', { part: '[redacted]' }] },
		nested: [{ detail: '[redacted]', apiKey: '[redacted]' }, '[redacted]'],
		token: 'expired',
	});
	expect(data).toEqual(before);
});

test('gives undefined for no value at all', () => {
	expect(redactJson(undefined)).toBeUndefined();
});
