import { isWindows } from '../core/environment.js';
import { hasCode } from '../core/files.js';
import { refTimers } from '../core/timers.js';

/** How long and how often a step is repeated, in milliseconds. */
const retryTimes = { limitMs: 500, pauseMs: 20 };

/** Whether the error may be over soon: Windows refuses to replace or remove a file that another process has open (nodejs/node#29481). */
export function isSharingViolation(error: unknown, onWindows = isWindows): boolean {
	return onWindows && hasCode(error, 'EPERM', 'EACCES', 'EBUSY');
}

/** Repeats a step for half a second while it fails with a sharing violation. */
export async function retryOnSharingViolation(
	step: () => Promise<void>,
	{ onWindows = isWindows, limitMs = retryTimes.limitMs } = {},
): Promise<void> {
	const startedAt = performance.now();
	for (;;) {
		try {
			return await step();
		} catch (error) {
			const isLate = performance.now() - startedAt >= limitMs;
			if (isLate || !isSharingViolation(error, onWindows)) throw error;
		}
		// The timer is referenced: a program that ends with this write must not lose the write.
		await new Promise<void>((resolve) => refTimers.setTimeout(resolve, retryTimes.pauseMs));
	}
}
