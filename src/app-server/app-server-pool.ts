import { closedError } from '../api/errors.js';
import type { Emit } from '../api/events.js';
import { clearTimer, setUnrefTimeout } from '../system/timers.js';
import { AppServerSession, type SessionSpec } from './session.js';
import type { ProcessTimings } from './shutdown.js';

export type AppServerPool = ReturnType<typeof createAppServerPool>;

/** The app-servers of a catalog: at work, kept idle for the next fetch of their target, or about to end. */
export function createAppServerPool(keepAliveMs: number, timings?: ProcessTimings) {
	const living = new Set<AppServerSession>();
	const idle = new Map<
		string,
		{ session: AppServerSession; inputs: string; timer: NodeJS.Timeout }
	>();
	let isClosed = false;

	function remove(key: string) {
		const removed = idle.get(key);
		clearTimer(removed?.timer);
		idle.delete(key);
		return removed;
	}

	const evict = (key: string) => remove(key)?.session.shutDown('gracefulShutdown');
	const evictIdle = () => [...idle.keys()].forEach(evict);

	return {
		/** @throws CodexModelsError after `close()`. */
		start(spec: SessionSpec, attempt: number, emit: Emit): AppServerSession {
			if (isClosed) throw closedError();
			const session = new AppServerSession(spec, timings);
			const { pid } = session;
			const startedAt = performance.now();
			living.add(session);
			if (pid !== undefined) emit({ type: 'spawned', pid, attempt });
			session.exited.then((exit) => {
				living.delete(session);
				if (pid !== undefined && exit)
					emit({ type: 'exited', pid, ...exit, lifetimeMs: performance.now() - startedAt });
			});
			return session;
		},

		/** The idle app-server of a target, unless it has ended or was started from other inputs. */
		acquire(key: string, inputs: string): AppServerSession | undefined {
			const found = idle.get(key);
			if (found?.inputs === inputs && !found.session.isClosed) return remove(key)?.session;
			evict(key);
			return undefined;
		},

		/** Takes back an app-server that has answered: keeps it for `keepAliveMs`, or ends it. */
		release(key: string, session: AppServerSession, inputs: string): void {
			evict(key);
			if (keepAliveMs === 0 || isClosed || session.isClosed) {
				session.shutDown('gracefulShutdown');
			} else {
				idle.set(key, { session, inputs, timer: setUnrefTimeout(() => evict(key), keepAliveMs) });
			}
		},

		evictIdle,

		/** Ends every app-server fast; resolves when all are gone. */
		async close(): Promise<void> {
			isClosed = true;
			evictIdle();
			for (const session of living) session.shutDown('fastShutdown');
			await Promise.all([...living].map((session) => session.exited));
		},
	};
}
