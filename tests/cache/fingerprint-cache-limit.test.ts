import { expect, test, vi } from 'vitest';
import { FingerprintCache } from '../../src/cache/fingerprint-cache.js';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	checkIntervalMs,
	failureOf,
	isPending,
	maxAgeMs,
	pass,
	servableMs,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

/** The time that a caller with a known list waits for a look at the files. */
const lookLimitMs = 100;

test('a known list is served 100 ms after the start of a look that hangs, and without delay from then on', async () => {
	const made = await makeFilledCache(['a']);
	const looks = made.files.looks;
	const finish = made.files.hang();
	setAge(checkIntervalMs);
	const first = made.ids();
	await pass(lookLimitMs - 1);
	expect(await isPending(first)).toBe(true);
	await pass(1);
	expect(await first).toEqual(['a']);
	for (let count = 0; count < 10; count++) {
		await pass(checkIntervalMs);
		expect(vi.getTimerCount()).toBe(0);
		expect(await made.ids({ deadlineMs: 0 })).toEqual(['a']);
	}
	expect(made.files.looks).toBe(looks + 1);
	// The end of the look counts again.
	made.files.change({ account: 'two' });
	finish();
	await settle();
	const list = made.ids();
	await answer(made, 2, 'two');
	expect(await list).toEqual(['two']);
	expect(made.files.looks).toBeGreaterThan(looks + 1);
});

test.each([0, 50])(
	'a deadline of %d ms that ends during a look at the files is enough for a known list',
	async (deadlineMs) => {
		const made = await makeFilledCache(['a']);
		made.files.hang();
		setAge(checkIntervalMs);
		const list = made.ids({ deadlineMs });
		await pass(lookLimitMs);
		expect(await list).toEqual(['a']);
		expect(made.eventsOf('hit')).toHaveLength(1);
		expect(made.eventsOf('timed-out')).toEqual([]);
		// A refresh is not from the cache.
		const failure = failureOf(made.list({ refresh: true, deadlineMs }));
		await pass(lookLimitMs);
		expect(await failure).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: deadlineMs });
	},
);

test('a stale list is refreshed while a look hangs', async () => {
	const made = await makeFilledCache(['old']);
	made.files.hang();
	setAge(maxAgeMs);
	const list = made.ids();
	await pass(lookLimitMs);
	expect(await list).toEqual(['old']);
	(await made.fetches.nth(2)).succeed(['new']);
	// The look after a fetch is given the same time.
	await pass(lookLimitMs);
	expect(await made.ids()).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: true });
});

test('a caller without a list waits for a look that hangs until its deadline or its abort', async () => {
	stopClock();
	const made = makeCache();
	const finish = made.files.hang();
	const controller = new AbortController();
	const patient = made.ids({ deadlineMs: Number.POSITIVE_INFINITY });
	const early = failureOf(made.list({ deadlineMs: 50 }));
	const leaving = failureOf(made.list({ signal: controller.signal }));
	const refreshing = failureOf(made.list({ refresh: true, deadlineMs: 70 }));
	await pass(50);
	expect(await early).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 50, phase: 'spawn' });
	controller.abort();
	expect(await leaving).toMatchObject({ name: 'AbortError' });
	await pass(20);
	expect(await refreshing).toMatchObject({ timeoutMs: 70 });
	expect(made.files.looks).toBe(1);
	expect(made.fetches.count).toBe(0);
	finish();
	await answer(made, 1, 'a');
	expect(await patient).toEqual(['a']);
	expect(made.files.looks).toBe(2);
});

test('a list whose time is over while a look hangs is not served', async () => {
	const made = await makeFilledCache(['old']);
	made.files.hang();
	setAge(servableMs);
	expect(made.peek()).toBeUndefined();
	const failure = failureOf(made.list({ deadlineMs: 500 }));
	await pass(500);
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn' });
});

test('a look that hangs after a fetch holds up neither its list nor close(), also for a forgotten target', async () => {
	stopClock();
	const made = makeCache({ maxEntries: 1 });
	const list = made.ids({ cwd: '/a' });
	await made.fetches.nth(1);
	for (const [n, cwd] of [
		[2, '/b'],
		[3, '/c'],
		[4, '/d'],
	] as const) {
		const other = made.list({ cwd });
		await answer(made, n, 'other');
		await other;
	}
	made.files.hang();
	(await made.fetches.nth(1)).succeed(['a']);
	await pass(lookLimitMs);
	expect(await isPending(list)).toBe(false);
	expect(await list).toEqual(['a']);
	await made.close();
});

test('a look that ends after the event loop stood still counts, however long that was', async () => {
	const finished = new Promise<void>((resolve) => {
		const files = { account: 'new', configuration: '', command: null };
		const cache = new FingerprintCache(() => new Promise((found) => setImmediate(found, files)), 1);
		const target = { cwd: '/', isDefaultCwd: true, codexHome: undefined, key: '' };
		const known = { account: 'known', configuration: '', command: null, cacheKey: '' };
		const look = cache.readWithTimeout(target, known);
		// The timers are due before the look can end.
		const until = performance.now() + 2 * lookLimitMs;
		while (performance.now() < until);
		resolve(look.then(({ account }) => expect(account).toBe('new')));
	});
	await finished;
});
