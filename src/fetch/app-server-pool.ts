import { AppServerSession, type SessionSpec } from '../app-server/session.js';
import type { ProcessTimings } from '../app-server/shutdown.js';
import { closedError } from '../core/errors.js';
import type { Fingerprint } from '../core/fetch.js';
import { clearTimer, setUnrefTimeout } from '../core/timers.js';

/** The inputs that a kept app-server was started from: it serves only a fetch with the same. */
export type Inputs = { command: string; fingerprint: Fingerprint };

type Idle = { session: AppServerSession; inputs: Inputs; timer: NodeJS.Timeout };

const isSame = (one: Inputs, other: Inputs) =>
	one.command === other.command &&
	one.fingerprint.account === other.fingerprint.account &&
	one.fingerprint.configuration === other.fingerprint.configuration &&
	one.fingerprint.command === other.fingerprint.command;

/** The app-servers of a catalog: at work, kept idle for the next fetch, or about to end. */
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

	/** The idle app-server of a target, unless it has ended or its inputs have changed. */
	acquire(key: string, inputs: Inputs): AppServerSession | undefined {
		const idle = this.#idle.get(key);
		if (!idle) return undefined;
		if (idle.session.isClosed || !isSame(idle.inputs, inputs)) {
			this.evict(key);
			return undefined;
		}
		clearTimer(idle.timer);
		this.#idle.delete(key);
		return idle.session;
	}

	/** Takes back an app-server that has answered: keeps it for `keepAliveMs`, or ends it. */
	release(key: string, session: AppServerSession, inputs: Inputs): void {
		if (this.#keepAliveMs === 0 || this.#isClosed || session.isClosed) {
			session.shutDown('gracefulShutdown');
			return;
		}
		this.evict(key);
		const timer = setUnrefTimeout(() => this.evict(key), this.#keepAliveMs);
		this.#idle.set(key, { session, inputs, timer });
	}

	/** Ends the idle app-server of a target. */
	evict(key: string): void {
		const idle = this.#idle.get(key);
		if (!idle) return;
		clearTimer(idle.timer);
		this.#idle.delete(key);
		idle.session.shutDown('gracefulShutdown');
	}

	/** Ends every idle app-server. */
	evictIdle(): void {
		for (const key of this.#idle.keys()) this.evict(key);
	}

	/** Ends every app-server fast; resolves when all are gone. */
	async close(): Promise<void> {
		this.#isClosed = true;
		this.evictIdle();
		for (const session of this.#living) session.shutDown('fastShutdown');
		await Promise.all([...this.#living].map((session) => session.exited));
	}
}
