import { getEventListeners } from 'node:events';
import { expect, test, vi } from 'vitest';
import * as harness from './harness.js';

const { clock, isPending, limits, makeFilledCatalog, makeHostCatalog } = harness;
const { recordLooks, settle } = harness;
const { maxAgeMs, servableMs, lookIntervalMs } = limits;

const hidden = { id: 'b', hidden: true };

test('one fetch serves the visible and the whole list, each in the order of the answer', async () => {
	const made = makeHostCatalog();
	const lists = [made.ids({ includeHidden: true }), made.ids()];
	await made.answer(1, ['c', hidden, 'a']);
	expect((await Promise.all(lists)).join(' ')).toBe('c,b,a c,a');
	expect(made.fetches).toHaveLength(1);
	const { catalog } = await makeFilledCatalog([hidden]);
	expect(catalog.peek()).toMatchObject({ models: [], isFresh: true, refreshError: null });
});

test('the constructor, peek() and subscribe() look at no file and start no fetch', async () => {
	const looks = recordLooks();
	const made = makeHostCatalog();
	expect(made.catalog.peek()).toBeUndefined();
	made.catalog.subscribe(() => {})();
	await settle();
	expect([looks, made.fetches, made.events.all]).toEqual([[], [], []]);
});

test('a list is fresh until maxAgeMs and stale from then on', async () => {
	const made = await makeFilledCatalog(['a']);
	clock.setAge(maxAgeMs - 1);
	expect(await made.catalog.read()).toMatchObject({ isFresh: true });
	clock.setAge(maxAgeMs);
	expect(made.catalog.peek()).toMatchObject({ isFresh: false });
	expect(await made.countFetches()).toBe(1);
	expect(await made.catalog.read()).toMatchObject({ isFresh: false });
	expect(made.events.ofType('hit')).toMatchObject([{ ageMs: maxAgeMs - 1 }]);
	expect(made.events.ofType('stale')).toMatchObject([{ ageMs: maxAgeMs }]);
	const none = await makeFilledCatalog(['a'], { maxAgeMs: 0 });
	const endless = await makeFilledCatalog(['a'], { maxAgeMs: Number.POSITIVE_INFINITY });
	expect(none.catalog.peek()?.isFresh).toBe(false);
	clock.setAge(1e12);
	expect(endless.catalog.peek()?.isFresh).toBe(true);
});

test('a hit sets no timer, adds no listener and looks at no file', async () => {
	const made = await makeFilledCatalog(['a']);
	const looks = recordLooks();
	const { signal } = new AbortController();
	const spies = [
		vi.spyOn(globalThis, 'setTimeout'),
		vi.spyOn(globalThis, 'setInterval'),
		vi.spyOn(signal, 'addEventListener'),
	];
	for (let count = 0; count < 10; count++) expect(await made.ids({ signal })).toEqual(['a']);
	for (const spy of spies) expect(spy).not.toHaveBeenCalled();
	expect([...looks, ...getEventListeners(signal, 'abort')]).toEqual([]);
	expect(made.events.count('hit')).toBe(10);
});

test('files are looked at once a second at most, once for all who ask', async () => {
	const made = await makeFilledCatalog(['a']);
	const looks = recordLooks();
	const countLooks = () => looks.filter((file) => file === made.home.fileOf('auth.json')).length;
	clock.setAge(lookIntervalMs - 1);
	await made.ids();
	expect(countLooks()).toBe(0);
	for (const age of [lookIntervalMs, 2 * lookIntervalMs]) {
		clock.setAge(age);
		await Promise.all(Array.from({ length: 20 }, () => made.ids()));
		await made.ids();
	}
	expect(countLooks()).toBe(2);
});

test('a stale list is served at once while one refresh runs, whoever asks and however often', async () => {
	const made = await makeFilledCatalog(['old']);
	clock.setAge(maxAgeMs);
	for (let count = 0; count < 5; count++) {
		expect(await made.ids()).toEqual(['old']);
		expect(await made.ids({ includeHidden: true })).toEqual(['old']);
	}
	await made.answer(2, ['new']);
	expect(await made.catalog.read()).toMatchObject({ models: [{ id: 'new' }], isFresh: true });
	expect(made.fetches).toHaveLength(2);
});

test('staleWhileRevalidateMs is counted from the end of maxAgeMs; a caller waits after it', async () => {
	const made = await makeFilledCatalog(['old']);
	clock.setAge(servableMs - 1);
	expect(made.peekIds()).toEqual(['old']);
	clock.setAge(servableMs);
	expect(made.catalog.peek()).toBeUndefined();
	const list = made.ids();
	expect(await isPending(list)).toBe(true);
	await made.answer(2, ['new']);
	expect(await list).toEqual(['new']);
	const none = await makeFilledCatalog(['a'], { staleWhileRevalidateMs: 0 });
	const endless = await makeFilledCatalog(['a'], { staleWhileRevalidateMs: Infinity });
	clock.setAge(servableMs + maxAgeMs);
	expect(none.catalog.peek()).toBeUndefined();
	clock.setAge(1e13);
	expect(endless.peekIds()).toEqual(['a']);
});

test('a call keeps to the options of its start, whatever happens to their object meanwhile', async () => {
	const made = makeHostCatalog();
	const options = { includeHidden: true };
	const list = made.ids(options);
	options.includeHidden = false;
	await made.answer(1, ['a', hidden]);
	expect(await list).toEqual(['a', 'b']);
});
