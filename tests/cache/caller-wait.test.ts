import { getEventListeners } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { waitForCaller } from '../../src/cache/caller-wait.js';
import { answer, countUnhandledRejections, makeCache, makeFilledCache } from './cache-harness.js';
import {
	exitError,
	failureOf,
	isPending,
	makeGate,
	makeStore,
	never,
	pass,
	settle,
	stopClock,
} from './fakes.js';

const infinity = Number.POSITIVE_INFINITY;

test('a deadline ends the wait of its caller only; the fetch goes on and fills the cache', async () => {
	stopClock();
	const made = makeCache();
	const patient = made.ids();
	await made.fetches.nth(1);
	const failure = failureOf(made.list({ deadlineMs: 20 }));
	await settle();
	await pass(19);
	expect(await isPending(failure)).toBe(true);
	await pass(1);
	expect(await failure).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 20,
		phase: 'model/list',
		stderr: 'some words',
		message: expect.stringMatching(/within 20 ms.*some words/),
		hint: expect.stringContaining('"deadlineMs"'),
	});
	expect(made.eventsOf('timed-out')).toMatchObject([{ timeoutMs: 20, phase: 'model/list' }]);
	expect(made.fetches.all[0]?.context.signal.aborted).toBe(false);
	await answer(made, 1, 'a');
	expect(await patient).toEqual(['a']);
	expect(made.fetches.count).toBe(1);
	expect(made.eventsOf('failed')).toEqual([]);
	// The caller who left did not get the list.
	expect(made.eventsOf('miss')).toHaveLength(1);
});

test('a fetch that every caller has left fills the cache', async () => {
	stopClock();
	const made = makeCache({ deadlineMs: 20 });
	const failure = failureOf(made.list());
	await made.fetches.nth(1);
	await pass(20);
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	await answer(made, 1, 'a');
	expect(await made.ids()).toEqual(['a']);
	expect(made.fetches.count).toBe(1);
});

test('the deadline of a call comes before that of the catalog, in both directions', async () => {
	stopClock();
	const made = makeCache({ deadlineMs: 20 });
	const patient = made.ids({ deadlineMs: infinity });
	const failures = Promise.all([failureOf(made.list()), failureOf(made.list({ deadlineMs: 0 }))]);
	await made.fetches.nth(1);
	await pass(50_000);
	expect(await failures).toMatchObject([{ timeoutMs: 20 }, { timeoutMs: 0 }]);
	expect(await isPending(patient)).toBe(true);
});

test('a deadline of 0 is enough for a list in memory', async () => {
	const made = await makeFilledCache(['a']);
	expect(await made.ids({ deadlineMs: 0 })).toEqual(['a']);
});

test('a deadline that ends before the fetch starts names the phase spawn', async () => {
	stopClock();
	const made = makeCache({ store: makeStore({ get: never }) });
	const failure = failureOf(made.list({ deadlineMs: 10 }));
	await settle();
	await pass(10);
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn', stderr: '' });
	expect(made.fetches.count).toBe(0);
});

test.each([
	['an Error', new Error('the user left')],
	['a string', 'the user left'],
	['a number', 0],
	['null', null],
	['nothing', undefined],
])(
	'an abort rejects with the reason of the signal, and ends the wait of its caller only: %s',
	async (_, reason) => {
		const made = makeCache();
		const controller = new AbortController();
		const patient = made.ids();
		const leaving = Promise.allSettled([made.list({ signal: controller.signal })]);
		await made.fetches.nth(1);
		controller.abort(reason);
		const [left] = await leaving;
		expect(left?.status).toBe('rejected');
		expect((left as PromiseRejectedResult).reason).toBe(controller.signal.reason);
		await answer(made, 1, 'a');
		expect(await patient).toEqual(['a']);
		expect(made.fetches.count).toBe(1);
	},
);

test('the only caller may leave: the fetch goes on and fills the cache', async () => {
	const made = makeCache();
	const controller = new AbortController();
	const leaving = failureOf(made.list({ signal: controller.signal }));
	const fetch = await made.fetches.nth(1);
	controller.abort();
	expect(await leaving).toMatchObject({ name: 'AbortError' });
	expect(fetch.context.signal.aborted).toBe(false);
	await answer(made, 1, 'a');
	expect(await made.ids()).toEqual(['a']);
});

test('an aborted signal starts nothing, and gets nothing from the cache', async () => {
	const reason = new Error('too late');
	const signal = AbortSignal.abort(reason);
	const cold = makeCache();
	expect(await failureOf(cold.list({ signal }))).toBe(reason);
	expect(await failureOf(cold.list({ signal, refresh: true }))).toBe(reason);
	await settle();
	expect(cold.files.looks).toBe(0);
	expect(cold.fetches.count).toBe(0);
	const warm = await makeFilledCache(['a']);
	expect(await failureOf(warm.list({ signal }))).toBe(reason);
});

test('2,000 callers with one signal share one listener, which is gone after them', async () => {
	const warnings: Error[] = [];
	const note = (warning: Error) =>
		warning.name === 'MaxListenersExceededWarning' && warnings.push(warning);
	process.on('warning', note);
	onTestFinished(() => {
		process.off('warning', note);
	});
	const controller = new AbortController();
	const { signal } = controller;
	const caches = [makeCache(), makeCache()];
	const calls = caches.flatMap((made) => Array.from({ length: 1_000 }, () => made.ids({ signal })));
	await Promise.all(caches.map((made) => made.fetches.nth(1)));
	expect(getEventListeners(signal, 'abort')).toHaveLength(1);
	for (const made of caches) await answer(made, 1, 'a');
	expect(new Set((await Promise.all(calls)).flat())).toEqual(new Set(['a']));
	expect(getEventListeners(signal, 'abort')).toEqual([]);
	// The signal works for later callers, too.
	const later = caches.map((made) => failureOf(made.list({ signal, refresh: true })));
	await Promise.all(caches.map((made) => made.fetches.nth(2)));
	controller.abort(new Error('left'));
	for (const error of await Promise.all(later)) expect(error).toBe(signal.reason);
	expect(getEventListeners(signal, 'abort')).toEqual([]);
	await settle();
	expect(warnings).toEqual([]);
});

test('an abort reaches the callers that still wait after another one with the same signal got its list', async () => {
	const controller = new AbortController();
	const wait = (work: Promise<string>) =>
		waitForCaller(work, infinity, [controller.signal], () => 'late');
	const patient = failureOf(wait(never()));
	expect(await wait(Promise.resolve('a'))).toBe('a');
	controller.abort(new Error('left'));
	expect(await patient).toBe(controller.signal.reason);
});

test('a signal that is aborted already ends the wait at once', async () => {
	const signal = AbortSignal.abort(new Error('left'));
	expect(await failureOf(waitForCaller(never(), infinity, [signal], () => 'late'))).toBe(
		signal.reason,
	);
	expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('no listener and no timer is left after a success, a failure, a deadline or an abort', async () => {
	stopClock();
	const unhandled = countUnhandledRejections();
	const gate = makeGate<string>();
	const outcomes = {
		success: () => Promise.resolve('a'),
		failure: () => Promise.reject(exitError()),
		deadline: never,
		abort: never,
		'failure after the deadline': () => gate.opened,
	};
	for (const [name, start] of Object.entries(outcomes)) {
		const controller = new AbortController();
		const closed = new AbortController();
		const wait = Promise.allSettled([
			waitForCaller<unknown>(start(), 100, [controller.signal, undefined, closed.signal], () => {
				throw new Error('the deadline');
			}),
		]);
		if (name === 'abort') controller.abort();
		else await pass(100);
		await wait;
		for (const { signal } of [controller, closed])
			expect(getEventListeners(signal, 'abort')).toEqual([]);
		expect(vi.getTimerCount()).toBe(0);
	}
	gate.fail(new Error('too late'));
	await settle();
	expect(unhandled).toEqual([]);
});

test('a caller without a deadline keeps the process alive by a timer until the end of its wait', async () => {
	stopClock();
	const gate = makeGate<string>();
	const wait = waitForCaller(gate.opened, infinity, [], () => {
		throw new Error('no deadline');
	});
	expect(vi.getTimerCount()).toBe(1);
	await pass(1e9);
	gate.open('a');
	expect(await wait).toBe('a');
	expect(vi.getTimerCount()).toBe(0);
});
