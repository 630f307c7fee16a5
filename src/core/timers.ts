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

export function clearTimer(timer: NodeJS.Timeout | undefined): void {
	if (timer) (ownTimers.has(timer) ? nodeTimers : globalThis).clearTimeout(timer);
}

// An unreferenced timer does not keep the process alive.
export const setUnrefTimeout = (step: () => void, ms: number) => start('setTimeout', step, ms).unref();
export const setUnrefInterval = (step: () => void, ms: number) => start('setInterval', step, ms).unref();
export const sleep = (ms: number) => new Promise<void>((resolve) => setUnrefTimeout(resolve, ms));

/** Sleeps in real time, also where a test has replaced the clock. */
export const sleepInRealTime = (ms: number) => new Promise<void>((resolve) => nodeTimers.setTimeout(resolve, ms).unref());

/** Keeps the process alive until the returned function is called. */
export function keepProcessAlive(): () => void {
	const timer = start('setInterval', () => {}, 60_000);
	return () => clearTimer(timer);
}

/** The `customTimers` of p-timeout: those of a caller's wait keep the process alive, those of background work do not. */
export const refTimers = toCustomTimers((step, ms) => start('setTimeout', step, ms));
export const unrefTimers = toCustomTimers(setUnrefTimeout);

function toCustomTimers(setTimeout: (step: () => void, ms: number) => NodeJS.Timeout) {
	return { setTimeout: setTimeout as typeof globalThis.setTimeout, clearTimeout: clearTimer as typeof globalThis.clearTimeout };
}
