import { beforeEach, expect, test } from 'vitest';
import { answer, complain, list, say, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

const warn = (params: object) => say(JSON.stringify({ method: 'configWarning', params }));

test('a warning of the configuration is told on one line, without its secrets', async () => {
	const { session, warnings } = startSession({
		start: warn({
			summary: 'Invalid\nconfiguration; key sk-0123456789abcdef',
			details: 'token=0123456789abcdef01',
		}),
		list: `${warn({ summary: 's'.repeat(5_000), details: 7 })}; ${list('a')}`,
	});
	expect((await session.listModels()).warnings).toEqual([]);
	expect(warnings).toEqual([
		['Invalid configuration; key [redacted]', 'token=[redacted]'],
		[`${'s'.repeat(998)} …`, null],
	]);
});

test('of many warnings the first twenty are told', async () => {
	const summaries = Array.from({ length: 21 }, (_, index) => `${index}: using defaults`);
	const { session, warnings } = startSession({
		start: summaries.map((summary) => warn({ summary })).join('; '),
	});
	const told = summaries.slice(0, 20);
	const messages = (await session.listModels()).warnings.map(({ message }) => message);
	expect([messages, warnings.map(([summary]) => summary)]).toEqual([told, told]);
});

test('a list that Codex made from its defaults carries a warning, and each later one of its app-server, too', async () => {
	const { session } = startSession({
		start: [
			{ summary: 'bubblewrap is missing' },
			{ summary: 'Invalid configuration; using defaults.', details: 'line 1' },
			{ summary: 'Using the defaults' },
		]
			.map(warn)
			.join('; '),
	});
	const messages = ['Invalid configuration; using defaults. line 1', 'Using the defaults'];
	const warnings = messages.map((message) => ({ type: 'config-ignored', message }));
	for (let count = 0; count < 2; count++)
		expect((await session.listModels()).warnings).toEqual(warnings);
});

test('a complaint about the server right before the last answer makes the list the built-in one', async () => {
	const words = 'ERROR codex: failed to refresh available models: timeout; key sk-0123456789abcdef';
	for (let count = 0; count < 20; count++) {
		// The list comes last, so that no wait for another answer gives stderr time.
		const { session } = startSession({
			list: 'listId=$id',
			config: `${answer({ config: {} })}; id=$listId; ${complain(words)}; ${list('a')}`,
		});
		const [warning, ...more] = (await session.listModels()).warnings;
		expect([warning?.type, more]).toEqual(['built-in-list', []]);
		expect(warning?.message).toContain(
			'failed to refresh available models: timeout; key [redacted]',
		);
	}
});

test('a complaint that was written after the list does not make it the built-in one', async () => {
	for (const [writtenAt, count] of [
		['2020-01-01T00:00:00.123456Z', 1],
		['2999-01-01T00:00:00.123456Z', 0],
	] as const) {
		const words = `\u001b[2m${writtenAt}\u001b[0m ERROR codex: failed to refresh available models`;
		const { session } = startSession({ list: `${complain(words)}; ${list('a')}` });
		expect((await session.listModels()).warnings).toHaveLength(count);
	}
});
