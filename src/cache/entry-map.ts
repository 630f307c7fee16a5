import QuickLRU from 'quick-lru';
import type { FetchTarget } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';
import { CacheEntry, type CacheKey, toCacheKey } from './cache-entry.js';

/** The entries of a cache: those that have a list, and those that somebody waits for. */
export class EntryMap {
	readonly #settings: Settings;
	readonly #remembered: QuickLRU<CacheKey, CacheEntry>;
	/** An entry is also here while it is busy, so that nothing evicts it from under those who wait. */
	readonly #inflight = new Map<CacheKey, CacheEntry>();
	/** The entry of the last hit, because most calls are about the same list. */
	#last: CacheEntry | undefined;

	constructor(settings: Settings) {
		this.#settings = settings;
		this.#remembered = new QuickLRU({ maxSize: settings.maxEntries });
	}

	/** The remembered entry, which becomes the most recently used one. */
	find(target: FetchTarget, account: string): CacheEntry | undefined {
		const last = this.#last;
		if (last?.target.key === target.key && last.account === account) return last;
		this.#last = this.#remembered.get(toCacheKey(target, account));
		return this.#last;
	}

	peek(target: FetchTarget, account: string): CacheEntry | undefined {
		return this.#remembered.peek(toCacheKey(target, account));
	}

	/** The entry that others wait for, the remembered one, or a new one. */
	getOrCreate(target: FetchTarget, account: string): CacheEntry {
		const key = toCacheKey(target, account);
		const known = this.#inflight.get(key) ?? this.#remembered.get(key);
		if (known) return known;
		const entry = new CacheEntry(target, account, this.#settings);
		this.hold(entry);
		return entry;
	}

	/** Keeps a busy entry. */
	hold(entry: CacheEntry): void {
		this.#inflight.set(entry.key, entry);
	}

	/** Remembers an entry that has a list; lets go of one that is not busy any more. */
	settle(entry: CacheEntry): void {
		if (!entry.isBusy && this.#inflight.get(entry.key) === entry) this.#inflight.delete(entry.key);
		if (entry.isDropped || !entry.list) return;
		this.#last = undefined;
		this.#remembered.set(entry.key, entry);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#remembered.keys()].length - this.#settings.maxEntries;
		if (excess > 0) this.#remembered.evict(excess);
	}

	/** Drops every entry; returns those that had a list. */
	dropAll(): CacheEntry[] {
		const entries = [...new Set([...this.#remembered.values(), ...this.#inflight.values()])];
		for (const entry of entries) entry.drop();
		this.forgetAll();
		return entries.filter((entry) => entry.list !== undefined);
	}

	/** Forgets every entry; a list that is being saved stays in the store. */
	forgetAll(): void {
		this.#last = undefined;
		this.#remembered.clear();
		this.#inflight.clear();
	}
}
