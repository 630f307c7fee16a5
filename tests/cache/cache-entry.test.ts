import { expect, test, vi } from 'vitest';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	failureOf,
	makeGate,
	makeStore,
	maxAgeMs,
	never,
	pass,
	servableMs,
	setAge,
	settle,
	start,
	stopClock,
} from './fakes.js';

test('a list that one process fetched is served by another one, with its own fetchedAt', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['a', 'b'], { store });
	setAge(60_000);
	const other = makeCache({ store });
	expect(await other.ids()).toEqual(['a', 'b']);
	expect(await other.ids({ includeHidden: true })).toEqual(['a', 'b']);
	expect(other.fetches.count).toBe(0);
	expect(other.peek()).toEqual(one.peek());
	expect(other.peek()).toMatchObject({ fetchedAt: start, isFresh: true });
	expect(other.events).toMatchObject([
		{ type: 'loaded', ageMs: 60_000 },
		{ type: 'miss' },
		{ type: 'hit', ageMs: 60_000 },
	]);
});

test('the configured model comes from the store, too', async () => {
	stopClock();
	const store = makeStore();
	const configured = { model: 'a', modelProvider: 'openai', reasoningEffort: 'low' };
	const one = makeCache({ store });
	const read = one.read();
	(await one.fetches.nth(1)).succeed(['a'], configured);
	expect(await read).toMatchObject({ configured });
	expect(await makeCache({ store }).read()).toEqual(await one.read());
});

test('the age of a list is the same in the process that fetched it and in the one that loaded it', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['a'], { store });
	setAge(maxAgeMs - 1);
	const other = makeCache({ store });
	await other.list();
	expect([one, other].map((made) => made.peek()?.isFresh)).toEqual([true, true]);
	setAge(maxAgeMs);
	expect([one, other].map((made) => made.peek()?.isFresh)).toEqual([false, false]);
});

test('a stale list in the store is served at once, and refreshed in the background', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	setAge(maxAgeMs);
	const made = makeCache({ store });
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 1, 'new');
	expect(await made.ids()).toEqual(['new']);
	expect(await makeCache({ store }).ids()).toEqual(['new']);
});

test('a list in the store whose time is over is fetched anew', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	setAge(servableMs);
	const made = makeCache({ store });
	const list = made.ids();
	await answer(made, 1, 'new');
	expect(await list).toEqual(['new']);
});

test('a stale list in the store outlasts a failed refresh and an empty answer', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	const before = structuredClone([...store.map]);
	setAge(maxAgeMs);
	for (const settleFetch of ['fail', 'succeed'] as const) {
		const made = makeCache({ store });
		expect(await made.ids()).toEqual(['old']);
		const fetch = await made.fetches.nth(1);
		if (settleFetch === 'fail') fetch.fail();
		else fetch.succeed([]);
		await settle();
		expect(await made.ids()).toEqual(['old']);
		expect(made.peek()?.refreshError).not.toBeNull();
		await made.close();
		expect([...store.map]).toEqual(before);
	}
});

test('failed and empty answers are not stored', async () => {
	const store = makeStore();
	const made = makeCache({ store });
	const failure = failureOf(made.list());
	(await made.fetches.nth(1)).fail();
	await failure;
	const empty = made.ids();
	await answer(made, 2);
	expect(await empty).toEqual([]);
	expect(store.map.size).toBe(0);
	const list = made.ids();
	await answer(made, 3, 'a');
	await list;
	expect(store.map.size).toBe(1);
});

test('the store is asked when memory has nothing to serve, and once for all who ask at once', async () => {
	const store = makeStore();
	await makeFilledCache(['a'], { store });
	const get = vi.fn((key: string) => store.map.get(key));
	const made = makeCache({ store: makeStore({ get }) });
	const calls = Array.from({ length: 10 }, () => made.ids());
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	for (let count = 0; count < 10; count++) await made.list();
	expect(get).toHaveBeenCalledTimes(1);
	expect(made.fetches.count).toBe(0);
});

test('callers who wait for a store lookup share one fetch after it', async () => {
	const gate = makeGate();
	const made = makeCache({ store: makeStore({ get: () => gate.opened }) });
	const calls = Array.from({ length: 10 }, () => made.ids());
	await settle();
	calls.push(made.ids(), made.ids({ refresh: true }));
	gate.open();
	await answer(made, 1, 'a');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	expect(made.fetches.count).toBe(1);
});

test('a store that never answers is asked once for a call, and for a second', async () => {
	stopClock();
	const get = vi.fn(never);
	const made = makeCache({ store: makeStore({ get, lock: async () => () => {} }) });
	const list = made.ids();
	await settle();
	await pass(999);
	expect(made.fetches.count).toBe(0);
	await pass(1);
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(get).toHaveBeenCalledTimes(1);
	expect(made.eventsOf('store-failed')).toMatchObject([
		{ operation: 'get', reason: expect.stringMatching(/1000 ms/) },
	]);
});

test('refresh: true during a store lookup gets a new list, and the other callers get that of the store', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	setAge(1_000);
	const gate = makeGate();
	const made = makeCache({
		store: makeStore({ get: (key) => gate.opened.then(() => store.map.get(key)) }),
	});
	const list = made.ids();
	await settle();
	const refresh = made.ids({ refresh: true });
	gate.open();
	expect(await list).toEqual(['old']);
	await answer(made, 1, 'new');
	expect(await refresh).toEqual(['new']);
	expect(made.peek()).toMatchObject({ fetchedAt: start + 1_000 });
	expect(await made.ids()).toEqual(['new']);
	expect(made.fetches.count).toBe(1);
});

test('a list that a slow store brings after its time is a miss', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	const gate = makeGate();
	const made = makeCache({
		store: makeStore({ get: (key) => gate.opened.then(() => store.map.get(key)) }),
	});
	const list = made.ids();
	await settle();
	setAge(servableMs);
	gate.open();
	await answer(made, 1, 'new');
	expect(await list).toEqual(['new']);
});

test('an account that another process had finds its list in the store', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['one'], { store });
	one.files.change({ account: 'two' });
	setAge(1_000);
	const second = one.ids();
	await answer(one, 2, 'two');
	expect(await second).toEqual(['two']);
	expect(store.map.size).toBe(2);
	const other = makeCache({ store }, { files: one.files });
	expect(await other.ids()).toEqual(['two']);
	one.files.change({ account: 'one' });
	setAge(2_000);
	expect(await other.ids()).toEqual(['one']);
	expect(other.fetches.count).toBe(0);
});

test('a list in the store of another configuration of this machine is stale', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['old'], { store });
	one.files.change({ configuration: 'second' });
	const made = makeCache({ store }, { files: one.files });
	expect(await made.ids()).toEqual(['old']);
	expect(made.peek()).toMatchObject({ isFresh: false });
	await answer(made, 1, 'new');
	expect(await made.ids()).toEqual(['new']);
	expect(await makeCache({ store }, { files: one.files }).ids()).toEqual(['new']);
});

test('a list in the store of another machine counts by its age, until this one changes its files', async () => {
	const store = makeStore();
	await makeFilledCache(['a'], { store });
	for (const [key, value] of store.map) {
		store.map.set(key, { ...(value as object), machine: 'another', configuration: 'another' });
	}
	const made = makeCache({ store });
	expect(await made.ids()).toEqual(['a']);
	expect(made.peek()).toMatchObject({ isFresh: true });
	made.files.change({ configuration: 'second' });
	setAge(1_000);
	expect(await made.ids()).toEqual(['a']);
	// The list in the store has not heard of the change.
	await answer(made, 1, 'b');
	expect(made.eventsOf('refreshed')).toMatchObject([{ attempts: 1 }]);
	expect(await made.ids()).toEqual(['b']);
});
