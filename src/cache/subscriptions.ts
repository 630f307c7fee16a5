import type { CatalogSnapshot } from './model-list.js';

/** Gets what `peek` gives now. */
export type SnapshotListener = (snapshot: CatalogSnapshot | undefined) => void;

type Subscription = {
	listener: SnapshotListener;
	peek(): CatalogSnapshot | undefined;
	/** The last snapshot that the subscriber could see. */
	seen: CatalogSnapshot | undefined;
};

/** The subscribers of a catalog, by target. Each hears of changes only. */
export class Subscriptions {
	readonly #byTarget = new Map<string, Set<Subscription>>();

	add(targetKey: string, subscription: Subscription): () => void {
		const subscriptions = this.#byTarget.get(targetKey) ?? new Set();
		this.#byTarget.set(targetKey, subscriptions.add(subscription));
		return () => {
			subscriptions.delete(subscription);
			if (subscriptions.size === 0 && this.#byTarget.get(targetKey) === subscriptions) {
				this.#byTarget.delete(targetKey);
			}
		};
	}

	notify(targetKey: string): void {
		for (const subscription of [...(this.#byTarget.get(targetKey) ?? [])]) {
			const { peek, listener, seen } = subscription;
			// A listener that was called before may have unsubscribed this one.
			if (!this.#byTarget.get(targetKey)?.has(subscription)) continue;
			const snapshot = peek();
			if (isSameContent(snapshot, seen)) continue;
			subscription.seen = snapshot;
			// A listener that throws or rejects harms nothing.
			try {
				Promise.resolve(listener(snapshot) as unknown).catch(() => {});
			} catch {}
		}
	}

	notifyAll(): void {
		for (const targetKey of [...this.#byTarget.keys()]) this.notify(targetKey);
	}

	clear(): void {
		this.#byTarget.clear();
	}
}

/** Its age alone is nothing new. Equal parts of two lists are one object. */
function isSameContent(one: CatalogSnapshot | undefined, other: CatalogSnapshot | undefined) {
	return (
		one?.models === other?.models &&
		one?.configured === other?.configured &&
		one?.warnings === other?.warnings &&
		one?.refreshError === other?.refreshError
	);
}
