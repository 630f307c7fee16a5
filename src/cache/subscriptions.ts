import type { CatalogSnapshot, SnapshotListener } from '../api/snapshot.js';
import { hasSameContent } from './cache-entry.js';

/** `seen` is the last snapshot that the listener could see. */
type Subscription = {
	target: string;
	listener: SnapshotListener;
	peek(): CatalogSnapshot | undefined;
	seen: CatalogSnapshot | undefined;
};

/** The subscribers of a catalog. Each hears of changes of its target only. */
export class Subscriptions extends Set<Subscription> {
	notify(target: string): void {
		// A listener may unsubscribe others, which are not called then, and subscribe new ones, which know the snapshot.
		for (const subscription of this) {
			if (subscription.target !== target) continue;
			const snapshot = subscription.peek();
			if (hasSameContent(snapshot, subscription.seen)) continue;
			subscription.seen = snapshot;
			// A listener that throws or rejects harms nothing.
			(async () => subscription.listener(snapshot))().catch(() => {});
		}
	}
}
