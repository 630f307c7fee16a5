import { expect, test, vi } from 'vitest';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	exitError,
	failureOf,
	isPending,
	makeGate,
	makeStore,
	maxAgeMs,
	pass,
	setAge,
	settle,
	start,
	stopClock,
} from './fakes.js';

test('a fetch is ended after fetchTimeoutMs, and its callers hear of it', async () => {
	stopClock();
	const made = makeCache({ fetchTimeoutMs: 5_000 });
	const failure = failureOf(made.list());
	const fetch = await made.fetches.nth(1);
	await pass(4_999);
	expect(await isPending(failure)).toBe(true);
	await pass(1);
	const error = await failure;
	expect(error).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 5_000,
		phase: 'model/list',
		hint: expect.stringContaining('"fetchTimeoutMs"'),
	});
	expect(fetch.context.signal.aborted).toBe(true);
	expect(fetch.context.signal.reason).toBe(error);
	expect(made.eventsOf('failed')).toMatchObject([{ error, durationMs: expect.any(Number) }]);
	expect(made.eventsOf('timed-out')).toEqual([]);
});

test('fetchTimeoutMs ends a fetch that every caller has left, and leaves no timer', async () => {
	stopClock();
	const made = makeCache({ fetchTimeoutMs: 5_000, deadlineMs: 10 });
	const failure = failureOf(made.list());
	const fetch = await made.fetches.nth(1);
	await pass(10);
	await failure;
	await pass(4_990);
	expect(fetch.context.signal.aborted).toBe(true);
	expect(vi.getTimerCount()).toBe(0);
});

test('the next fetch starts when the app-server of the failed one is gone', async () => {
	const made = makeCache({}, { lingers: true });
	const first = failureOf(made.list());
	(await made.fetches.nth(1)).fail();
	await first;
	const second = made.ids();
	await settle();
	expect(made.fetches.count).toBe(1);
	made.fetches.all[0]?.release();
	await answer(made, 2, 'a');
	expect(await second).toEqual(['a']);
});

test('a fetch waits for every failed app-server of its target, also of another account, and of no other target', async () => {
	stopClock();
	const made = makeCache({ fetchTimeoutMs: 5_000 }, { lingers: true });
	const failures = [failureOf(made.list())];
	await made.fetches.nth(1);
	made.files.change({ account: 'two' });
	await pass(1_000);
	failures.push(failureOf(made.list()));
	await settle();
	await pass(4_000);
	// The first fetch has timed out, and its app-server takes its time to end.
	expect(await failures[0]).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	await settle();
	expect(made.fetches.count).toBe(1);
	const other = made.ids({ cwd: '/other' });
	await answer(made, 2, 'other');
	expect(await other).toEqual(['other']);
	made.fetches.all[0]?.release();
	await settle();
	expect(made.fetches.count).toBe(3);
	made.fetches.all[2]?.fail(exitError());
	await Promise.all(failures);
});

test('a fetch after a success does not wait for the end of its app-server', async () => {
	const made = makeCache({}, { lingers: true });
	const list = made.ids();
	await answer(made, 1, 'a');
	await list;
	const refresh = made.ids({ refresh: true });
	await answer(made, 2, 'b');
	expect(await refresh).toEqual(['b']);
});

test('the time that a fetch waits for its predecessor does not count for fetchTimeoutMs', async () => {
	stopClock();
	const made = makeCache({ fetchTimeoutMs: 5_000 }, { lingers: true });
	const first = failureOf(made.list());
	(await made.fetches.nth(1)).fail();
	await first;
	const second = failureOf(made.list());
	await settle();
	await pass(5_000);
	expect(await isPending(second)).toBe(true);
	made.fetches.all[0]?.release();
	await made.fetches.nth(2);
	await pass(4_999);
	expect(await isPending(second)).toBe(true);
	await pass(1);
	expect(await second).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 5_000 });
});

test('a list of another account is neither remembered nor stored', async () => {
	const store = makeStore();
	const made = makeCache({ store });
	const list = made.ids();
	await made.fetches.nth(1);
	made.files.change({ account: 'two' });
	await answer(made, 1, 'one');
	expect(await list).toEqual(['one']);
	expect(store.map.size).toBe(0);
	expect(made.peek()).toBeUndefined();
	made.files.change({ account: 'one' });
	const next = makeCache({ store }, { files: made.files });
	const second = next.ids();
	await answer(next, 1, 'new');
	expect(await second).toEqual(['new']);
});

test('a store that answers after the fetch does not replace the newer list', async () => {
	const store = makeStore();
	await makeFilledCache(['stored'], { store });
	setAge(maxAgeMs);
	const gate = makeGate();
	const values = [gate.opened.then(() => [...store.map.values()][0])];
	const made = makeCache({ store: makeStore({ get: () => values.pop() }), fetchTimeoutMs: 100 });
	const failure = failureOf(made.list());
	await settle();
	await pass(100);
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	const list = made.ids();
	await answer(made, 1, 'new');
	expect(await list).toEqual(['new']);
	gate.open();
	await settle();
	expect(made.peekIds()).toEqual(['new']);
});

test('a store that answers after a refresh does not replace the newer list', async () => {
	const store = makeStore();
	await makeFilledCache(['stored'], { store });
	const [value] = store.map.values();
	const gate = makeGate<unknown>();
	const values: unknown[] = [undefined, gate.opened];
	const slow = makeStore({ get: () => values.shift() });
	const made = await makeFilledCache(['old'], { store: slow, fetchTimeoutMs: 100, cooldownMs: 0 });
	setAge(maxAgeMs);
	expect(await made.ids()).toEqual(['old']);
	await settle();
	await pass(100);
	expect(await made.ids()).toEqual(['old']);
	await answer(made, 2, 'new');
	gate.open({ ...(value as object), fetchedAt: start + 1 });
	await settle();
	expect(made.eventsOf('loaded')).toHaveLength(1);
	expect(made.peekIds()).toEqual(['new']);
});
