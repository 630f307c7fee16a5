import { getEventListeners } from 'node:events';
import { promises } from 'node:fs';
import { TimeoutError } from 'p-timeout';
import { expect, test, vi } from 'vitest';
import { CodexModelsError } from '../../src/index.js';
import { failureOf } from '../harness.js';
import * as harness from './harness.js';

const { clock, isPending, limits, makeFilledCatalog, makeGate, makeHostCatalog } = harness;
const { makeStore, never, recordLooks, replaceStat, settle } = harness;
const { fetchTimeoutMs, lookIntervalMs, servableMs } = limits;
const timedOut = { code: 'ERR_CODEX_TIMEOUT' };

test('a deadline ends the wait of its caller only; the fetch goes on and fills the cache', async () => {
	const made = makeHostCatalog();
	const patient = made.ids();
	const failure = failureOf(made.catalog.list({ deadlineMs: 20 }));
	await clock.pass(19);
	expect(await isPending(failure)).toBe(true);
	await clock.pass(1);
	expect(await failure).toMatchObject({ ...timedOut, timeoutMs: 20, phase: 'spawn' });
	expect(made.events.ofType('timed-out')).toMatchObject([{ timeoutMs: 20, phase: 'spawn' }]);
	expect((await made.fetch(1)).request.signal.aborted).toBe(false);
	await made.answer(1, ['a']);
	expect(await patient).toEqual(['a']);
	expect(made.fetches).toHaveLength(1);
	// The caller who left did not get the list.
	expect([made.events.count('failed'), made.events.count('miss')]).toEqual([0, 1]);
	expect(vi.getTimerCount()).toBe(0);
});

test('a fetch that every caller has left fills the cache', async () => {
	const made = makeHostCatalog({ deadlineMs: 20 });
	const controller = new AbortController();
	const { signal } = controller;
	const leaving = [{}, { deadlineMs: 0 }, { signal }];
	const failures = leaving.map((options) => failureOf(made.catalog.list(options)));
	controller.abort();
	await clock.pass(20);
	const errors = [{ timeoutMs: 20 }, { timeoutMs: 0 }, { name: 'AbortError' }];
	expect(await Promise.all(failures)).toMatchObject(errors);
	await made.answer(1, ['a']);
	expect(await made.ids()).toEqual(['a']);
	expect(made.fetches).toHaveLength(1);
	expect([getEventListeners(signal, 'abort').length, vi.getTimerCount()]).toEqual([0, 0]);
});

test('a deadline that ends during a look at the files is enough for a list in memory', async () => {
	const made = await makeFilledCatalog(['a']);
	replaceStat(never);
	for (const deadlineMs of [0, 50]) {
		clock.setAge(1_000);
		const list = made.ids({ deadlineMs });
		await clock.pass(deadlineMs + 1);
		expect(await list).toEqual(['a']);
	}
	expect(made.events.count('timed-out')).toBe(0);
});

test('a deadline and an abort end the wait for a store and for files, before any fetch', async () => {
	for (const store of [makeStore({ get: never }), undefined]) {
		if (!store) replaceStat(never);
		const made = makeHostCatalog({ store });
		const controller = new AbortController();
		const late = failureOf(made.catalog.list({ deadlineMs: 10 }));
		const leaving = failureOf(made.catalog.list({ signal: controller.signal }));
		await clock.pass(10);
		controller.abort('the user left');
		expect(await late).toMatchObject({ ...timedOut, phase: 'spawn', stderr: '' });
		expect(await leaving).toBe('the user left');
		expect(made.fetches).toEqual([]);
	}
});

test('an aborted signal starts nothing, and gets nothing from the cache', async () => {
	const reason = new Error('too late');
	const signal = AbortSignal.abort(reason);
	const looks = recordLooks();
	const cold = makeHostCatalog();
	for (const refresh of [false, true])
		expect(await failureOf(cold.catalog.list({ signal, refresh }))).toBe(reason);
	await settle();
	expect([...looks, ...cold.fetches]).toEqual([]);
	const warm = await makeFilledCatalog(['a']);
	expect(await failureOf(warm.catalog.list({ signal }))).toBe(reason);
});

test('2,000 callers with one signal cause no warning of Node, and leave no listener', async () => {
	const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
	const made = makeHostCatalog();
	const controller = new AbortController();
	const { signal } = controller;
	const count = () => getEventListeners(signal, 'abort').length;
	const lists = Array.from({ length: 2_000 }, () => made.catalog.list({ signal }));
	await settle();
	expect(warn).not.toHaveBeenCalled();
	await made.answer(1, ['a']);
	expect(new Set(await Promise.all(lists)).size).toBe(1);
	expect(count()).toBe(0);
	// The signal works for later callers, also after another one got its list.
	const leaving = failureOf(made.catalog.list({ signal, refresh: true }));
	await settle();
	expect(await made.ids({ signal })).toEqual(['a']);
	controller.abort(new Error('left'));
	expect(await leaving).toBe(signal.reason);
	expect(count()).toBe(0);
});

test('a fetch is ended after fetchTimeoutMs, also where no caller waits, and its list comes too late', async () => {
	for (const deadlineMs of [Number.POSITIVE_INFINITY, 20]) {
		const made = makeHostCatalog({ deadlineMs });
		const failure = failureOf(made.catalog.list());
		await clock.pass(fetchTimeoutMs - 1);
		const { request } = await made.fetch(1);
		expect(request.signal.aborted).toBe(false);
		await clock.pass(1);
		expect(request.signal.aborted).toBe(true);
		expect(await failure).toMatchObject(timedOut);
		const [failed] = made.events.ofType('failed');
		expect(failed?.error).toMatchObject({ ...timedOut, timeoutMs: fetchTimeoutMs });
		expect(failed?.error.hint).toContain('"fetchTimeoutMs"');
		expect(vi.getTimerCount()).toBe(0);
		await made.answer(1, ['late']);
		expect(made.catalog.peek()).toBeUndefined();
	}
});

test('a caller who joins a fetch that runs out of time reads how long the wait was', async () => {
	const made = makeHostCatalog({ deadlineMs: Number.POSITIVE_INFINITY, fetchTimeoutMs: 5_000 });
	const first = failureOf(made.catalog.list());
	await clock.pass(4_000);
	const late = failureOf(made.catalog.list());
	await clock.pass(1_000);
	const words = 'did not list its models within';
	expect((await first).message).toContain(`${words} 5000 ms`);
	expect((await late).message).toContain(`${words} 1000 ms`);
	expect(await late).toMatchObject({ ...timedOut, timeoutMs: 5_000 });
});

test('the wait for a lock counts for fetchTimeoutMs, and a lock that comes later is released', async () => {
	const locked = makeGate<() => void>();
	const release = vi.fn();
	const lock = vi.fn((_key: string, _signal: AbortSignal) => locked.opened);
	const made = makeHostCatalog({ store: makeStore({ lock }), deadlineMs: 1e6 });
	const failure = failureOf(made.catalog.list());
	await clock.pass(fetchTimeoutMs);
	expect(await failure).toMatchObject({ ...timedOut, timeoutMs: fetchTimeoutMs });
	expect(lock.mock.calls.map(([, { aborted }]) => aborted)).toEqual([true]);
	expect(made.fetches).toEqual([]);
	locked.open(release);
	await settle();
	expect(release).toHaveBeenCalledTimes(1);
});

test('an abort rejects with its reason, whatever class that has', async () => {
	const ofAnother = new CodexModelsError('ERR_CODEX_TIMEOUT', 'within 9 ms', { timeoutMs: 9 });
	for (const reason of [new TimeoutError(), ofAnother]) {
		const made = makeHostCatalog();
		const controller = new AbortController();
		const leaving = failureOf(made.catalog.list({ signal: controller.signal }));
		await made.fetch(1);
		controller.abort(reason);
		expect(await leaving).toBe(reason);
	}
});

test('a deadline that ends during a look at the files ends the wait only; the fetch begins without its caller', async () => {
	for (const [age, refresh] of [
		[lookIntervalMs, true],
		[servableMs, false],
	] as const) {
		const made = await makeFilledCatalog(['a']);
		clock.advance(age);
		const { opened, open } = makeGate();
		const { stat } = promises;
		const restore = replaceStat((file) => opened.then(() => stat(file)));
		const failure = failureOf(made.catalog.list({ refresh, deadlineMs: 10 }));
		await clock.pass(10);
		expect((await failure).hint).toContain('The fetch goes on');
		open();
		restore();
		await made.answer(2, ['b']);
		expect(made.peekIds()).toEqual(['b']);
	}
});
