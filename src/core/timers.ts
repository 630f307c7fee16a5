import nodeTimers from 'node:timers';

// The global functions are read at each call, because fake timers replace them, and not those of `node:timers` (vitest 4.1.12).
// They return numbers, which have no `unref` and keep nothing alive, in Electron's renderers and in jsdom.

export const clearTimer = (timer: NodeJS.Timeout | undefined) => globalThis.clearTimeout(timer);
const setRefTimeout = (step: () => void, ms: number) => globalThis.setTimeout(step, ms);
const unref = (timer: NodeJS.Timeout): NodeJS.Timeout => timer.unref?.() ?? timer;

export const setUnrefTimeout = (step: () => void, ms: number) => unref(globalThis.setTimeout(step, ms));
export const setUnrefInterval = (step: () => void, ms: number) => unref(globalThis.setInterval(step, ms));

/** Keeps the process alive until the returned function is called. */
export function keepProcessAlive(): () => void {
	const timer = globalThis.setInterval(() => {}, 60_000);
	return () => clearTimer(timer);
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setUnrefTimeout(resolve, ms));

/** Sleeps in real time, also where a test has replaced the clock. */
export const sleepInRealTime = (ms: number) => new Promise<void>((resolve) => nodeTimers.setTimeout(resolve, ms).unref());

type CustomTimers = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>;

/** The `customTimers` of p-timeout: those of a caller's wait keep the process alive, those of background work do not. */
export const refTimers = { setTimeout: setRefTimeout, clearTimeout: clearTimer } as CustomTimers;
export const unrefTimers = { setTimeout: setUnrefTimeout, clearTimeout: clearTimer } as CustomTimers;
