import { promises } from 'node:fs';
import { expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import * as harness from './harness.js';

const { clock, exitError, isPending, limits, makeFilledCatalog, makeGate, makeHostCatalog } =
	harness;
const { makeStore, never, replaceStat, settle } = harness;
const { lookIntervalMs, maxAgeMs, storeTimeoutMs } = limits;
const closed = { code: 'ERR_CODEX_CLOSED' };

test('clear() forgets every list, also in the store, and also those of logins that are over', async () => {
	const store = makeStore();
	const made = await makeFilledCatalog(['of none'], { store });
	made.home.logIn('first');
	clock.advance(lookIntervalMs);
	await made.readWith(['a']);
	const other = { cwd: '/other' };
	await made.readWith(['b'], other);
	expect(store.map.size).toBe(3);
	made.catalog.clear();
	expect([made.catalog.peek(), made.catalog.peek(other)]).toEqual([undefined, undefined]);
	await settle();
	expect(store.map.size).toBe(0);
	expect(await made.readWith(['c'])).toMatchObject({ models: [{ id: 'c' }] });
});

test('a fetch from before clear() answers its callers, is not remembered, and later callers get a new one', async () => {
	for (const outcome of [['old'], exitError()]) {
		const store = makeStore();
		const made = makeHostCatalog({ store });
		const before = made.ids().catch((error) => error);
		await made.fetch(1);
		made.catalog.clear();
		const after = made.catalog.read();
		await made.answer(1, outcome);
		expect(await before).toEqual(outcome);
		expect(made.catalog.peek()).toBeUndefined();
		expect(store.map.size).toBe(0);
		expect(await isPending(after)).toBe(true);
		await made.answer(2, ['new']);
		expect(await after).toMatchObject({ models: [{ id: 'new' }], refreshError: null });
		expect(made.catalog.peek()).toBe(await after);
	}
});

test('a list that was stored before clear() is not believed, also where it was never seen', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['old'], { store });
	const made = makeHostCatalog({ store }, home);
	made.catalog.clear();
	expect(await made.readWith(['new'])).toMatchObject({ models: [{ id: 'new' }] });
	expect(await makeHostCatalog({ store }, home).ids()).toEqual(['new']);
});

test('a list that the store is asked for, or that is being saved, at clear() does not stay there', async () => {
	for (const isSaved of [false, true]) {
		const { map } = makeStore();
		const { home } = await makeFilledCatalog(['old'], { store: makeStore({}, map) });
		if (isSaved) map.clear();
		const gate = makeGate();
		const get = async (key: string) => [map.get(key), await gate.opened][0];
		const set = (key: string, value: unknown) => gate.opened.then(() => map.set(key, value));
		const store = makeStore(isSaved ? { set } : { get }, map);
		const made = makeHostCatalog({ store }, home);
		const list = made.ids();
		if (isSaved) await made.answer(1, ['old']);
		await settle();
		made.catalog.clear();
		gate.open();
		await settle();
		made.fetches[0]?.succeed(['old']);
		expect(await list).toEqual(['old']);
		await made.catalog.close();
		expect(map.size).toBe(0);
	}
});

test('a look that ends after clear() brings no list back', async () => {
	const made = await makeFilledCatalog(['of none']);
	clock.advance(lookIntervalMs);
	const { opened, open } = makeGate();
	const { stat } = promises;
	const restore = replaceStat((file) => opened.then(() => stat(file)));
	const looking = made.ids();
	made.home.logIn('first');
	made.catalog.clear();
	restore();
	open();
	await made.answer(2, ['of the first']);
	expect(await looking).toEqual(['of the first']);
	made.home.remove('auth.json');
	clock.advance(lookIntervalMs);
	expect(await made.readWith(['new'])).toMatchObject({ models: [{ id: 'new' }] });
});

test('after close() every call rejects, also one that memory could serve, and peek() returns nothing', async () => {
	const made = await makeFilledCatalog(['a']);
	await made.catalog[Symbol.asyncDispose]();
	for (const options of [undefined, { refresh: true }, { cwd: '/other' }])
		expect(await failureOf(made.catalog.list(options))).toMatchObject(closed);
	expect(made.catalog.peek()).toBeUndefined();
	await Promise.all([made.catalog.close(), made.catalog.close()]);
	made.catalog.clear();
	made.catalog.subscribe(() => {})();
	expect(await made.countFetches()).toBe(1);
});

test('close() rejects all who wait, and aborts every fetch, also of the background and from before clear()', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(maxAgeMs);
	await made.ids();
	await settle();
	made.catalog.clear();
	const failure = failureOf(made.catalog.list({ cwd: '/other' }));
	await settle();
	await made.catalog.close();
	expect(await failure).toMatchObject(closed);
	expect(made.fetches.map(({ request }) => request.signal.aborted)).toEqual([false, true, true]);
	expect(made.events.ofType('failed')).toMatchObject([{ error: closed }, { error: closed }]);
});

test('close() in the moment of a call or of an answer ends the call, and remembers nothing', async () => {
	for (const hasAnswer of [false, true]) {
		const made = makeHostCatalog();
		const failure = failureOf(made.catalog.list());
		if (hasAnswer) (await made.fetch(1)).succeed(['a']);
		await made.catalog.close();
		expect(await failure).toMatchObject(closed);
		expect(await made.countFetches()).toBe(hasAnswer ? 1 : 0);
		expect(made.catalog.peek()).toBeUndefined();
	}
});

test('close() ends the wait for files, a store and a lock that never come, and no fetch follows', async () => {
	for (const methods of [{ get: never }, { lock: never }, undefined]) {
		if (!methods) replaceStat(never);
		const made = makeHostCatalog({ store: methods && makeStore(methods) });
		const failure = failureOf(made.catalog.list());
		await settle();
		const closing = made.catalog.close();
		expect(await failure).toMatchObject(closed);
		for (let count = 0; count < 3; count++) await clock.pass(storeTimeoutMs);
		await closing;
		expect(made.fetches).toEqual([]);
	}
});

test('close() waits for a save, a deletion and the release of a late lock, for a second at most', async () => {
	for (const method of ['set', 'delete', 'lock'] as const) {
		const made = makeHostCatalog({ store: makeStore({ [method]: never }) });
		const list = made.catalog.list().catch(() => {});
		if (method !== 'lock') await made.answer(1, ['a']);
		await settle();
		if (method === 'delete') made.catalog.clear();
		const closing = made.catalog.close();
		await list;
		await clock.pass(storeTimeoutMs - 1);
		expect(await isPending(closing)).toBe(true);
		await clock.pass(1);
		await closing;
		const failed = { operation: method, reason: expect.stringContaining('1000 ms') };
		expect(made.events.ofType('store-failed')).toMatchObject([failed]);
	}
});

test('close() in a listener of events or in a subscriber starts no fetch afterwards', async () => {
	for (const type of ['loaded', 'stale', 'hit', 'refreshed', 'miss', 'subscriber', 'login']) {
		const store = makeStore();
		const { home } = await makeFilledCatalog(['a'], { store });
		clock.advance(maxAgeMs);
		let fetchesAtClose = Number.NaN;
		const close = () => {
			if (Number.isNaN(fetchesAtClose)) fetchesAtClose = made.fetches.length;
			void made.catalog.close();
		};
		const onEvent = (event: { type: string }) => event.type === type && close();
		const made = makeHostCatalog({ store, onEvent }, home);
		if (type === 'login') await made.ids();
		if (type === 'login' || type === 'subscriber') made.catalog.subscribe(close);
		if (type === 'login') home.logIn('another');
		if (type === 'login') clock.advance(lookIntervalMs);
		for (const options of [{}, {}, { refresh: true }, {}]) {
			const outcome = made.catalog.list(options).catch((error) => error);
			await settle();
			if ('refresh' in options) made.fetches.at(-1)?.succeed(['b']);
			const result = await outcome;
			if (!Array.isArray(result)) expect(result).toMatchObject(closed);
		}
		expect(await failureOf(made.catalog.list())).toMatchObject(closed);
		expect(made.fetches).toHaveLength(fetchesAtClose);
	}
});

test('a deadline that runs out after close() starts nothing', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(maxAgeMs);
	const refreshing = failureOf(made.catalog.list({ refresh: true }));
	await made.fetch(2);
	clock.advance(lookIntervalMs);
	replaceStat(never);
	const late = failureOf(made.catalog.list({ deadlineMs: 50 }));
	void made.catalog.close();
	await clock.pass(50);
	expect([await refreshing, await late]).toMatchObject([closed, closed]);
	expect(made.fetches).toHaveLength(2);
});
