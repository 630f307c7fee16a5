import { onExit } from 'signal-exit';
import { signals } from 'signal-exit/signals';

const steps = new Set<() => void>();
let stopWatching: (() => void) | undefined;

/**
 * Calls `step` when this process ends: by return, `process.exit`, an uncaught error, or a signal that nobody handles; in
 * a worker, when its thread ends by any but the last. Returns what calls that off.
 */
export function onHostExit(step: () => void): () => void {
	steps.add(step);
	stopWatching ??= watchHost();
	return () => {
		steps.delete(step);
		if (steps.size > 0) return;
		stopWatching?.();
		stopWatching = undefined;
	};
}

function runSteps(): void {
	for (const step of steps) step();
}

/** With no listener on the process while nothing is to be done. */
function watchHost(): () => void {
	const before = signals.map((signal) => process.listenerCount(signal));
	// It returns nothing: `true` would keep signal-exit from ending the host.
	const forget = onExit(runSteps);
	// signal-exit hears neither of a return nor of an uncaught error on Bun (1.4.5), and of nothing in a worker.
	process.once('exit', runSteps);
	for (const [index, signal] of signals.entries()) {
		const listeners = process.listeners(signal);
		const added = listeners.at(-1) as NodeJS.SignalsListener;
		if (listeners.length === before[index]) continue;
		// signal-exit ends the host where it is the only listener left, and a handler of the host's own that was set with
		// `process.once` before it is gone by the time that it counts (4.1.0). First in line, it counts them all.
		process.removeListener(signal, added);
		process.prependListener(signal, added);
	}
	return () => {
		process.removeListener('exit', runSteps);
		forget();
	};
}
