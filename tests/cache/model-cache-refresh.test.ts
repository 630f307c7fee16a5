import { expect, test } from 'vitest';
import { answer, makeFilledCache } from './cache-harness.js';
import {
	cooldownMs,
	exitError,
	failureOf,
	isPending,
	maxAgeMs,
	servableMs,
	setAge,
	settle,
	start,
} from './fakes.js';

test('a failed refresh takes no list away, and the next one waits for cooldownMs', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	expect(await made.ids()).toEqual(['old']);
	const error = exitError();
	(await made.fetches.nth(2)).fail(error);
	await settle();
	expect(made.eventsOf('failed')).toMatchObject([{ error }]);
	expect(made.peek()).toMatchObject({ isFresh: false, fetchedAt: start, refreshError: error });
	setAge(maxAgeMs + cooldownMs - 1);
	expect(await made.ids()).toEqual(['old']);
	expect(await made.ids({ includeHidden: true })).toEqual(['old']);
	expect((await made.read()).refreshError).toBe(error);
	await settle();
	expect(made.fetches.count).toBe(2);
	setAge(maxAgeMs + cooldownMs);
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 3, 'new');
	expect(await made.ids()).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: true, refreshError: null });
});

test('with a cooldownMs of 0 the next call starts the next refresh', async () => {
	const made = await makeFilledCache(['old'], { cooldownMs: 0 });
	setAge(maxAgeMs);
	await made.list();
	(await made.fetches.nth(2)).fail();
	await settle();
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 3, 'new');
	expect(await made.ids()).toEqual(['new']);
});

test('an empty answer takes no list away, and counts as a failed refresh', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	await made.list();
	await answer(made, 2);
	expect(await made.ids()).toEqual(['old']);
	expect(made.peek()?.refreshError).toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'model/list',
	});
	await settle();
	expect(made.fetches.count).toBe(2);
	setAge(maxAgeMs + cooldownMs);
	await made.list();
	await answer(made, 3, 'new');
	expect(await made.ids()).toEqual(['new']);
});

test('a failed refresh leaves the list until its time is over, and no longer', async () => {
	const made = await makeFilledCache(['old']);
	setAge(servableMs - 1);
	await made.list();
	(await made.fetches.nth(2)).fail();
	await settle();
	expect(await made.ids()).toEqual(['old']);
	setAge(servableMs);
	const failure = failureOf(made.list());
	const error = exitError(7);
	(await made.fetches.nth(3)).fail(error);
	expect(await failure).toBe(error);
});

test('a caller who has nothing else to get does not wait for a cooldown', async () => {
	const made = await makeFilledCache(['old']);
	setAge(servableMs - 1);
	await made.list();
	(await made.fetches.nth(2)).fail();
	await settle();
	setAge(servableMs);
	const list = made.ids();
	await answer(made, 3, 'new');
	expect(await list).toEqual(['new']);
});

test('a clock that was set back does not prolong a cooldown', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	await made.list();
	(await made.fetches.nth(2)).fail();
	await settle();
	setAge(-maxAgeMs);
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 3, 'new');
	expect(await made.ids()).toEqual(['new']);
});

test('the cooldown of one list is not that of another', async () => {
	const made = await makeFilledCache(['a']);
	const second = made.list({ cwd: '/other' });
	await answer(made, 2, 'b');
	await second;
	setAge(maxAgeMs);
	await made.list();
	(await made.fetches.nth(3)).fail();
	await settle();
	await made.list({ cwd: '/other' });
	await answer(made, 4, 'new');
	expect(await made.ids({ cwd: '/other' })).toEqual(['new']);
	expect(await made.ids()).toEqual(['a']);
	expect(made.fetches.count).toBe(4);
});

test('refresh: true asks Codex although the list is fresh, and renews it', async () => {
	const made = await makeFilledCache(['old']);
	setAge(500);
	const refreshed = made.ids({ refresh: true });
	await answer(made, 2, 'new');
	expect(await refreshed).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: true, fetchedAt: start + 500 });
	expect(await made.ids({ refresh: false })).toEqual(['new']);
	expect(made.fetches.count).toBe(2);
});

test('refresh: true rejects when the fetch fails, and takes no list away', async () => {
	const made = await makeFilledCache(['old']);
	const failure = failureOf(made.list({ refresh: true }));
	const error = exitError();
	(await made.fetches.nth(2)).fail(error);
	expect(await failure).toBe(error);
	expect(await made.ids()).toEqual(['old']);
	expect(made.peek()).toMatchObject({ isFresh: true, refreshError: error });
});

test('refresh: true joins the fetch under way, also a background refresh', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	expect(await made.ids()).toEqual(['old']);
	await made.fetches.nth(2);
	const refreshes = [made.ids({ refresh: true }), made.ids({ refresh: true, includeHidden: true })];
	await settle();
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 2, 'new');
	for (const ids of await Promise.all(refreshes)) expect(ids).toEqual(['new']);
	expect(made.fetches.count).toBe(2);
});

test('other callers are served the known list while one waits with refresh: true', async () => {
	const made = await makeFilledCache(['old']);
	const refreshed = made.ids({ refresh: true });
	await made.fetches.nth(2);
	expect(await made.ids()).toEqual(['old']);
	expect(await isPending(refreshed)).toBe(true);
	await answer(made, 2, 'new');
	expect(await refreshed).toEqual(['new']);
});

test('refresh: true does not wait for a cooldown', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	await made.list();
	(await made.fetches.nth(2)).fail();
	await settle();
	const refreshed = made.ids({ refresh: true });
	await answer(made, 3, 'new');
	expect(await refreshed).toEqual(['new']);
});

test('a failure that is no CodexModelsError is one in events and in refreshError', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	await made.list();
	const cause = Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' });
	(await made.fetches.nth(2)).fail(cause);
	await settle();
	expect(made.eventsOf('failed')).toMatchObject([{ error: { code: 'ERR_CODEX_EXITED', cause } }]);
	expect(made.peek()?.refreshError).toMatchObject({ name: 'CodexModelsError', cause });
});
