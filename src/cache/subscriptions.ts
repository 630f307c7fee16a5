import type { CatalogSnapshot, SnapshotListener } from '../api/snapshot.js';
import { hasSameContent } from './cache-entry.js';

/** `seen` is the last snapshot that the listener could see. */
type Subscription = {
	listener: SnapshotListener;
	peek(): CatalogSnapshot | undefined;
	seen: CatalogSnapshot | undefined;
};

/** The subscribers of a catalog, by target. Each hears of changes only. */
export function createSubscriptions() {
	const byTarget = new Map<string, Set<Subscription>>();
	return {
		add(target: string, listener: SnapshotListener, peek: Subscription['peek']): () => void {
			const subscriptions = byTarget.get(target) ?? new Set();
			const subscription = { listener, peek, seen: peek() };
			byTarget.set(target, subscriptions.add(subscription));
			return () => {
				if (subscriptions.delete(subscription) && subscriptions.size === 0) byTarget.delete(target);
			};
		},

		notify(target: string): void {
			for (const subscription of [...(byTarget.get(target) ?? [])]) {
				// A listener that was called before may have unsubscribed this one.
				if (!byTarget.get(target)?.has(subscription)) continue;
				const snapshot = subscription.peek();
				if (hasSameContent(snapshot, subscription.seen)) continue;
				subscription.seen = snapshot;
				// A listener that throws or rejects harms nothing.
				(async () => subscription.listener(snapshot))().catch(() => {});
			}
		},

		clear: () => byTarget.clear(),
	};
}
