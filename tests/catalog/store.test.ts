import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type { ModelListStore } from '../../src/index.js';
import { makeLogin } from '../releases/model-server.js';
import * as harness from './harness.js';

const { clock, exitError, limits, makeFilledCatalog, makeGate, makeHome, makeHostCatalog } =
	harness;
const { makeStore, never, settle } = harness;
const { lookIntervalMs, maxAgeMs, servableMs, storeTimeoutMs } = limits;

test('a list that one process fetched is served by another one, and its files are watched on', async () => {
	const { map } = makeStore();
	const get = async (key: string) => map.get(key);
	for (const store of [new Map(), makeStore({ get }, map)]) {
		const entry = { id: 'a', unheardOf: [{ part: 1 }], constructor: 'odd', hidden: true };
		const config = { config: { model: 'a', model_provider: 'x' } };
		const { catalog, home } = await makeFilledCatalog([entry], { store }, undefined, { config });
		clock.advance(10);
		const other = makeHostCatalog({ store }, home);
		const all = { includeHidden: true };
		expect(await other.catalog.read(all)).toEqual(catalog.peek(all));
		expect(other.events.ofType('loaded')).toMatchObject([{ ageMs: 10 }]);
		home.write('config.toml', 'model = "b"');
		clock.advance(lookIntervalMs);
		expect((await other.catalog.read()).isFresh).toBe(false);
	}
});

test('a stale list in the store is served at once and refreshed; one whose time is over is not', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['old'], { store });
	clock.setAge(maxAgeMs);
	const made = makeHostCatalog({ store }, home);
	expect(await made.catalog.read()).toMatchObject({ models: [{ id: 'old' }], isFresh: false });
	await made.answer(1, exitError());
	expect(made.peekIds()).toEqual(['old']);
	clock.setAge(servableMs);
	const { readWith } = makeHostCatalog({ store }, home);
	expect(await readWith(['new'])).toMatchObject({ models: [{ id: 'new' }] });
});

test('a list in the store is stale after a change of its files, unless another machine stored it', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['a'], { store });
	home.write('config.toml', 'model = "a"');
	expect((await makeHostCatalog({ store }, home).catalog.read()).isFresh).toBe(false);
	const [[key, value] = ['', {}]] = store.map;
	store.map.set(key, { ...(value as object), machine: 'another' });
	const made = makeHostCatalog({ store }, home);
	expect((await made.catalog.read()).isFresh).toBe(true);
	// From now on the files of this machine count.
	home.write('config.toml', 'model = "b"');
	clock.setAge(lookIntervalMs);
	expect((await made.catalog.read()).isFresh).toBe(false);
});

test('a list is stored for the time that it is useful, but no failure, and none that is not remembered', async () => {
	const set = vi.fn();
	const store = makeStore({ set });
	const made = makeHostCatalog({ store });
	await made.readWith(exitError());
	await made.readWith([]);
	const list = made.ids();
	const fetch = await made.fetch(3);
	made.home.logIn('another');
	fetch.succeed(['a']);
	expect(await list).toEqual(['a']);
	await makeFilledCatalog(['a'], { store, maxAgeMs: 0, staleWhileRevalidateMs: 0 });
	expect(set).not.toHaveBeenCalled();
	for (const maxAge of [maxAgeMs, Number.POSITIVE_INFINITY])
		await makeFilledCatalog(['a'], { store, maxAgeMs: maxAge });
	expect(set.mock.calls.map(([, , ttlMs]) => ttlMs)).toEqual([servableMs, undefined]);
});

test('targets and logins have keys of their own; neither key nor value holds a credential', async () => {
	const store = makeStore();
	const home = makeHome();
	home.write('auth.json', makeLogin({ user: 'marked', workspace: 'marked-ws' }, 'marked-token'));
	const config = { config: { model: 'm', api_key: 'marked-key' } };
	const made = await makeFilledCatalog(['1'], { store }, home, { config });
	await made.readWith(['2'], { cwd: '/other' });
	await made.readWith(['3'], { codexHome: makeHome().folder });
	home.logIn('sk-marked');
	clock.setAge(lookIntervalMs);
	await made.readWith(['4']);
	expect(store.map.size).toBe(4);
	const text = JSON.stringify([...store.map]);
	expect(text).not.toContain('marked');
	expect(JSON.parse(text)).toEqual([...store.map]);
	for (const key of store.map.keys()) expect(key).toMatch(/^codex-models:\d+:[\da-f]+$/);
});

test('a store is asked once for all who ask at once, and for a second at most; what comes later replaces nothing', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['old'], { store });
	clock.advance(10);
	const gate = makeGate();
	const get = vi.fn((key: string) => gate.opened.then(() => store.map.get(key)));
	const made = makeHostCatalog({ store: makeStore({ get }) }, home);
	const lists = [made.ids(), made.ids(), made.ids({ refresh: true })];
	await clock.pass(storeTimeoutMs - 1);
	expect(made.fetches).toEqual([]);
	await clock.pass(1);
	await made.answer(1, ['a']);
	gate.open();
	expect((await Promise.all(lists)).flat()).toEqual(['a', 'a', 'a']);
	await settle();
	expect(made.peekIds()).toEqual(['a']);
	expect(get).toHaveBeenCalledTimes(1);
	const failed = { operation: 'get', reason: expect.stringContaining('1000 ms') };
	expect(made.events.ofType('store-failed')).toMatchObject([failed]);
});

const secret = 'redis://user:password@host says sk-0123456789abcdef0123';
const failures: (() => unknown)[] = [
	() => expect.fail(secret),
	() => Promise.reject(new Error(secret)),
	() => Promise.reject(),
	() => Promise.reject(Object.create(null)),
	() => Object.defineProperty({}, 'then', { get: () => expect.fail(secret) }),
	never,
];

test('a store of which a method, or each, throws, rejects or never answers costs events and no call', async () => {
	for (const act of failures) {
		const release = async () => act;
		const lock = (act === never ? release : act) as Required<ModelListStore>['lock'];
		const all = { get: act, set: act, delete: act, lock };
		const one = [{ get: act }, { set: act }, { delete: act }, { lock }, { lock: release }];
		for (const methods of [all, ...one]) {
			const made = makeHostCatalog({ store: makeStore(methods), deadlineMs: 1e6 });
			const waitForStore = async () => {
				for (let count = 0; count < 5; count++) await clock.pass(storeTimeoutMs);
			};
			for (const n of [1, 2]) {
				const list = made.ids({ refresh: n === 2 });
				await waitForStore();
				await made.answer(n, ['a']);
				expect(await list).toEqual(['a']);
				made.catalog.clear();
			}
			await Promise.all([made.catalog.close(), waitForStore()]);
			const failed = made.events.ofType('store-failed');
			const operations = failed.map(({ operation }) => operation);
			expect(Object.keys(methods)).toEqual(expect.arrayContaining(operations));
			expect(failed.map(({ reason }) => reason).join()).toMatch(/^(?!.*(?:0123|password))./s);
			expect(made.events.count('failed')).toBe(0);
		}
	}
});

test('a store that does not answer holds up a call for a second, also where its lock never comes', async () => {
	const made = makeHostCatalog({ store: makeStore({ get: never, lock: never }) });
	const list = made.ids();
	await clock.pass(storeTimeoutMs);
	await made.answer(1, ['a']);
	expect(await list).toEqual(['a']);
});

test('operations of a store that fail alike cost one event a fetch', async () => {
	const refuse = async () => expect.fail('refused');
	const methods = { get: refuse, set: refuse, delete: refuse, lock: refuse };
	const made = await makeFilledCatalog(['a'], { store: makeStore(methods) });
	expect(made.events.ofType('store-failed')).toMatchObject([{ operation: 'get' }]);
});

test('a stored value of any other shape is a list or a miss, and no error', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['a'], { store });
	const [value = {}] = store.map.values() as Iterable<Record<string, unknown>>;
	const readAs = async (stored: unknown) => {
		const made = makeHostCatalog({ store: makeStore({ get: () => stored }) }, home);
		const list = made.ids();
		await settle();
		made.fetches[0]?.succeed(['fetched']);
		return list;
	};
	expect(await readAs(value)).toEqual(['a']);
	const proxy = new Proxy({}, { get: () => expect.fail('of the value') });
	const odd = [{ fetchedAt: Date.now() + 1 }, { models: [] }, { models: [{ id: 'a' }, 7] }];
	const wrong = odd.map((part) => ({ ...value, ...part }));
	for (const stored of [undefined, null, 'text', [], proxy, ...wrong])
		expect(await readAs(stored)).toEqual(['fetched']);
	const name = fc.constantFrom(...Object.keys(value));
	const property = fc.asyncProperty(name, fc.jsonValue(), async (part, json) => {
		expect(await readAs({ ...value, [part]: json })).toHaveLength(1);
	});
	await fc.assert(property, { numRuns: 200 });
});

test('a refresh that begins while the list before is being saved asks again', async () => {
	const { opened, open } = makeGate();
	const made = await makeFilledCatalog(['old'], { store: makeStore({ set: () => opened }) });
	const list = made.ids({ refresh: true });
	await settle();
	open();
	await made.answer(2, ['new']);
	expect(await list).toEqual(['new']);
});

/** A store whose lock is granted when the test says so, and what another process sees of it. */
function makeLockingStore(methods: Partial<ModelListStore> = {}) {
	const locked = makeGate<() => unknown>();
	const release = vi.fn();
	const store = makeStore({ lock: () => locked.opened, ...methods });
	return { store, release, grant: () => locked.open(release), other: makeStore({}, store.map) };
}

test('a lock is held from before the fetch until the list is in the store, or the fetch has failed', async () => {
	const stored = makeGate();
	const { store, release, grant } = makeLockingStore({ set: () => stored.opened });
	const made = makeHostCatalog({ store });
	const list = made.ids();
	await settle();
	expect(made.fetches).toEqual([]);
	grant();
	await made.answer(1, ['a']);
	expect(await list).toEqual(['a']);
	expect(release).not.toHaveBeenCalled();
	stored.open();
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
	await made.refreshWith(exitError());
	expect(release).toHaveBeenCalledTimes(2);
});

test('a list that another process stores during the wait for a lock spares the fetch, also that of a refresh', async () => {
	for (const refresh of [false, true]) {
		const { store, other, grant } = makeLockingStore();
		const made = makeHostCatalog({ store });
		if (refresh) await makeFilledCatalog(['before'], { store: other }, made.home);
		clock.advance(10);
		const list = made.ids({ refresh });
		await settle();
		await makeHostCatalog({ store: other }, made.home).refreshWith(['of another process']);
		grant();
		expect(await list).toEqual(['of another process']);
		expect(made.fetches).toEqual([]);
	}
});

test('a list that another process stored spares the refresh of a stale one, unless it is stale itself', async () => {
	for (const isStale of [false, true]) {
		const store = makeStore();
		const made = await makeFilledCatalog(['old'], { store });
		clock.advance(maxAgeMs);
		await makeHostCatalog({ store }, made.home).refreshWith(['newer']);
		if (isStale) made.home.write('config.toml', 'model = "a"');
		clock.advance(1);
		expect(await made.ids()).toEqual(['old']);
		await settle();
		expect(made.peekIds()).toEqual(['newer']);
		expect(made.fetches).toHaveLength(isStale ? 2 : 1);
	}
});

test('a list in memory does not spare a refresh whose wait for a lock outlasts a clock that was set back', async () => {
	const { store, grant, release } = makeLockingStore();
	const lock = vi.fn(store.lock).mockResolvedValueOnce(release);
	const made = await makeFilledCatalog(['old'], { store: { ...store, lock } });
	clock.advance(-2_000);
	const list = made.ids({ refresh: true });
	await settle();
	clock.advance(3_000);
	grant();
	await made.answer(2, ['new']);
	expect(await list).toEqual(['new']);
});
