import QuickLRU from 'quick-lru';
import type { CacheEntry } from './cache-entry.js';

/** The entries of a cache, by cache key: those that have a list, and those that are busy. */
export class EntryMap {
	readonly #maxEntries: number;
	readonly #remembered: QuickLRU<string, CacheEntry>;
	/** An entry is also here while it is busy, so that nothing evicts it from under those who wait. */
	readonly #busy = new Map<string, CacheEntry>();

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

	/** The busy entry, the remembered one, or a new one; it counts as busy until `settle`. */
	getOrCreate(cacheKey: string, create: () => CacheEntry): CacheEntry {
		const entry = this.#busy.get(cacheKey) ?? this.#remembered.get(cacheKey) ?? create();
		this.#busy.set(cacheKey, entry);
		return entry;
	}

	/** Remembers an entry that has a list; lets go of one that nobody waits for any more. */
	settle(entry: CacheEntry): void {
		const { cacheKey } = entry;
		if (!entry.revalidation && this.#busy.get(cacheKey) === entry) this.#busy.delete(cacheKey);
		if (entry.dropped.signal.aborted || !entry.list) return;
		this.#remembered.set(cacheKey, entry);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#remembered.keys()].length - this.#maxEntries;
		if (excess > 0) this.#remembered.evict(excess);
	}

	/** Forgets every entry; returns them. */
	takeAll(): Set<CacheEntry> {
		const entries = new Set([...this.#remembered.values(), ...this.#busy.values()]);
		this.#remembered.clear();
		this.#busy.clear();
		return entries;
	}
}
