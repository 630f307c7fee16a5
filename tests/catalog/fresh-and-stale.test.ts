import { getEventListeners } from 'node:events';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import {
	clock,
	isPending,
	limits,
	makeFilledCatalog,
	makeHostCatalog,
	recordLooks,
	settle,
} from './harness.js';

const { maxAgeMs, servableMs, lookIntervalMs } = limits;

const hidden = { id: 'b', hidden: true };

test('one fetch serves the visible and the whole list, each in the order of the answer', async () => {
	const made = makeHostCatalog();
	const lists = [made.ids({ includeHidden: true }), made.ids()];
	await made.answer(1, ['c', hidden, 'a']);
	expect(await Promise.all(lists)).toEqual([
		['c', 'b', 'a'],
		['c', 'a'],
	]);
	expect(made.fetches).toHaveLength(1);
});

test('the visible list may be empty while the whole list is not', async () => {
	const made = await makeFilledCatalog([hidden]);
	expect(await made.ids()).toEqual([]);
	expect(await made.ids({ includeHidden: true })).toEqual(['b']);
	expect(made.catalog.peek()).toMatchObject({ models: [], isFresh: true, refreshError: null });
});

test('a snapshot tells the configured model, as far as the answer does', async () => {
	const none = { model: null, modelProvider: null, reasoningEffort: null };
	const all = { model: 'a', model_provider: 'x', model_reasoning_effort: 'low', token: 'secret' };
	for (const [config, configured] of [
		[{ config: all }, { model: 'a', modelProvider: 'x', reasoningEffort: 'low' }],
		...[undefined, null, 7, { config: [] }, { config: { model: ' ' } }].map((odd) => [odd, none]),
	]) {
		const made = await makeFilledCatalog(['a'], {}, undefined, { config });
		expect(made.catalog.peek()?.configured).toEqual(configured);
	}
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
	await settle();
	expect(made.fetches).toHaveLength(1);
	expect(await made.catalog.read()).toMatchObject({ isFresh: false });
	expect(made.events.ofType('hit')).toMatchObject([{ ageMs: maxAgeMs - 1 }]);
	expect(made.events.ofType('stale')).toMatchObject([{ ageMs: maxAgeMs }]);
	for (const limitMs of [0, 1_000, Number.POSITIVE_INFINITY]) {
		const { catalog } = await makeFilledCatalog(['a'], { maxAgeMs: limitMs });
		for (const age of [maxAgeMs, maxAgeMs + 999, maxAgeMs + 1_000, 1e12]) {
			clock.setAge(age);
			expect(catalog.peek()?.isFresh ?? false).toBe(age - maxAgeMs < limitMs);
		}
		clock.setAge(maxAgeMs);
	}
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

test('a clock that was set back makes a list stale until a refresh, and puts off no look', async () => {
	const made = await makeFilledCatalog(['old']);
	const looks = recordLooks();
	clock.setAge(-2_000);
	expect(await made.catalog.read()).toMatchObject({ isFresh: false });
	expect(looks).not.toEqual([]);
	await made.answer(2, ['new']);
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'new' }], isFresh: true });
});

test('a call keeps to the options of its start, whatever happens to their object meanwhile', async () => {
	const made = makeHostCatalog();
	const options = { includeHidden: true };
	const list = made.ids(options);
	options.includeHidden = false;
	await made.answer(1, ['a', hidden]);
	expect(await list).toEqual(['a', 'b']);
});

test('events come in their order and tell the target; a listener may call the catalog, throw or reject', async () => {
	const inner: Promise<string[]>[] = [];
	const made = makeHostCatalog({
		onEvent({ type }) {
			if (type === 'refreshed') inner.push(made.ids());
			if (type === 'miss') throw new Error('of the listener');
			return Promise.reject(new Error('of the listener')) as never;
		},
	});
	await made.readWith(['a', hidden]);
	expect(await Promise.all(inner)).toEqual([['a']]);
	const target = {
		cwd: path.parse(made.home.folder).root,
		codexHome: made.home.folder,
		at: Date.now(),
	};
	expect(made.events.all.filter(({ type }) => type !== 'hit')).toMatchObject([
		{ type: 'refreshed', models: 2, attempts: 1, durationMs: 0, ...target },
		{ type: 'miss', waitedMs: 0, ...target },
	]);
});
