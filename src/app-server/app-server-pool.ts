import type { EmitEvent } from '../api/events.js';
import type { Target } from '../api/fetch.js';
import { unref } from '../system/timers.js';
import { AppServerSession, type SessionSpec } from './session.js';

export type AppServerPool = ReturnType<typeof createAppServerPool>;

/** The app-servers of a catalog: at work, kept idle for the next fetch of their target, or about to end. */
export function createAppServerPool(keepAliveMs: number) {
	const living = new Set<AppServerSession>();
	type Idle = { home: string; session: AppServerSession; inputs: string; timer: NodeJS.Timeout };
	const idle = new Map<string, Idle>();

	function remove(key: string): Idle | undefined {
		const kept = idle.get(key);
		clearTimeout(kept?.timer);
		idle.delete(key);
		return kept;
	}

	const evict = (key: string) => remove(key)?.session.process.shutDown('gracefulShutdown');
	const evictIdle = () => [...idle.keys()].forEach(evict);

	return {
		/** Ends those that are kept idle for the CODEX_HOME, to make room. */
		start(target: Target, spec: SessionSpec, attempt: number, emit: EmitEvent): AppServerSession {
			for (const [key, kept] of idle) if (kept.home === target.home) evict(key);
			const session = new AppServerSession(spec);
			const { pid, exited } = session.process;
			const startedAt = performance.now();
			living.add(session);
			if (pid !== undefined) emit(target, { type: 'spawned', pid, attempt });
			exited.then(({ exitCode, signal }) => {
				living.delete(session);
				const lifetimeMs = performance.now() - startedAt;
				if (pid !== undefined) emit(target, { type: 'exited', pid, exitCode, signal, lifetimeMs });
			});
			return session;
		},

		/** The idle app-server of a target, unless it has ended or was started from other inputs. */
		acquire(key: string, inputs: string): AppServerSession | undefined {
			const kept = remove(key);
			if (kept?.inputs === inputs && !kept.session.isClosed) return kept.session;
			kept?.session.process.shutDown('gracefulShutdown');
			return undefined;
		},

		/** Takes back an app-server that has answered: keeps it for `keepAliveMs`, or ends it. */
		release({ key, home }: Target, session: AppServerSession, inputs: string | undefined): void {
			if (keepAliveMs === 0 || session.isClosed || inputs === undefined) {
				session.process.shutDown('gracefulShutdown');
				return;
			}
			evict(key);
			const timer = unref(setTimeout(() => evict(key), keepAliveMs));
			idle.set(key, { home, session, inputs, timer });
		},

		evictIdle,

		/** Ends every app-server fast; resolves when all are gone. The fetches are aborted before, and start none any more. */
		async close(): Promise<void> {
			evictIdle();
			for (const session of living) session.process.shutDown('fastShutdown');
			await Promise.all([...living].map((session) => session.process.exited));
		},
	};
}
