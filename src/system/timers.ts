import { setTimeout as setRealTimeout } from 'node:timers/promises';

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

const stepMs = 10;

/**
 * The result of work that never rejects, or `undefined` when it takes longer. The time in which the event loop stands still
 * counts as one step, because the work stands still, too.
 */
export function withPatience<T>(work: Promise<T>, limitMs = 1_000): Promise<T | undefined> {
	let waitedMs = 0;
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<undefined>((resolve) => {
		const step = () => {
			waitedMs += stepMs;
			if (waitedMs >= limitMs) resolve(undefined);
		};
		timer = unref(setInterval(step, stepMs));
	});
	return Promise.race([work, limit]).finally(() => clearInterval(timer));
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
