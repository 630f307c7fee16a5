import pTimeout from 'p-timeout';
import { keepProcessAlive, refTimers } from '../system/timers.js';

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
	const cancels = signals.map((signal) => signal && onAbort(signal, abort));
	// p-timeout refuses 0, and leaves `work` without a handler then (7.0.2).
	const milliseconds = Math.max(1, deadlineMs);
	try {
		return await pTimeout(work, {
			milliseconds,
			signal: controller.signal,
			fallback: onDeadline,
			customTimers: refTimers,
		});
	} catch (error) {
		for (const signal of signals) signal?.throwIfAborted();
		throw error;
	} finally {
		for (const cancel of cancels) cancel?.();
		release?.();
	}
}

/** What is to be done when one signal aborts; the set itself is the listener. */
class AbortActions extends Set<() => void> {
	handleEvent(): void {
		for (const action of this) action();
	}
}

const actionsBySignal = new WeakMap<AbortSignal, AbortActions>();

/**
 * Calls `action` when the signal aborts, or now if it is aborted. Returns a function that cancels the call. A signal has one
 * listener for all callers, because Node compares each new listener with all others (20: 14 s for 40,000), and warns of the
 * eleventh.
 */
function onAbort(signal: AbortSignal, action: () => void): () => void {
	if (signal.aborted) action();
	const actions = actionsBySignal.get(signal) ?? new AbortActions();
	if (actions.size === 0) signal.addEventListener('abort', actions);
	actionsBySignal.set(signal, actions.add(action));
	return () => {
		if (actions.delete(action) && actions.size === 0) signal.removeEventListener('abort', actions);
	};
}
