import { setMaxListeners } from 'node:events';
import pTimeout from 'p-timeout';
import { keepProcessAlive, refTimers } from '../core/timers.js';

/**
 * The result of `work`, unless the deadline comes first (then that of `onDeadline`) or a signal aborts (then its reason). The
 * work itself goes on. The process is kept alive meanwhile.
 */
export async function waitForCaller<T>(
	work: Promise<T>,
	deadlineMs: number,
	signals: (AbortSignal | undefined)[],
	onDeadline: () => T,
): Promise<T> {
	// A deadline's timer keeps the process alive; without a deadline there is none.
	const release = deadlineMs === Number.POSITIVE_INFINITY ? keepProcessAlive() : undefined;
	const controller = new AbortController();
	const abort = () => controller.abort();
	for (const signal of signals) {
		// Node warns of the eleventh caller with one signal. The signal of another realm (jsdom) is no EventTarget of Node's.
		if (signal instanceof EventTarget) setMaxListeners(0, signal);
		signal?.addEventListener('abort', abort);
		if (signal?.aborted) abort();
	}
	// p-timeout refuses 0, and leaves `work` without a handler then (7.0.2).
	const milliseconds = Math.max(1, deadlineMs);
	try {
		return await pTimeout(work, { milliseconds, signal: controller.signal, fallback: onDeadline, customTimers: refTimers });
	} catch (error) {
		for (const signal of signals) signal?.throwIfAborted();
		throw error;
	} finally {
		for (const signal of signals) signal?.removeEventListener('abort', abort);
		release?.();
	}
}
