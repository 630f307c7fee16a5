import { expect, test, vi } from 'vitest';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import { answer, countUnhandledRejections, makeCache, makeFilledCache } from './cache-harness.js';
import {
	failureOf,
	makeGate,
	makeStore,
	maxAgeMs,
	never,
	pass,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

/** A store whose lock a test grants. */
function makeLockingStore(methods: Partial<ModelListStore> = {}) {
	const locked = makeGate<() => unknown>();
	const release = vi.fn();
	const lock = vi.fn((_key: string, _signal: AbortSignal) => locked.opened);
	return {
		store: makeStore({ lock, ...methods }),
		lock,
		release,
		grant: () => locked.open(release),
		locked,
	};
}

test('a lock is held from before the fetch until the list is in the store', async () => {
	const stored = makeGate();
	const { store, lock, release, grant } = makeLockingStore({ set: () => stored.opened });
	const made = makeCache({ store });
	const list = made.ids();
	await settle();
	expect(lock).toHaveBeenCalledTimes(1);
	expect(made.fetches.count).toBe(0);
	grant();
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(release).not.toHaveBeenCalled();
	stored.open();
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
});

test('a failed fetch holds its lock until its app-server is gone', async () => {
	const { store, release, grant } = makeLockingStore();
	const made = makeCache({ store }, { lingers: true });
	const failure = failureOf(made.list());
	grant();
	const fetch = await made.fetches.nth(1);
	fetch.fail();
	await failure;
	await settle();
	expect(release).not.toHaveBeenCalled();
	fetch.release();
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
});

test('a list that another process stored while this one waited for the lock spares the fetch', async () => {
	stopClock();
	const { store, release, grant } = makeLockingStore();
	const made = makeCache({ store });
	const list = made.ids();
	await settle();
	await makeFilledCache(['of another process'], { store: makeStore({}, store.map) });
	grant();
	expect(await list).toEqual(['of another process']);
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
	expect(made.fetches.count).toBe(0);
	expect(made.eventsOf('refreshed')).toEqual([]);
	expect(made.eventsOf('loaded')).toHaveLength(1);
});

test('a list that another process stored spares the refresh of a stale one', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['old'], { store });
	setAge(maxAgeMs);
	const other = makeCache({ store });
	const refresh = other.ids({ refresh: true });
	await answer(other, 1, 'new');
	await refresh;
	expect(await one.ids()).toEqual(['old']);
	await settle();
	expect(await one.ids()).toEqual(['new']);
	expect(one.fetches.count).toBe(1);
	expect(one.eventsOf('loaded')).toHaveLength(1);
	expect(one.eventsOf('refreshed')).toHaveLength(1);
});

test('refresh: true refuses every list that was stored before it', async () => {
	const { store, grant } = makeLockingStore();
	await makeFilledCache(['old'], { store: makeStore({}, store.map) });
	await pass(10);
	const made = makeCache({ store });
	const refresh = made.ids({ refresh: true });
	grant();
	await answer(made, 1, 'new');
	expect(await refresh).toEqual(['new']);
	await settle();
	expect(await makeCache({ store: makeStore({}, store.map) }).ids()).toEqual(['new']);
});

test.each([maxAgeMs, 0])(
	'refresh: true takes a list that another process fetches after it (maxAgeMs: %d)',
	async (limitMs) => {
		stopClock();
		const { store, grant } = makeLockingStore();
		const made = makeCache({ store, maxAgeMs: limitMs });
		const refresh = made.ids({ refresh: true });
		await settle();
		setAge(10);
		const other = makeCache({ store: makeStore({}, store.map) });
		const list = other.ids();
		await answer(other, 1, 'newer');
		await list;
		grant();
		expect(await refresh).toEqual(['newer']);
		expect(made.fetches.count).toBe(0);
	},
);

test('a newer list in the store that is stale itself does not spare the refresh of a stale one', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['old'], { store });
	setAge(10);
	const other = makeCache({ store });
	const refresh = other.list({ refresh: true });
	await answer(other, 1, 'newer');
	await refresh;
	one.files.change({ configuration: 'second' });
	setAge(1_000);
	expect(await one.ids()).toEqual(['old']);
	await answer(one, 2, 'new');
	expect(await one.ids()).toEqual(['new']);
});

test('refresh: true that joins a refresh which reads the store does not get what the store held before', async () => {
	const read = makeGate();
	const store = makeStore();
	await makeFilledCache(['old'], { store });
	let isSlow = false;
	const get = async (key: string) => {
		if (isSlow) await read.opened;
		return store.map.get(key);
	};
	const slow = makeStore({ get }, store.map);
	const made = makeCache({ store: slow });
	expect(await made.ids()).toEqual(['old']);
	setAge(maxAgeMs);
	const other = makeCache({ store });
	const first = other.ids({ refresh: true });
	await answer(other, 1, 'of another process');
	await first;
	setAge(maxAgeMs + 500);
	isSlow = true;
	// The background refresh reads the store.
	expect(await made.ids()).toEqual(['old']);
	await settle();
	const refresh = made.ids({ refresh: true });
	await settle();
	read.open();
	await settle();
	expect(made.fetches.count).toBe(1);
	await answer(made, 1, 'new');
	expect(await refresh).toEqual(['new']);
});

test('a lock that hangs is waited for until the deadline of the caller, and for half of fetchTimeoutMs', async () => {
	stopClock();
	const unhandled = countUnhandledRejections();
	const { store, lock, release, grant } = makeLockingStore();
	const made = makeCache({ store, fetchTimeoutMs: 5_000 });
	const early = failureOf(made.list({ deadlineMs: 50 }));
	const late = made.ids();
	await settle();
	await pass(50);
	expect(await early).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn', timeoutMs: 50 });
	await pass(2_449);
	expect(made.fetches.count).toBe(0);
	await pass(1);
	expect(made.eventsOf('store-failed')).toMatchObject([{ operation: 'lock' }]);
	await answer(made, 1, 'a');
	expect(await late).toEqual(['a']);
	expect(lock).toHaveBeenCalledTimes(1);
	// A lock that is granted too late is released at once.
	grant();
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
	expect(unhandled).toEqual([]);
});

test.each<[string, () => unknown]>([
	[
		'throws',
		() => {
			throw new Error('no release');
		},
	],
	['rejects', () => Promise.reject(new Error('no release'))],
	['never ends', never],
])('a release that %s costs an event and no call', async (_, fail) => {
	stopClock();
	const unhandled = countUnhandledRejections();
	const made = makeCache({ store: makeStore({ lock: async () => fail }) });
	const list = made.ids();
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	const closing = made.close();
	await pass(1_000);
	await closing;
	expect(made.eventsOf('store-failed')).toMatchObject([
		{ operation: 'lock', reason: expect.any(String) },
	]);
	expect(unhandled).toEqual([]);
});

test('a store is asked at once, also while the app-server of a failed fetch lingers', async () => {
	const store = makeStore();
	const made = makeCache({ store }, { lingers: true });
	const failure = failureOf(made.list());
	(await made.fetches.nth(1)).fail();
	await failure;
	await makeFilledCache(['of another process'], { store });
	expect(await made.ids()).toEqual(['of another process']);
	expect(made.fetches.count).toBe(1);
	made.fetches.all[0]?.release();
});
