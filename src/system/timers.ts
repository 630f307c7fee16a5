import { setTimeout as setRealTimeout } from 'node:timers/promises';
import pTimeout from 'p-timeout';

/**
 * A timer that does not keep the process alive. It is one of the global functions, because fake timers replace no others
 * (vitest 4.1.12); in Electron's renderers and in jsdom it is a number, which has no `unref`.
 */
export function unref(timer: NodeJS.Timeout): NodeJS.Timeout {
	timer.unref?.();
	return timer;
}

/** The `customTimers` of p-timeout for background work. */
export const unrefTimers = {
	setTimeout: (step: () => void, ms: number) => unref(setTimeout(step, ms)),
	clearTimeout: (timer: NodeJS.Timeout) => clearTimeout(timer),
} as Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>;

/**
 * The result of work that never rejects, or `undefined` when it takes longer. The time is waited in steps: a standstill of the
 * event loop counts as one of them, because the work stands still, too.
 */
export async function withPatience<T>(work: Promise<T>, limitMs = 1_000): Promise<T | undefined> {
	const milliseconds = 10;
	const step = { milliseconds, fallback: () => undefined, customTimers: unrefTimers };
	let result: T | undefined;
	for (let waitedMs = 0; waitedMs < limitMs && result === undefined; waitedMs += milliseconds)
		result = await pTimeout(work, step);
	return result;
}

/** Keeps the process alive until the work is done. */
export function keepProcessAlive<T>(work: Promise<T>): Promise<T> {
	const timer = setInterval(() => {}, 60_000);
	return work.finally(() => clearInterval(timer));
}

/**
 * Sleeps in real time, also where a test has replaced the clock: the end of a process is real. An abort clears the timer, and
 * rejects.
 */
export const sleep = (ms: number, signal?: AbortSignal) =>
	setRealTimeout(ms, undefined, { ref: false, signal });
