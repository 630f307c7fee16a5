import nodeTimers from 'node:timers';

/** The timers that came from `node:timers`. */
const ownTimers = new WeakSet<NodeJS.Timeout>();

/**
 * A timer with `unref`, also where the global ones are numbers (Electron's renderers, jsdom). The global function is read at
 * each call, because fake timers replace it, and not that of `node:timers` (vitest 4.1.12).
 */
function start(kind: 'setTimeout' | 'setInterval', step: () => void, ms: number): NodeJS.Timeout {
	const timer: unknown = globalThis[kind](step, ms);
	if (typeof timer === 'object') return timer as NodeJS.Timeout;
	globalThis.clearTimeout(timer as number);
	const own = nodeTimers[kind](step, ms);
	ownTimers.add(own);
	return own;
}

const setRefTimeout = (step: () => void, ms: number) => start('setTimeout', step, ms);

/** Runs `step` after `ms` milliseconds; the timer does not keep the process alive. */
export const setUnrefTimeout = (step: () => void, ms: number) => setRefTimeout(step, ms).unref();

/** Runs `step` every `ms` milliseconds; the timer does not keep the process alive. */
export const setUnrefInterval = (step: () => void, ms: number) => start('setInterval', step, ms).unref();

export function clearTimer(timer: NodeJS.Timeout | undefined): void {
	if (timer) (ownTimers.has(timer) ? nodeTimers : globalThis).clearTimeout(timer);
}

/** Keeps the process alive until the returned function is called. */
export function keepProcessAlive(): () => void {
	const timer = start('setInterval', () => {}, 60_000);
	return () => clearTimer(timer);
}

/** Resolves after `ms` milliseconds; does not keep the process alive. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setUnrefTimeout(resolve, ms));

/** The same in real time, also where a test has replaced the clock. */
export const sleepInRealTime = (ms: number) => new Promise<void>((resolve) => nodeTimers.setTimeout(resolve, ms).unref());

/** The `customTimers` of p-timeout for a caller's wait: the timer keeps the process alive. */
export const refTimers = {
	setTimeout: setRefTimeout as typeof globalThis.setTimeout,
	clearTimeout: clearTimer as typeof globalThis.clearTimeout,
};

/** The `customTimers` of p-timeout for background work. */
export const unrefTimers = {
	setTimeout: setUnrefTimeout as typeof globalThis.setTimeout,
	clearTimeout: clearTimer as typeof globalThis.clearTimeout,
};
