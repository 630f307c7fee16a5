import { hash } from '../system/hash.js';
import type { CatalogSnapshot } from './model-list.js';

export type SnapshotListener = (snapshot: CatalogSnapshot) => void;

type Subscription = {
	targetKey: string;
	includeHidden: boolean;
	listener: SnapshotListener;
	/** The digest of the last snapshot that the subscriber has seen. */
	seen: string | undefined;
};

/** The subscribers of a catalog. Each hears of changes only. */
export class Subscriptions {
	readonly #subscriptions = new Set<Subscription>();

	/** @param current - the snapshot that the subscriber can already see by `peek`. */
	add(
		targetKey: string,
		includeHidden: boolean,
		listener: SnapshotListener,
		current: CatalogSnapshot | undefined,
	): () => void {
		const subscription = { targetKey, includeHidden, listener, seen: current && digest(current) };
		this.#subscriptions.add(subscription);
		return () => void this.#subscriptions.delete(subscription);
	}

	/** Calls the subscribers of a target whose view has changed. */
	notify(
		targetKey: string,
		takeSnapshot: (includeHidden: boolean) => CatalogSnapshot | undefined,
	): void {
		for (const subscription of [...this.#subscriptions]) {
			// A listener that was called before may have unsubscribed this one.
			if (subscription.targetKey !== targetKey || !this.#subscriptions.has(subscription)) continue;
			const snapshot = takeSnapshot(subscription.includeHidden);
			const latest = snapshot && digest(snapshot);
			if (!snapshot || latest === subscription.seen) continue;
			subscription.seen = latest;
			// A listener that throws or rejects harms nothing.
			try {
				Promise.resolve(subscription.listener(snapshot) as unknown).catch(() => {});
			} catch {}
		}
	}

	clear(): void {
		this.#subscriptions.clear();
	}
}

/** The message of an error tells a duration, which differs between two failures for the same reason. */
const digest = ({ models, configured, refreshError }: CatalogSnapshot) =>
	hash(
		models,
		configured,
		refreshError && [{ ...refreshError }, refreshError.message.replace(/, after \d+ ms/, '')],
	);
