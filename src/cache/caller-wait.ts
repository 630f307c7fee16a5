import pTimeout from 'p-timeout';
import { keepProcessAlive, refTimers } from '../core/timers.js';

type SharedListener = { calls: Set<() => void>; remove(): void };

const sharedListeners = new WeakMap<AbortSignal, SharedListener>();

/**
 * Runs `call` when the signal aborts; returns a function that undoes this. All callers share one listener on the signal,
 * because Node warns of the eleventh.
 */
function onAbort(signal: AbortSignal, call: () => void): () => void {
	const shared = sharedListeners.get(signal) ?? shareListener(signal);
	shared.calls.add(call);
	return () => {
		shared.calls.delete(call);
		if (shared.calls.size > 0) return;
		shared.remove();
		if (sharedListeners.get(signal) === shared) sharedListeners.delete(signal);
	};
}

function shareListener(signal: AbortSignal): SharedListener {
	const calls = new Set<() => void>();
	const callAll = () => {
		for (const call of [...calls]) call();
	};
	signal.addEventListener('abort', callAll, { once: true });
	const shared = { calls, remove: () => signal.removeEventListener('abort', callAll) };
	sharedListeners.set(signal, shared);
	return shared;
}

/**
 * The result of `work`, unless the deadline comes first (then what `onDeadline` throws) or one of the signals aborts (then
 * its reason). The work itself goes on. The process is kept alive meanwhile.
 */
export async function waitForCaller<T>(
	work: Promise<T>,
	deadlineMs: number,
	signals: (AbortSignal | undefined)[],
	onDeadline: () => never,
): Promise<T> {
	const given = signals.filter((signal) => signal !== undefined);
	// A deadline's timer keeps the process alive; without a deadline there is none.
	const release = deadlineMs === Number.POSITIVE_INFINITY ? keepProcessAlive() : undefined;
	const controller = new AbortController();
	const removals = given.map((signal) => onAbort(signal, () => controller.abort(signal.reason)));
	try {
		return await pTimeout(work, {
			// p-timeout refuses 0, and leaves `work` without a handler then (7.0.2).
			milliseconds: Math.max(1, deadlineMs),
			signal: controller.signal,
			fallback: onDeadline,
			customTimers: refTimers,
		});
	} catch (error) {
		// p-timeout replaces a reason of `null` by a `DOMException` (7.0.2).
		for (const signal of given) signal.throwIfAborted();
		throw error;
	} finally {
		for (const remove of removals) remove();
		release?.();
	}
}
