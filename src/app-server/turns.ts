import type { Target } from '../api/fetch.js';

/**
 * Returns a function that resolves when no earlier fetch for the target is under way, and fewer than `limit` for the
 * CODEX_HOME: two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
 */
export function createTurns(limit: number) {
	const working = new Map<Promise<void>, Target>();

	return async function waitForTurn(target: Target, ended: Promise<void>): Promise<void> {
		for (;;) {
			const ofHome = [...working].filter(([, { home }]) => home === target.home);
			const isBusy = ofHome.some(([, { key }]) => key === target.key);
			if (!isBusy && ofHome.length < limit) break;
			await Promise.race(ofHome.map(([other]) => other));
		}
		working.set(ended, target);
		ended.then(() => working.delete(ended));
	};
}
