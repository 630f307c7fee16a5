import type { CodexModelsError, FetchProgress } from '../api/errors.js';
import { notStarted } from '../api/errors.js';
import type { Target } from '../api/fetch.js';
import type { CacheEntry } from './cache-entry.js';
import type { Revalidation } from './revalidation.js';

/** Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0). */
const maxAppServers = 4;

/** The revalidations of all targets, until their app-server is gone, their list saved and their lock released. */
export class Revalidations {
	readonly #running = new Set<Revalidation>();
	readonly #limit: number;

	constructor(hasAppServers: boolean) {
		this.#limit = hasAppServers ? maxAppServers : Number.POSITIVE_INFINITY;
	}

	get entries(): CacheEntry[] {
		return [...this.#running].map(({ entry }) => entry);
	}

	/** The one that a caller for this target and login may join. */
	find(target: Target, login: string): Revalidation | undefined {
		return [...this.#running].find(
			({ entry, isSettled }) =>
				!isSettled && !entry.isDropped && entry.login === login && entry.target.key === target.key,
		);
	}

	add(revalidation: Revalidation): void {
		this.#running.add(revalidation);
		revalidation.ended.then(() => this.#running.delete(revalidation));
	}

	getProgress(target: Target): FetchProgress {
		const running = [...this.#running].find(({ entry }) => entry.target.key === target.key);
		return running?.progress ?? notStarted;
	}

	/**
	 * Resolves when no earlier fetch for the target is under way, and fewer than four for the CODEX_HOME: two app-servers that
	 * refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	async waitForTurn(waiting: Revalidation): Promise<void> {
		const { key, home } = waiting.entry.target;
		while (!waiting.hasTurn) {
			const atWork = [...this.#running].filter(({ hasTurn }) => hasTurn);
			const ofHome = atWork.filter(({ entry }) => entry.target.home === home);
			const ofTarget = ofHome.filter(({ entry }) => entry.target.key === key);
			waiting.hasTurn = ofTarget.length === 0 && ofHome.length < this.#limit;
			const awaited = ofTarget.length > 0 ? ofTarget : ofHome;
			if (!waiting.hasTurn) await Promise.race(awaited.map(({ ended }) => ended));
		}
	}

	/** Aborts all; resolves when nothing is under way. */
	async abort(error: CodexModelsError): Promise<void> {
		for (const revalidation of this.#running) revalidation.abort(error);
		await Promise.all([...this.#running].map(({ ended }) => ended));
	}
}
