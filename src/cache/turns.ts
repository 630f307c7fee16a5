import type { Target } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';

/** Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0). */
const maxAppServers = 4;

type Job = { readonly target: Target; readonly ended: Promise<void> };

/**
 * Returns a function that resolves when no earlier fetch for the target is under way, and fewer than four for the CODEX_HOME:
 * two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
 */
export function createTurns({ fetchModels }: Settings) {
	const limit = fetchModels ? Number.POSITIVE_INFINITY : maxAppServers;
	const working = new Set<Job>();

	return async function waitForTurn(job: Job): Promise<void> {
		const { key, home } = job.target;
		for (;;) {
			const ofHome = [...working].filter(({ target }) => target.home === home);
			const isBusy = ofHome.some(({ target }) => target.key === key);
			if (!isBusy && ofHome.length < limit) break;
			await Promise.race(ofHome.map(({ ended }) => ended));
		}
		working.add(job);
		job.ended.then(() => working.delete(job));
	};
}
