import QuickLRU from 'quick-lru';
import type { FetchTarget } from '../core/fetch.js';
import { CacheEntry } from './cache-entry.js';

/** The key of an entry: the target and the account. */
const toCacheKey = ({ key }: FetchTarget, account: string) => `${key}\0${account}`;

/** The entries of a cache: those that have a list, and those that somebody waits for. */
export class EntryMap {
	readonly #maxEntries: number;
	readonly #remembered: QuickLRU<string, CacheEntry>;
	/** An entry is also here while it is busy, so that nothing evicts it from under those who wait. */
	readonly #inflight = new Map<string, CacheEntry>();

	constructor({ maxEntries }: { maxEntries: number }) {
		this.#maxEntries = maxEntries;
		this.#remembered = new QuickLRU({ maxSize: maxEntries });
	}

	/** The remembered entry, which becomes the most recently used one. */
	find(target: FetchTarget, account: string): CacheEntry | undefined {
		return this.#remembered.get(toCacheKey(target, account));
	}

	peek(target: FetchTarget, account: string): CacheEntry | undefined {
		return this.#remembered.peek(toCacheKey(target, account));
	}

	/** The entry that others wait for, the remembered one, or a new one. */
	getOrCreate(target: FetchTarget, account: string): CacheEntry {
		const key = toCacheKey(target, account);
		const entry = this.#inflight.get(key) ?? this.#remembered.get(key) ?? new CacheEntry(target, account);
		this.#inflight.set(key, entry);
		return entry;
	}

	/** Remembers an entry that has a list; lets go of one that nobody waits for any more. */
	settle(entry: CacheEntry): void {
		const key = toCacheKey(entry.target, entry.account);
		if (!entry.isBusy && this.#inflight.get(key) === entry) this.#inflight.delete(key);
		if (entry.dropped.aborted || !entry.list) return;
		this.#remembered.set(key, entry);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#remembered.keys()].length - this.#maxEntries;
		if (excess > 0) this.#remembered.evict(excess);
	}

	/** Forgets every entry; returns them. */
	takeAll(): CacheEntry[] {
		const entries = new Set([...this.#remembered.values(), ...this.#inflight.values()]);
		this.#remembered.clear();
		this.#inflight.clear();
		return [...entries];
	}
}
