import { createHook } from 'node:async_hooks';
import { expect, test, vi } from 'vitest';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	failureOf,
	idsOf,
	isPending,
	makeFiles,
	makeModel,
	maxAgeMs,
	setAge,
	settle,
	staleWhileRevalidateMs,
	start,
} from './fakes.js';

test('one fetch serves the visible and the whole list, each in its order', async () => {
	const made = makeCache();
	const calls = Promise.all([made.ids(), made.ids({ includeHidden: true })]);
	await answer(made, 1, 'a', makeModel('b', { hidden: true }), makeModel('c', { isDefault: true }));
	expect(await calls).toEqual([
		['a', 'c'],
		['a', 'b', 'c'],
	]);
	expect(await made.ids({ includeHidden: false })).toEqual(['a', 'c']);
	expect(made.fetches.count).toBe(1);
});

test('the visible list may be empty while the whole list is not', async () => {
	const made = await makeFilledCache([makeModel('a', { hidden: true })]);
	expect(await made.ids()).toEqual([]);
	expect(await made.ids({ includeHidden: true })).toEqual(['a']);
	expect(made.peek()?.models).toEqual([]);
	expect(made.fetches.count).toBe(1);
});

test('a new cache, a peek and a subscription look at no file and start no fetch', async () => {
	const made = makeCache();
	expect(made.peek()).toBeUndefined();
	made.subscribe(() => {});
	await settle();
	expect(made.files.looks).toBe(0);
	expect(made.fetches.count).toBe(0);
});

test('a list is fresh until maxAgeMs and stale from then on', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs - 1);
	expect(await made.ids()).toEqual(['old']);
	expect(made.peek()).toMatchObject({ isFresh: true, fetchedAt: start });
	expect(made.eventsOf('hit')).toMatchObject([{ ageMs: maxAgeMs - 1 }]);
	await settle();
	expect(made.fetches.count).toBe(1);
	setAge(maxAgeMs);
	expect(made.peek()).toMatchObject({ isFresh: false, fetchedAt: start });
	expect(made.fetches.count).toBe(1);
	expect(await made.ids()).toEqual(['old']);
	expect(made.eventsOf('stale')).toMatchObject([{ ageMs: maxAgeMs }]);
	await answer(made, 2, 'new');
	expect(await made.ids()).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: true, fetchedAt: start + maxAgeMs });
});

test.each([0, 1_000, Number.POSITIVE_INFINITY])('maxAgeMs may be %d', async (limitMs) => {
	const made = await makeFilledCache(['a'], {
		maxAgeMs: limitMs,
		staleWhileRevalidateMs: Number.POSITIVE_INFINITY,
	});
	setAge(Math.min(limitMs, 1e12));
	expect(made.peek()?.isFresh).toBe(limitMs === Number.POSITIVE_INFINITY);
	setAge(Math.min(limitMs, 1e12) - 1);
	expect(made.peek()?.isFresh).toBe(limitMs > 0);
});

test('a stale list is served at once while one refresh runs, whoever asks and however often', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	for (let count = 0; count < 20; count++) {
		expect(await made.ids({ includeHidden: count % 2 === 0 })).toEqual(['old']);
	}
	const refresh = await made.fetches.nth(2);
	expect(await made.ids()).toEqual(['old']);
	refresh.succeed(['new']);
	await settle();
	expect(await made.ids()).toEqual(['new']);
	expect(made.fetches.count).toBe(2);
	expect(made.eventsOf('stale')).toHaveLength(21);
	expect(made.eventsOf('hit')).toHaveLength(1);
	expect(made.eventsOf('miss')).toHaveLength(1);
});

test('staleWhileRevalidateMs is counted from the end of maxAgeMs; a caller waits after it', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs + staleWhileRevalidateMs - 1);
	expect(await made.ids()).toEqual(['old']);
	expect(made.peekIds()).toEqual(['old']);
	await made.fetches.nth(2);
	setAge(maxAgeMs + staleWhileRevalidateMs);
	expect(made.peek()).toBeUndefined();
	const list = made.ids();
	expect(await isPending(list)).toBe(true);
	await answer(made, 2, 'new');
	expect(await list).toEqual(['new']);
	expect(made.fetches.count).toBe(2);
});

test('with a staleWhileRevalidateMs of 0 a caller waits as soon as the list is not fresh', async () => {
	const made = await makeFilledCache(['old'], { staleWhileRevalidateMs: 0 });
	expect(await made.ids()).toEqual(['old']);
	setAge(maxAgeMs);
	const list = made.ids();
	await answer(made, 2, 'new');
	expect(await list).toEqual(['new']);
});

test('with a staleWhileRevalidateMs of Infinity a list is served at any age', async () => {
	const made = await makeFilledCache(['old'], { staleWhileRevalidateMs: Number.POSITIVE_INFINITY });
	setAge(1e12);
	expect(await made.ids()).toEqual(['old']);
	expect(made.peek()).toMatchObject({ isFresh: false });
});

test('a clock that was set back makes a list stale, and the next refresh replaces it', async () => {
	const made = await makeFilledCache(['old']);
	setAge(-1);
	expect(made.peek()?.isFresh).toBe(false);
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 2, 'new');
	expect(await made.ids()).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: true, fetchedAt: start - 1 });
	expect(made.fetches.count).toBe(2);
});

test('fifty callers share one fetch, and a refresh joins it', async () => {
	const made = makeCache();
	const calls = Array.from({ length: 50 }, (_, index) =>
		made.ids({ includeHidden: index % 2 === 0 }),
	);
	await made.fetches.nth(1);
	calls.push(made.ids(), made.ids({ refresh: true }));
	await settle();
	await answer(made, 1, 'a');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	expect(made.fetches.count).toBe(1);
	expect(made.files.looks).toBeLessThan(5);
	expect(made.eventsOf('miss')).toHaveLength(52);
});

test('the events of a fetch come in their order', async () => {
	const made = await makeFilledCache(['a']);
	await made.list();
	setAge(maxAgeMs);
	await made.list();
	const refresh = Promise.allSettled([made.list({ refresh: true })]);
	await settle();
	(await made.fetches.nth(2)).fail();
	await refresh;
	expect(made.events.map(({ type }) => type)).toEqual([
		'refreshed',
		'miss',
		'hit',
		'stale',
		'failed',
	]);
});

test('callers who wait share a failure, and the next call starts another fetch', async () => {
	const made = makeCache();
	const failures = Array.from({ length: 10 }, () => failureOf(made.list()));
	const fetch = await made.fetches.nth(1);
	const error = new Error('of the fetch');
	fetch.fail(error);
	for (const failure of await Promise.all(failures)) expect(failure).toBe(error);
	expect(made.fetches.count).toBe(1);
	expect(made.peek()).toBeUndefined();
	const list = made.ids();
	await answer(made, 2, 'a');
	expect(await list).toEqual(['a']);
});

test('an empty answer is returned where there is nothing to serve, and is not remembered', async () => {
	const made = makeCache();
	const empty = made.list();
	await answer(made, 1);
	expect(await empty).toEqual([]);
	expect(made.peek()).toBeUndefined();
	expect(made.eventsOf('refreshed')).toMatchObject([{ models: 0 }]);
	const list = made.ids();
	await answer(made, 2, 'a');
	expect(await list).toEqual(['a']);
});

test('a fetch tells its target, and every event the target it is about', async () => {
	const made = makeCache({ cwd: '/a', codexHome: '/b' });
	const calls = [made.list(), made.list({ cwd: '/c' }), made.list({ codexHome: '/d' })];
	await settle();
	const targets = made.fetches.all.map(({ context }) => context.target);
	expect(targets).toMatchObject([
		{ cwd: '/a', codexHome: '/b', isDefaultCwd: false },
		{ cwd: '/c', codexHome: '/b', isDefaultCwd: false },
		{ cwd: '/a', codexHome: '/d', isDefaultCwd: false },
	]);
	for (const fetch of made.fetches.all) fetch.succeed(['a']);
	await Promise.all(calls);
	const places = made.eventsOf('refreshed').map(({ cwd, codexHome }) => ({ cwd, codexHome }));
	expect(places).toEqual(targets.map(({ cwd, codexHome }) => ({ cwd, codexHome })));
	expect(made.events.every(({ at }) => Number.isInteger(at))).toBe(true);
});

test('a hit sets no timer, adds no listener, makes no asynchronous resource and looks at no file', async () => {
	const made = await makeFilledCache(['a']);
	await made.list();
	const controller = new AbortController();
	const spies = [
		vi.spyOn(globalThis, 'setTimeout'),
		vi.spyOn(globalThis, 'setInterval'),
		vi.spyOn(process, 'on'),
		vi.spyOn(controller.signal, 'addEventListener'),
	];
	const looks = made.files.looks;
	const resources: string[] = [];
	const hook = createHook({
		init: (_, type) => type !== 'PROMISE' && resources.push(type),
	}).enable();
	for (let count = 0; count < 10; count++) {
		expect(await made.ids({ signal: controller.signal, deadlineMs: 0 })).toEqual(['a']);
	}
	hook.disable();
	expect(resources).toEqual([]);
	expect(vi.getTimerCount()).toBe(0);
	for (const spy of spies) expect(spy).not.toHaveBeenCalled();
	expect(made.files.looks).toBe(looks);
	expect(made.fetches.count).toBe(1);
});

test('two caches know nothing of each other', async () => {
	const files = makeFiles();
	const one = await makeFilledCache(['a'], {}, { files });
	const other = makeCache({}, { files });
	expect(idsOf(await one.list())).toEqual(['a']);
	expect(other.peek()).toBeUndefined();
});
