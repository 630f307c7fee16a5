import { onExit } from 'signal-exit';
import { signals } from 'signal-exit/signals';

/**
 * Calls `step` when this process ends: by return, `process.exit`, an uncaught error, or a signal that nobody handles.
 * Returns what calls that off.
 */
export function onHostExit(step: () => void): () => void {
	const before = signals.map((signal) => process.listenerCount(signal));
	// Without a value: `true` would keep signal-exit from ending the host.
	const forget = onExit(() => {
		step();
	});
	// Bun tells signal-exit neither of a return nor of an uncaught error, but this listener of both (1.4.5).
	if (process.versions.bun) process.once('exit', step);
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
		process.removeListener('exit', step);
		forget();
	};
}
