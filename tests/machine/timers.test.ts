import { afterEach, expect, test, vi } from 'vitest';
import {
	keepProcessAlive,
	sleep,
	unref,
	unrefTimers,
	withPatience,
} from '../../src/system/timers.js';

afterEach(() => vi.unstubAllGlobals());

test('a timer of background work does not keep the process alive, and can be cleared', async () => {
	const step = vi.fn();
	const interval = unref(setInterval(step, 1));
	const timer = unrefTimers.setTimeout(step, 1);
	expect([interval, timer].map((each) => each.hasRef())).toEqual([false, false]);
	clearInterval(interval);
	unrefTimers.clearTimeout(timer);
	await new Promise((resolve) => setTimeout(resolve, 20));
	expect(step).not.toHaveBeenCalled();
});

test('a process is kept alive until the work is done, and by no sleep', async () => {
	const before = process.getActiveResourcesInfo().length;
	const slept = sleep(1);
	expect(process.getActiveResourcesInfo().length).toBe(before);
	await slept;
	const work = keepProcessAlive(Promise.resolve());
	expect(process.getActiveResourcesInfo().length).toBe(before + 1);
	await work;
	expect(process.getActiveResourcesInfo().length).toBe(before);
});

test('timers follow the fake ones of a test', async () => {
	vi.useFakeTimers();
	const step = vi.fn();
	unrefTimers.setTimeout(step, 1_000);
	unrefTimers.clearTimeout(unrefTimers.setTimeout(step, 1_000));
	await vi.advanceTimersByTimeAsync(1_000);
	expect(step).toHaveBeenCalledTimes(1);
});

test('timers that are numbers, as in a renderer of Electron, are taken as they are', () => {
	const cleared = vi.fn();
	vi.stubGlobal('setTimeout', () => 7);
	vi.stubGlobal('clearTimeout', cleared);
	const timer = unrefTimers.setTimeout(() => {}, 1);
	expect(timer).toBe(7);
	unrefTimers.clearTimeout(timer);
	expect(cleared).toHaveBeenCalledWith(7);
});

test('work of several steps is waited for also where the event loop stands still at each', async () => {
	const work = async () => {
		for (let step = 0; step < 6; step++) {
			await new Promise(setImmediate);
			for (const end = performance.now() + 30; performance.now() < end; );
		}
		return 'done';
	};
	expect(await withPatience(work(), 100)).toBe('done');
});

test('work that never ends keeps one reaction of each wait, however long that is', async () => {
	const work = new Promise(() => {});
	const then = vi.spyOn(work, 'then');
	expect(await withPatience(work, 50)).toBeUndefined();
	expect(then).toHaveBeenCalledTimes(1);
});
