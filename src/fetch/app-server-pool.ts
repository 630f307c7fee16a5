import { AppServerSession, type SessionSpec } from '../app-server/session.js';
import type { ProcessTimings } from '../app-server/shutdown.js';
import { closedError } from '../core/errors.js';
import { clearTimer, setUnrefTimeout } from '../core/timers.js';

type Idle = { session: AppServerSession; inputs: string; timer: NodeJS.Timeout };

/** The app-servers of a catalog: at work, kept idle for the next fetch of their target, or about to end. */
export class AppServerPool {
	readonly #keepAliveMs: number;
	readonly #timings: ProcessTimings | undefined;
	readonly #living = new Set<AppServerSession>();
	readonly #idle = new Map<string, Idle>();
	#isClosed = false;

	constructor(keepAliveMs: number, timings?: ProcessTimings) {
		this.#keepAliveMs = keepAliveMs;
		this.#timings = timings;
	}

	/** @throws CodexModelsError after `close()`. */
	start(spec: SessionSpec): AppServerSession {
		if (this.#isClosed) throw closedError();
		const session = new AppServerSession(spec, this.#timings);
		this.#living.add(session);
		session.exited.then(() => this.#living.delete(session));
		return session;
	}

	/** The idle app-server of a target, unless it has ended or was started from other inputs. */
	acquire(key: string, inputs: string): AppServerSession | undefined {
		const idle = this.#remove(key);
		if (idle?.inputs === inputs && !idle.session.isClosed) return idle.session;
		idle?.session.shutDown('gracefulShutdown');
		return undefined;
	}

	/** Takes back an app-server that has answered: keeps it for `keepAliveMs`, or ends it. */
	release(key: string, session: AppServerSession, inputs: string): void {
		if (this.#keepAliveMs === 0 || this.#isClosed || session.isClosed) {
			session.shutDown('gracefulShutdown');
			return;
		}
		this.#evict(key);
		this.#idle.set(key, { session, inputs, timer: setUnrefTimeout(() => this.#evict(key), this.#keepAliveMs) });
	}

	/** Ends every idle app-server. */
	evictIdle(): void {
		for (const key of this.#idle.keys()) this.#evict(key);
	}

	/** Ends every app-server fast; resolves when all are gone. */
	async close(): Promise<void> {
		this.#isClosed = true;
		this.evictIdle();
		for (const session of this.#living) session.shutDown('fastShutdown');
		await Promise.all([...this.#living].map((session) => session.exited));
	}

	#evict(key: string): void {
		this.#remove(key)?.session.shutDown('gracefulShutdown');
	}

	#remove(key: string): Idle | undefined {
		const idle = this.#idle.get(key);
		clearTimer(idle?.timer);
		this.#idle.delete(key);
		return idle;
	}
}
