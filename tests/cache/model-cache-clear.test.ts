import { expect, test } from 'vitest';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	failureOf,
	isPending,
	makeGate,
	makeStore,
	maxAgeMs,
	pass,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

test('clear() forgets every list', async () => {
	const made = await makeFilledCache(['a']);
	const other = made.list({ cwd: '/other' });
	await answer(made, 2, 'b');
	await other;
	expect(await made.ids()).toEqual(['a']);
	made.clear();
	expect(made.peek()).toBeUndefined();
	expect(made.peek({ cwd: '/other' })).toBeUndefined();
	const list = made.ids();
	await answer(made, 3, 'c');
	expect(await list).toEqual(['c']);
});

test('a fetch under way at clear() answers those who wait, and is not remembered', async () => {
	const made = makeCache();
	const list = made.ids();
	await made.fetches.nth(1);
	made.clear();
	await answer(made, 1, 'old');
	expect(await list).toEqual(['old']);
	expect(made.peek()).toBeUndefined();
	const next = made.ids();
	await answer(made, 2, 'new');
	expect(await next).toEqual(['new']);
});

test('a background refresh under way at clear() is not remembered', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	await made.list();
	await made.fetches.nth(2);
	made.clear();
	await answer(made, 2, 'late');
	expect(made.peek()).toBeUndefined();
});

test('a caller after clear() does not join the fetch from before it', async () => {
	const made = makeCache();
	const before = made.ids();
	await made.fetches.nth(1);
	made.clear();
	const after = [made.ids(), made.ids()];
	await settle();
	await answer(made, 1, 'old');
	expect(await before).toEqual(['old']);
	expect(made.peek()).toBeUndefined();
	expect(await isPending(Promise.all(after))).toBe(true);
	await answer(made, 2, 'new');
	for (const ids of await Promise.all(after)) expect(ids).toEqual(['new']);
	expect(made.peekIds()).toEqual(['new']);
	expect(made.fetches.count).toBe(2);
});

test('a failure of a fetch from before clear() takes nothing from the fetch after it', async () => {
	const made = makeCache();
	const before = failureOf(made.list());
	await made.fetches.nth(1);
	made.clear();
	const after = made.ids();
	await settle();
	(await made.fetches.nth(1)).fail();
	expect(await before).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	await answer(made, 2, 'new');
	expect(await after).toEqual(['new']);
	expect(made.peekIds()).toEqual(['new']);
});

test('clear() during a look at the files, and twice in a row, changes no answer', async () => {
	const made = makeCache();
	const finish = made.files.hang();
	const list = made.ids();
	made.clear();
	made.clear();
	finish();
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(made.peekIds()).toEqual(['a']);
});

test('clear() deletes the stored lists', async () => {
	const store = makeStore();
	const made = await makeFilledCache(['old'], { store });
	expect(store.map.size).toBe(1);
	made.clear();
	await settle();
	expect(store.map.size).toBe(0);
	const list = made.ids();
	await answer(made, 2, 'new');
	expect(await list).toEqual(['new']);
});

test('a cache does not believe what was stored before its clear(), also what it never saw', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	const made = makeCache({ store });
	made.clear();
	expect(store.map.size).toBe(1);
	const list = made.ids();
	await answer(made, 1, 'new');
	expect(await list).toEqual(['new']);
	await made.close();
	// The list that is fetched after clear() is stored, and believed.
	expect(await makeCache({ store }).ids()).toEqual(['new']);
});

test('a fetch under way at clear() is not stored', async () => {
	const store = makeStore();
	const made = makeCache({ store });
	const list = made.ids();
	await made.fetches.nth(1);
	made.clear();
	await answer(made, 1, 'old');
	expect(await list).toEqual(['old']);
	await made.close();
	expect(store.map.size).toBe(0);
});

test('a store lookup under way at clear() answers its caller, and is not remembered', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	const gate = makeGate();
	const slow = makeStore({ get: (key) => gate.opened.then(() => store.map.get(key)) });
	const made = makeCache({ store: slow });
	const list = made.ids();
	await settle();
	made.clear();
	gate.open();
	expect(await list).toEqual(['old']);
	expect(made.peekIds()).toBeUndefined();
	setAge(1);
	const next = made.ids();
	await answer(made, 1, 'new');
	expect(await next).toEqual(['new']);
	expect(made.peekIds()).toEqual(['new']);
});

test('a list that is being saved at clear() does not stay in the store', async () => {
	stopClock();
	const gate = makeGate();
	const map = new Map<string, unknown>();
	const store = makeStore(
		{ set: (key, value) => gate.opened.then(() => map.set(key, value)) },
		map,
	);
	const made = makeCache({ store });
	const list = made.ids();
	await answer(made, 1, 'old');
	expect(await list).toEqual(['old']);
	made.clear();
	gate.open();
	await made.close();
	expect(map.size).toBe(0);
});

test('a lock that is waited for at clear() does not keep the next caller from the cache of before', async () => {
	stopClock();
	const gate = makeGate();
	const store = makeStore({ lock: () => gate.opened.then(() => () => {}) });
	const made = makeCache({ store });
	const before = made.ids();
	await settle();
	made.clear();
	const after = made.ids();
	await settle();
	gate.open();
	await answer(made, 1, 'old');
	expect(await before).toEqual(['old']);
	await pass(0);
	await answer(made, 2, 'new');
	expect(await after).toEqual(['new']);
	expect(made.peekIds()).toEqual(['new']);
});

test('clear() deletes a stored list that the store is still asked for', async () => {
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	const gate = makeGate();
	const get = async (key: string) => {
		const value = store.map.get(key);
		await gate.opened;
		return value;
	};
	const made = makeCache({ store: makeStore({ get }, store.map) });
	const list = made.ids();
	await settle();
	made.clear();
	gate.open();
	expect(await list).toEqual(['old']);
	await settle();
	expect(store.map.size).toBe(0);
});
