import { expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import { clock, exitError, limits, makeFilledCatalog, makeHostCatalog, settle } from './harness.js';

const { maxAgeMs, servableMs, cooldownMs } = limits;

const exited = { code: 'ERR_CODEX_EXITED' };

test('fifty callers share one fetch, and a refresh joins it; another catalog has its own', async () => {
	const made = makeHostCatalog();
	const other = makeHostCatalog({}, made.home);
	const lists = Array.from({ length: 50 }, () => made.catalog.list());
	const ids = other.ids();
	await settle();
	const late = made.catalog.list({ refresh: true });
	await made.answer(1, ['a']);
	await other.answer(1, ['b']);
	expect(new Set(await Promise.all([...lists, late])).size).toBe(1);
	expect(await ids).toEqual(['b']);
	expect(made.fetches).toHaveLength(1);
	expect(made.events.count('miss')).toBe(51);
});

test('callers who wait share a failure, and the next call starts another fetch', async () => {
	const made = makeHostCatalog();
	const failures = [made.catalog.list(), made.catalog.list()].map(failureOf);
	await made.answer(1, exitError());
	const [first, second] = await Promise.all(failures);
	expect(first).toBe(second);
	expect(first).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 1 });
	expect(made.events.count('failed')).toBe(1);
	expect(await made.readWith(['a'])).toMatchObject({ isFresh: true, refreshError: null });
});

test('an empty answer is returned where there is nothing to serve, and is not remembered', async () => {
	const made = makeHostCatalog();
	expect(await made.readWith([])).toMatchObject({ models: [] });
	expect(made.catalog.peek()).toBeUndefined();
	expect(await made.readWith(['a'])).toMatchObject({ isFresh: true });
});

test('refresh: true asks although the list is fresh, and renews it', async () => {
	const made = await makeFilledCatalog(['old']);
	clock.setAge(10);
	const snapshot = await made.refreshWith(['new']);
	expect(snapshot).toMatchObject({ models: [{ id: 'new' }], fetchedAt: Date.now() });
	expect(made.catalog.peek()).toBe(snapshot);
});

test('refresh: true rejects when the fetch fails, and takes no list away', async () => {
	const made = await makeFilledCatalog(['a']);
	expect(await made.refreshWith(exitError())).toMatchObject(exited);
	const known = { models: [{ id: 'a' }], isFresh: true };
	expect(made.catalog.peek()).toMatchObject({ ...known, refreshError: exited });
	await made.refreshWith(['a']);
	expect(made.catalog.peek()).toMatchObject({ ...known, refreshError: null });
});

test('refresh: true joins a background refresh, and other callers are served while the old list lasts', async () => {
	const made = await makeFilledCatalog(['old']);
	clock.setAge(maxAgeMs);
	await made.ids();
	await settle();
	const refreshes = [made.ids({ refresh: true }), made.ids({ refresh: true })];
	await settle();
	expect(await made.ids({ deadlineMs: 0 })).toEqual(['old']);
	clock.setAge(servableMs);
	refreshes.push(made.ids());
	await made.answer(2, ['new']);
	expect(await Promise.all(refreshes)).toEqual([['new'], ['new'], ['new']]);
	expect(made.fetches).toHaveLength(2);
});

test('a failed refresh takes no list away, and the next one waits for cooldownMs', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(maxAgeMs);
	await made.ids();
	await made.answer(2, exitError());
	clock.setAge(maxAgeMs + cooldownMs - 1);
	expect(await made.catalog.read()).toMatchObject({ isFresh: false, refreshError: exited });
	expect(await made.countFetches()).toBe(2);
	clock.setAge(maxAgeMs + cooldownMs);
	expect(await made.ids()).toEqual(['a']);
	await made.answer(3, ['b']);
	expect(await made.catalog.read()).toMatchObject({ models: [{ id: 'b' }], refreshError: null });
});

test('an empty answer takes no list away, and counts as a failed refresh', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(maxAgeMs);
	await made.ids();
	await made.answer(2, []);
	const message = expect.stringContaining('the list of models is empty (phase model/list)');
	const refreshError = { code: 'ERR_CODEX_PROTOCOL', message };
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'a' }], refreshError });
	clock.setAge(maxAgeMs + cooldownMs - 1);
	expect(await made.ids()).toEqual(['a']);
	expect(await made.countFetches()).toBe(2);
});

test('a failed refresh leaves the list until its time is over, and no longer', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(servableMs - 1);
	// A refresh waits for no cooldown, and neither does a caller who has nothing else to get.
	for (let count = 0; count < 2; count++) await made.refreshWith(exitError());
	expect(await made.ids()).toEqual(['a']);
	clock.setAge(servableMs);
	expect(made.catalog.peek()).toBeUndefined();
	const failure = failureOf(made.catalog.list());
	await made.answer(4, exitError());
	expect(await failure).toMatchObject(exited);
});
