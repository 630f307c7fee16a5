import { expect, test } from 'vitest';
import { answer, countUnhandledRejections, makeCache, makeFilledCache } from './cache-harness.js';
import {
	failureOf,
	isPending,
	makeGate,
	makeStore,
	maxAgeMs,
	never,
	pass,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

const closed = { code: 'ERR_CODEX_CLOSED' };

test('after close() every call rejects, also one that memory could serve, and peek() returns nothing', async () => {
	const made = await makeFilledCache(['a']);
	await made.close();
	for (const options of [
		undefined,
		{ refresh: true },
		{ includeHidden: true },
		{ cwd: '/other' },
	]) {
		expect(await failureOf(made.list(options))).toMatchObject(closed);
		expect(await failureOf(made.read(options))).toMatchObject(closed);
	}
	expect(made.peek()).toBeUndefined();
	made.clear();
	made.subscribe(() => {})();
	await settle();
	expect(made.fetches.count).toBe(1);
});

test('close() rejects all who wait for a fetch, and aborts it', async () => {
	const made = makeCache();
	const failures = [failureOf(made.list()), failureOf(made.list({ refresh: true }))];
	const fetch = await made.fetches.nth(1);
	await made.close();
	for (const error of await Promise.all(failures)) expect(error).toMatchObject(closed);
	expect(fetch.context.signal.aborted).toBe(true);
	expect(made.eventsOf('failed')).toMatchObject([{ error: closed }]);
});

test('close() aborts the fetches of every list, also background refreshes and those from before clear()', async () => {
	const made = await makeFilledCache(['a']);
	setAge(maxAgeMs);
	await made.list();
	await made.fetches.nth(2);
	made.clear();
	const failure = failureOf(made.list({ cwd: '/other' }));
	await made.fetches.nth(3);
	await made.close();
	expect(await failure).toMatchObject(closed);
	expect(made.fetches.all.slice(1).map(({ context }) => context.signal.aborted)).toEqual([
		true,
		true,
	]);
	expect(made.eventsOf('failed')).toMatchObject([{ error: closed }, { error: closed }]);
});

test('close() may come before the first call, with it, and twice', async () => {
	const idle = makeCache();
	await Promise.all([idle.close(), idle.close()]);
	const busy = makeCache();
	const failure = failureOf(busy.list());
	await busy.close();
	expect(await failure).toMatchObject(closed);
	await settle();
	expect(busy.fetches.count).toBe(0);
	await busy.close();
});

test('close() ends the wait for a look at the files that hangs', async () => {
	const made = makeCache();
	const finish = made.files.hang();
	const failure = failureOf(made.list());
	await settle();
	await made.close();
	expect(await failure).toMatchObject(closed);
	finish();
	await settle();
	expect(made.fetches.count).toBe(0);
});

test('close() ends the wait for a store lookup, and no fetch starts after it', async () => {
	const gate = makeGate();
	const made = makeCache({ store: makeStore({ get: () => gate.opened }) });
	const failure = failureOf(made.list());
	await settle();
	await made.close();
	expect(await failure).toMatchObject(closed);
	gate.open();
	await settle();
	expect(made.fetches.count).toBe(0);
});

test('a list that a slow store brings after close() is not remembered', async () => {
	const store = makeStore();
	await makeFilledCache(['a'], { store });
	const gate = makeGate();
	const made = makeCache({
		store: makeStore({ get: (key) => gate.opened.then(() => store.map.get(key)) }),
	});
	const failure = failureOf(made.list());
	await settle();
	await made.close();
	gate.open();
	await settle();
	expect(await failure).toMatchObject(closed);
	expect(made.peek()).toBeUndefined();
});

test('close() ends the wait for a lock, aborts its signal, and waits for a second at most until it is released', async () => {
	stopClock();
	const unhandled = countUnhandledRejections();
	const signals: AbortSignal[] = [];
	const lock = (_: string, signal: AbortSignal) => {
		signals.push(signal);
		return never();
	};
	const made = makeCache({ store: makeStore({ lock }) });
	const failure = failureOf(made.list());
	await settle();
	const closing = made.close();
	expect(await failure).toMatchObject(closed);
	await pass(1_000);
	await closing;
	expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
	await settle();
	expect(unhandled).toEqual([]);
});

test('close() ends the wait for the app-server of a failed fetch', async () => {
	const made = makeCache({}, { lingers: true });
	const first = failureOf(made.list());
	(await made.fetches.nth(1)).fail();
	await first;
	const second = failureOf(made.list());
	await settle();
	const closing = made.close();
	expect(await second).toMatchObject(closed);
	expect(await isPending(closing)).toBe(true);
	made.fetches.all[0]?.release();
	await closing;
	expect(made.fetches.count).toBe(1);
});

test('close() waits for a list that is being saved, which stays in the store', async () => {
	const gate = makeGate();
	const map = new Map<string, unknown>();
	const store = makeStore(
		{ set: (key, value) => gate.opened.then(() => map.set(key, value)) },
		map,
	);
	const made = makeCache({ store });
	const list = made.ids();
	await answer(made, 1, 'a');
	await list;
	const closing = made.close();
	expect(await isPending(closing)).toBe(true);
	gate.open();
	await closing;
	expect(map.size).toBe(1);
	expect(await makeCache({ store: makeStore({}, map) }).ids()).toEqual(['a']);
});

test('close() waits for a deletion, but for no operation of a store longer than a second', async () => {
	stopClock();
	const gate = makeGate();
	const map = new Map<string, unknown>();
	const store = makeStore({ delete: (key) => gate.opened.then(() => map.delete(key)) }, map);
	const made = await makeFilledCache(['a'], { store });
	made.clear();
	const closing = made.close();
	expect(await isPending(closing)).toBe(true);
	gate.open();
	await closing;
	expect(map.size).toBe(0);

	for (const method of ['set', 'delete'] as const) {
		const hanging = await makeFilledCache(['a'], { store: makeStore({ [method]: never }) });
		hanging.clear();
		const slowClosing = hanging.close();
		await pass(999);
		expect(await isPending(slowClosing)).toBe(true);
		await pass(1);
		await slowClosing;
		expect(hanging.eventsOf('store-failed')).toMatchObject([
			{ operation: method, reason: /1000 ms/ },
		]);
	}
});

test.each(['loaded', 'stale', 'hit', 'refreshed', 'miss'])(
	'close() in a listener that hears of "%s" starts no fetch afterwards',
	async (type) => {
		const store = makeStore();
		await makeFilledCache(['a'], { store });
		setAge(maxAgeMs);
		let fetchesAtClose: number | undefined;
		const onEvent = (event: { type: string }) => {
			if (event.type !== type) return;
			fetchesAtClose ??= made.fetches.count;
			made.close();
		};
		const made = makeCache({ store, onEvent });
		for (const options of [{}, {}, { refresh: true }, {}]) {
			const outcome = Promise.allSettled([made.list(options)]);
			await settle();
			if ('refresh' in options) made.fetches.all.at(-1)?.succeed(['b']);
			for (const result of await outcome) {
				if (result.status === 'rejected') expect(result.reason).toMatchObject(closed);
			}
		}
		expect(await failureOf(made.list())).toMatchObject(closed);
		expect(made.fetches.count).toBe(fetchesAtClose);
	},
);

test('a list that comes in the moment of close() is not remembered', async () => {
	const made = makeCache();
	const failure = failureOf(made.list());
	(await made.fetches.nth(1)).succeed(['a']);
	await made.close();
	expect(await failure).toMatchObject(closed);
	await settle();
	expect(made.peek()).toBeUndefined();
});

test('close() in a subscriber who hears of another account starts no fetch for it', async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(1_000);
	const second = made.list();
	await answer(made, 2, 'two');
	await second;
	made.subscribe(() => made.close());
	made.files.change({ account: 'one' });
	setAge(2_000);
	expect(await failureOf(made.list({ refresh: true }))).toMatchObject(closed);
	await settle();
	expect(made.fetches.count).toBe(2);
});

test('close() waits until a lock that comes after it is released', async () => {
	const locked = makeGate<() => unknown>();
	const released = makeGate();
	const made = makeCache({ store: makeStore({ lock: () => locked.opened }) });
	const failure = failureOf(made.list());
	await settle();
	const closing = made.close();
	expect(await failure).toMatchObject(closed);
	expect(await isPending(closing)).toBe(true);
	locked.open(() => released.opened);
	expect(await isPending(closing)).toBe(true);
	released.open();
	await closing;
	expect(made.eventsOf('store-failed')).toEqual([]);
});
