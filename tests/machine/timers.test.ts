import nodeTimers from 'node:timers';
import { afterEach, expect, test, vi } from 'vitest';
import {
	clearTimer,
	keepProcessAlive,
	refTimers,
	setUnrefInterval,
	setUnrefTimeout,
	sleep,
	unrefTimers,
} from '../../src/system/timers.js';

afterEach(() => vi.unstubAllGlobals());

test('a timer does not keep the process alive, and can be cleared', async () => {
	const step = vi.fn();
	const timers = [setUnrefTimeout(step, 1), setUnrefInterval(step, 1)];
	expect(timers.map((timer) => timer.hasRef())).toEqual([false, false]);
	for (const timer of timers) clearTimer(timer);
	clearTimer(undefined);
	await new Promise((resolve) => setTimeout(resolve, 20));
	expect(step).not.toHaveBeenCalled();
	await sleep(1);
});

test('the timer of a wait keeps the process alive, and that of background work does not', () => {
	const waits = [refTimers, unrefTimers].map(({ setTimeout }) => setTimeout(() => {}, 60_000));
	expect(waits.map((timer) => timer.hasRef())).toEqual([true, false]);
	refTimers.clearTimeout(waits[0]);
	unrefTimers.clearTimeout(waits[1]);
	const before = process.getActiveResourcesInfo().length;
	const stop = keepProcessAlive();
	expect(process.getActiveResourcesInfo().length).toBe(before + 1);
	stop();
	expect(process.getActiveResourcesInfo().length).toBe(before);
});

test('timers follow the fake ones of a test', async () => {
	vi.useFakeTimers();
	const step = vi.fn();
	setUnrefTimeout(step, 1_000);
	clearTimer(setUnrefTimeout(step, 1_000));
	await vi.advanceTimersByTimeAsync(1_000);
	expect(step).toHaveBeenCalledTimes(1);
});

test('where the global timers are numbers, as in a renderer of Electron, those of Node are used', async () => {
	const started: number[] = [];
	const cleared: unknown[] = [];
	for (const kind of ['setTimeout', 'setInterval']) vi.stubGlobal(kind, () => started.push(1));
	for (const kind of ['clearTimeout', 'clearInterval'])
		vi.stubGlobal(kind, (timer: unknown) => cleared.push(timer));
	const step = vi.fn();
	const kept = setUnrefTimeout(step, 1);
	expect(kept.hasRef()).toBe(false);
	clearTimer(setUnrefTimeout(step, 1));
	clearTimer(setUnrefInterval(step, 1));
	await new Promise((resolve) => nodeTimers.setTimeout(resolve, 20));
	expect(step).toHaveBeenCalledTimes(1);
	// Each number is cleared at once.
	expect(cleared.filter((timer) => typeof timer === 'number')).toEqual(
		started.map((_, index) => index + 1),
	);
});
