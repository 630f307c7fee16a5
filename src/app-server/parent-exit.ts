import process from 'node:process';
import { onExit } from 'signal-exit';
import { signals } from 'signal-exit/signals';

const steps = new Set<() => void>();
let stopWatching: (() => void) | undefined;

/**
 * Calls `step` when this process ends: by return, `process.exit`, an uncaught error, or a signal without a handler; in a
 * worker, when its thread ends by any but the last. Returns a function that cancels the call. The process has listeners
 * only while there are steps.
 */
export function onParentExit(step: () => void): () => void {
	steps.add(step);
	stopWatching ??= watchExit();
	return () => {
		steps.delete(step);
		if (steps.size > 0) return;
		stopWatching?.();
		stopWatching = undefined;
	};
}

function runSteps() {
	for (const step of steps) step();
}

function watchExit() {
	const before = signals.map((signal) => process.listenerCount(signal));
	// The listener returns nothing: `true` would keep signal-exit from ending this process.
	const stopListening = attempt(() => onExit(runSteps));
	// signal-exit notices neither a return nor an uncaught error on Bun (1.4.5), and nothing at all in a worker.
	process.once('exit', runSteps);
	for (const [index, signal] of signals.entries()) {
		const listeners = process.listeners(signal);
		const added = listeners.at(-1) as NodeJS.SignalsListener;
		if (listeners.length === before[index]) continue;
		// signal-exit ends this process where its listener is the only one left, and a `process.once` handler of the
		// application that runs earlier is removed before (4.1.0). As the first listener, signal-exit counts all handlers.
		process.removeListener(signal, added);
		process.prependListener(signal, added);
	}
	return () => {
		process.removeListener('exit', runSteps);
		attempt(() => stopListening?.());
	};
}

/** Jest 30 empties the globals of its tests, and with them signal-exit's emitter (Node 20): a TypeError or RangeError. */
function attempt<T>(step: () => T) {
	try {
		return step();
	} catch {
		return undefined;
	}
}
