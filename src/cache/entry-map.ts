import QuickLRU from 'quick-lru';
import type { CacheEntry } from './cache-entry.js';

/** The entries of a cache, by cache key: those that have a list, and those that somebody waits for. */
export class EntryMap {
	readonly #maxEntries: number;
	readonly #remembered: QuickLRU<string, CacheEntry>;
	/** An entry is also here during its revalidation, so that nothing evicts the entry from under those who wait. */
	readonly #revalidating = new Map<string, CacheEntry>();

	constructor(maxEntries: number) {
		this.#maxEntries = maxEntries;
		this.#remembered = new QuickLRU({ maxSize: maxEntries });
	}

	/** The remembered entry, which becomes the most recently used one. */
	get(cacheKey: string): CacheEntry | undefined {
		return this.#remembered.get(cacheKey);
	}

	peek(cacheKey: string): CacheEntry | undefined {
		return this.#remembered.peek(cacheKey);
	}

	getOrCreate(cacheKey: string, create: () => CacheEntry): CacheEntry {
		const entry = this.#revalidating.get(cacheKey) ?? this.#remembered.get(cacheKey) ?? create();
		this.#revalidating.set(cacheKey, entry);
		return entry;
	}

	/** Remembers an entry that has a list; lets go of one without a revalidation. */
	update(entry: CacheEntry): void {
		const { cacheKey } = entry;
		// A store may answer when the entry was let go, and another one has its key.
		const current = this.#revalidating.get(cacheKey) ?? this.#remembered.peek(cacheKey) ?? entry;
		if (entry.isDropped || current !== entry) return;
		if (!entry.revalidation) this.#revalidating.delete(cacheKey);
		if (!entry.list) return;
		this.#remembered.set(cacheKey, entry);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#remembered.keys()].length - this.#maxEntries;
		if (excess > 0) this.#remembered.evict(excess);
	}

	/** Forgets every entry; returns them. */
	takeAll(): Set<CacheEntry> {
		const entries = new Set([...this.#remembered.values(), ...this.#revalidating.values()]);
		this.#remembered.clear();
		this.#revalidating.clear();
		return entries;
	}
}
