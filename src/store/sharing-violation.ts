import pRetry from 'p-retry';
import { isWindows } from '../system/environment.js';
import { hasCode } from '../system/files.js';

/** Whether the error may be over soon: Windows refuses to replace or remove a file that another process has open (nodejs/node#29481). */
export const isSharingViolation = (error: unknown, onWindows = isWindows) =>
	onWindows && hasCode(error, 'EPERM', 'EACCES', 'EBUSY');

/** Repeats a step for half a second while it fails with a sharing violation. */
export const retryOnSharingViolation = (step: () => Promise<void>, onWindows = isWindows) =>
	pRetry(step, {
		retries: 40,
		minTimeout: 10,
		factor: 1,
		randomize: true,
		shouldRetry: ({ error }) => isSharingViolation(error, onWindows),
	});
