import nodeTimers from 'node:timers';

/**
 * A timer that has `unref`. The global function is read at each call, because fake timers replace it, and not that of
 * `node:timers` (vitest 4.1.12); it returns a number in Electron's renderers and in jsdom.
 */
function start(kind: 'setTimeout' | 'setInterval', step: () => void, ms: number): NodeJS.Timeout {
	const timer: unknown = globalThis[kind](step, ms);
	if (typeof timer === 'object') return timer as NodeJS.Timeout;
	globalThis.clearTimeout(timer as number);
	return nodeTimers[kind](step, ms);
}

/** The timer may come from either source; each skips a timer of the other one. */
export function clearTimer(timer: NodeJS.Timeout | undefined): void {
	globalThis.clearTimeout(timer);
	nodeTimers.clearTimeout(timer);
}

const setRefTimeout = (step: () => void, ms: number) => start('setTimeout', step, ms);

/** Neither timer keeps the process alive. */
export const setUnrefTimeout = (step: () => void, ms: number) => setRefTimeout(step, ms).unref();
export const setUnrefInterval = (step: () => void, ms: number) =>
	start('setInterval', step, ms).unref();

export function keepProcessAlive(): () => void {
	const timer = start('setInterval', () => {}, 60_000);
	return () => clearTimer(timer);
}

/** Sleeps in real time, also where a test has replaced the clock: the end of a process is real. */
export const sleep = (ms: number) =>
	new Promise<void>((resolve) => nodeTimers.setTimeout(resolve, ms).unref());

type CustomTimers = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>;

/** The `customTimers` of p-timeout: those of a caller's wait keep the process alive, those of background work do not. */
export const refTimers = { setTimeout: setRefTimeout, clearTimeout: clearTimer } as CustomTimers;
export const unrefTimers = {
	setTimeout: setUnrefTimeout,
	clearTimeout: clearTimer,
} as CustomTimers;
