import pTimeout from 'p-timeout';
import { keepProcessAlive } from '../system/timers.js';

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
	const limits = { signal: controller.signal, fallback: onDeadline };
	try {
		// p-timeout refuses 0, and leaves `work` without a handler then (7.0.2).
		return await pTimeout(work, { milliseconds: Math.max(1, deadlineMs), ...limits });
	} catch (error) {
		for (const signal of signals) signal?.throwIfAborted();
		throw error;
	} finally {
		for (const cancel of cancels) cancel?.();
		release?.();
	}
}

/** The set of what is to be done is the listener itself. */
class AbortActions extends Set<() => void> {
	handleEvent(): void {
		for (const action of this) action();
	}
}

const actionsBySignal = new WeakMap<AbortSignal, AbortActions>();

/**
 * Calls `action` when the signal aborts, or now if it is aborted. Returns a function that cancels the call. All callers of a
 * signal share one listener, because Node warns of the eleventh.
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
