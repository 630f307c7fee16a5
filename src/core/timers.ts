import timers from 'node:timers';

// The timers of `node:timers` are objects with `unref` also where the global ones are numbers (Electron's renderers, jsdom).
// The module's object is read at each call, because fake timers replace its members.

/** Runs `step` after `ms` milliseconds; the timer does not keep the process alive. */
export function setUnrefTimeout(step: () => void, ms: number): NodeJS.Timeout {
	return timers.setTimeout(step, ms).unref();
}

/** Runs `step` every `ms` milliseconds; the timer does not keep the process alive. */
export function setUnrefInterval(step: () => void, ms: number): NodeJS.Timeout {
	return timers.setInterval(step, ms).unref();
}

export function clearTimer(timer: NodeJS.Timeout | undefined): void {
	timers.clearTimeout(timer);
}

/** Keeps the process alive until the returned function is called. */
export function keepProcessAlive(): () => void {
	const timer = timers.setInterval(() => {}, 60_000);
	return () => clearTimer(timer);
}

/** Resolves after `ms` milliseconds; does not keep the process alive. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setUnrefTimeout(resolve, ms));

/** The `customTimers` of p-timeout for a caller's wait: the timer keeps the process alive. */
export const refTimers = {
	setTimeout: ((step: () => void, ms: number) => timers.setTimeout(step, ms)) as typeof setTimeout,
	clearTimeout: clearTimer as typeof clearTimeout,
};

/** The `customTimers` of p-timeout for background work. */
export const unrefTimers = {
	setTimeout: setUnrefTimeout as typeof setTimeout,
	clearTimeout: clearTimer as typeof clearTimeout,
};
