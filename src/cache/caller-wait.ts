import pTimeout from 'p-timeout';

/** The longest time of a timer, some 25 days: no fetch takes longer. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * The result of `work`, unless the deadline comes first (then that of `onDeadline`) or a signal aborts (then its reason). The
 * work itself goes on.
 */
export function waitForCaller<T>(
	work: Promise<T>,
	deadlineMs: number,
	signals: AbortSignal[],
	onDeadline: () => T,
): Promise<T> {
	const controller = new AbortController();
	const cancels = signals.map((signal) => onAbort(signal, () => controller.abort(signal.reason)));
	// p-timeout refuses 0 (7.0.2). The timer keeps the process alive, so that there is one for `Infinity`, too.
	const milliseconds = Math.min(Math.max(1, deadlineMs), maxTimerMs);
	const limits = { milliseconds, signal: controller.signal, fallback: onDeadline };
	return pTimeout(work, limits).finally(() => {
		for (const cancel of cancels) cancel();
	});
}

/** The set of what is to be done is the listener itself. */
class AbortActions extends Set<() => void> {
	handleEvent(): void {
		for (const action of this) action();
	}
}

const actionsBySignal = new WeakMap<AbortSignal, AbortActions>();

/**
 * Calls `action` when the signal aborts. Returns a function that cancels the call. All callers of a signal share one
 * listener, because Node warns of the eleventh, and needs a second for ten thousand.
 */
function onAbort(signal: AbortSignal, action: () => void): () => void {
	const actions = actionsBySignal.get(signal) ?? new AbortActions();
	if (actions.size === 0) signal.addEventListener('abort', actions);
	actionsBySignal.set(signal, actions.add(action));
	return () => {
		if (actions.delete(action) && actions.size === 0) signal.removeEventListener('abort', actions);
	};
}
