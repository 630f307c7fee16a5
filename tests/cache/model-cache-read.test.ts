import { expect, test } from 'vitest';
import { makeCache } from './cache-harness.js';
import { makeModel, servableMs, setAge, start, stopClock } from './fakes.js';

test('read() returns the list with its age, the configured model and the failure of its last refresh', async () => {
	stopClock();
	const made = makeCache();
	const configured = { model: 'a', modelProvider: 'openai', reasoningEffort: 'high' };
	const read = made.read({ includeHidden: true });
	(await made.fetches.nth(1)).succeed(['a', makeModel('b', { hidden: true })], configured);
	const snapshot = await read;
	expect(snapshot).toEqual({
		models: [makeModel('a'), makeModel('b', { hidden: true })],
		fetchedAt: start,
		isFresh: true,
		configured,
		refreshError: null,
	});
	expect(made.peek({ includeHidden: true })).toEqual(snapshot);
	setAge(servableMs - 1);
	expect(await made.read()).toMatchObject({
		models: [makeModel('a')],
		isFresh: false,
		refreshError: null,
	});
});

test('read() hands out a copy of the configured model', async () => {
	const made = makeCache();
	const read = made.read();
	(await made.fetches.nth(1)).succeed(['a'], {
		model: 'a',
		modelProvider: null,
		reasoningEffort: null,
	});
	(await read).configured.model = 'changed';
	expect((await made.read()).configured.model).toBe('a');
});
