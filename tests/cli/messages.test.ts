import { expect, test } from 'vitest';
import { CodexModelsError, type CodexModelsErrorCode } from '../../src/api/errors.js';
import { describeWarning, explain, formatAge } from '../../src/cli/messages.js';

test.each<[CodexModelsErrorCode, RegExp]>([
	['ERR_CODEX_NOT_FOUND', /^It failed\. .*--codex PATH/],
	['ERR_CODEX_PROTOCOL', /^It failed\. .*--codex PATH/],
	['ERR_CODEX_TIMEOUT', /^It failed\. .*--timeout MS/],
	['ERR_CODEX_EXITED', /^It failed\. .*NODE_DEBUG=codex-models/],
	['ERR_CODEX_RPC', /^It failed\.$/],
])('explain adds the advice for %s to the message, and never the hint', (code, text) => {
	const error = new CodexModelsError(code, 'It failed.', { hint: 'Set the option "command".' });
	expect(explain(error)).toMatch(text);
	expect(explain(error)).not.toContain('"command"');
});

test('explain shows other errors and values as they are', () => {
	expect(explain(new TypeError('no such thing'))).toBe('no such thing');
	expect(explain('text')).toBe('text');
});

test.each([
	[-5_000, '0 seconds'],
	[0, '0 seconds'],
	[1_000, '1 second'],
	[59_999, '59 seconds'],
	[60_000, '1 minute'],
	[7_200_000, '2 hours'],
	[86_399_999, '23 hours'],
	[86_400_000, '1 day'],
	[31_536_000_000, '365 days'],
])('formatAge writes %d ms as "%s"', (ms, words) => {
	expect(formatAge(ms)).toBe(words);
});

// The texts of Codex 0.66.0 to 0.169.0.
test.each([
	[
		'Invalid configuration; using defaults.',
		'model_catalog_json path `/c.json` must contain at least one model',
	],
	['Invalid configuration; using defaults.', null],
	['The model catalog could not be loaded; using the bundled one.', null],
	[
		'Codex is ignoring 1 unrecognized configuration setting.\n  user (/c.toml): `model_catalog_jsn` is ignored.',
		null,
	],
])('describeWarning shows a warning that concerns the list: %s', (summary, details) => {
	const warning = describeWarning({ summary, details });
	expect(warning).toContain(`Codex warns: ${summary}`);
	if (details) expect(warning).toContain(details);
});

test.each([
	'Codex could not find bubblewrap on PATH. Install bubblewrap with your OS package manager.',
	'default sandbox policy is disallowed by requirements; falling back to required default',
	'Project-local config, hooks, and exec policies are disabled in the following folders until the project is trusted.\n    1. /home/me/model catalog/.codex',
	'Project config.toml files are disabled in the following folders.\n    1. /home/me/using defaults',
	'Error parsing rules; custom rules not applied.',
	'Codex rebuilt its local database',
	'Codex is ignoring 1 unrecognized configuration setting.\n  user (/model_catalog/c.toml): `features.nope` is ignored.',
	'',
])('describeWarning keeps quiet about another warning: %s', (summary) => {
	expect(
		describeWarning({ summary, details: 'Invalid configuration; using defaults.' }),
	).toBeUndefined();
});
