import { setMaxListeners } from 'node:events';
import pTimeout from 'p-timeout';
import QuickLRU from 'quick-lru';
import { closedError, notStarted, timeoutError, withWait } from '../api/errors.js';
import type { Target } from '../api/fetch.js';
import type { ListOptions, TargetOptions } from '../api/options.js';
import type { CatalogSnapshot, SnapshotListener } from '../api/snapshot.js';
import { CacheEntry, hasSameContent, type ModelList } from './cache-entry.js';
import type { CacheContext } from './context.js';
import { Revalidation } from './revalidation.js';
import { createStoredList } from './stored-list.js';

/** The longest time of a timer, some 25 days: no fetch takes longer. */
const maxTimerMs = 2 ** 31 - 1;

/** A call that waits, and the revalidation that it waits for. */
type Call = ListOptions & { revalidation?: Revalidation | undefined };

/** `seen` is the last snapshot that the listener could see. */
type Subscription = {
	target: Target;
	listener: SnapshotListener;
	options: TargetOptions;
	seen: CatalogSnapshot | undefined;
};

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait.
 */
export class ModelCache {
	readonly #context: CacheContext;
	/** The entries that have a list, by the keys of their targets. */
	readonly #entries: QuickLRU<string, CacheEntry>;
	/** The revalidations until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	readonly #formerLists: QuickLRU<string, ModelList>;
	readonly #subscriptions = new Set<Subscription>();
	readonly #closed = new AbortController();
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	constructor(context: CacheContext) {
		this.#context = context;
		const { maxEntries: maxSize } = context.settings;
		this.#entries = new QuickLRU({ maxSize });
		this.#formerLists = new QuickLRU({ maxSize });
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup({ key }: Target, options: ListOptions): CatalogSnapshot | undefined {
		options.signal?.throwIfAborted();
		const entry = this.#entries.get(key);
		const now = Date.now();
		return entry?.isLookedAt(now) ? this.#serve(entry, options, now) : undefined;
	}

	/** The list that is in memory when the files have been looked at, else the list of the store, else that of a fetch. */
	async getOrFetch(target: Target, call: Call): Promise<CatalogSnapshot> {
		const { settings, emit } = this.#context;
		const { deadlineMs = settings.deadlineMs, signal } = call;
		const startedAt = performance.now();
		const onDeadline = () => {
			const { progress = notStarted } = call.revalidation ?? {};
			call.revalidation = undefined;
			const served = this.#serve(this.#getEntry(target), call);
			if (served) return served;
			emit(target, { type: 'timed-out', timeoutMs: deadlineMs, phase: progress.phase });
			throw timeoutError({ limit: 'deadlineMs', timeoutMs: deadlineMs, ...progress });
		};
		// p-timeout refuses 0 (7.0.2). The timer keeps the process alive, so that there is one for `Infinity`, too.
		const milliseconds = Math.min(Math.max(1, deadlineMs), maxTimerMs);
		if (signal) allowManyListeners(signal);
		try {
			const work = this.#findOrFetch(target, call);
			const snapshot = await pTimeout(work, { milliseconds, signal, fallback: onDeadline });
			const waitedMs = performance.now() - startedAt;
			if (call.revalidation) emit(target, { type: 'miss', waitedMs });
			return snapshot;
		} catch (error) {
			throw withWait(error, performance.now() - startedAt);
		}
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: Target, options: TargetOptions): CatalogSnapshot | undefined {
		return this.#getEntry(target)?.peek(options);
	}

	subscribe(target: Target, listener: SnapshotListener, options: TargetOptions): () => void {
		const subscription = { target, listener, options, seen: this.peek(target, options) };
		this.#subscriptions.add(subscription);
		return () => this.#subscriptions.delete(subscription);
	}

	/** Forgets every list and idle app-server, and deletes the lists in the store, also where its answer is still awaited. */
	clear(): void {
		this.#context.clearedAt = Date.now();
		this.#formerLists.clear();
		const running = [...this.#running].map(({ entry }) => entry);
		for (const entry of new Set([...this.#entries.values(), ...running])) {
			entry.isDropped = true;
			this.#deletions = Promise.all([this.#deletions, createStoredList(entry)?.delete()]);
			this.#onChange(entry);
		}
		this.#context.fetcher.evictIdle?.();
	}

	/** Rejects every waiting call, and resolves when nothing is under way and every app-server is gone. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#entries.clear();
		for (const revalidation of this.#running) revalidation.abort(error);
		const running = [...this.#running].map(({ ended }) => ended);
		await Promise.all([this.#context.fetcher.close?.(), this.#deletions, ...running]);
	}

	async #findOrFetch(target: Target, call: Call): Promise<CatalogSnapshot> {
		// The look may find that the login is another one, and drop the entry.
		await this.#getEntry(target)?.look();
		const entry =
			this.#getEntry(target) ??
			new CacheEntry(target, this.#context, this.#formerLists, (changed) =>
				this.#onChange(changed),
			);
		const served = this.#serve(entry, call);
		if (served) return served;

		const revalidation = this.#revalidate(entry);
		call.revalidation = revalidation;
		if (call.refresh) revalidation.isRefresh = true;
		else await revalidation.loaded;
		// A stale list of the store is served at once.
		const stored = call.refresh ? undefined : entry.peek(call);
		const snapshot = stored ?? entry.snapshot(await revalidation.result, call);
		this.#closed.signal.throwIfAborted();
		return snapshot;
	}

	/** The list in memory that answers the call. A stale list is revalidated in the background. */
	#serve(entry: CacheEntry | undefined, options: ListOptions, now = Date.now()) {
		// A listener, too, may have closed the catalog.
		this.#closed.signal.throwIfAborted();
		const snapshot = options.refresh ? undefined : entry?.peek(options, now);
		if (!entry || !snapshot) return undefined;
		const { isFresh, fetchedAt } = snapshot;
		if (!isFresh && !entry.isCoolingDown(now)) this.#revalidate(entry);
		this.#context.emit(entry.target, { type: isFresh ? 'hit' : 'stale', ageMs: now - fetchedAt });
		return snapshot;
	}

	/** The entry of a target; also one without a list, or forgotten for others, whose revalidation is under way. */
	#getEntry({ key }: Target) {
		const known = this.#entries.get(key);
		const isKnown = ({ entry }: Revalidation) => entry.target.key === key && !entry.isDropped;
		return known ?? [...this.#running].find(isKnown)?.entry;
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(entry: CacheEntry): Revalidation {
		const isUnderWay = (one: Revalidation) => one.entry === entry && !one.isSettled;
		const running = [...this.#running].find(isUnderWay);
		if (running) return running;
		const revalidation = new Revalidation(entry, this.#running);
		this.#running.add(revalidation);
		revalidation.ended.then(() => this.#running.delete(revalidation));
		return revalidation;
	}

	/** Remembers the entry if it has a list, forgets it if that is over, and tells the subscribers. */
	#onChange(entry: CacheEntry): void {
		if (this.#closed.signal.aborted) return;
		const { key } = entry.target;
		if (!entry.isDropped && entry.list) this.#entries.set(key, entry);
		if (entry.isDropped && this.#entries.peek(key) === entry) this.#entries.delete(key);
		// A listener may unsubscribe others, which are not called then, and subscribe new ones, which know the snapshot.
		for (const subscription of this.#subscriptions) {
			if (subscription.target.key !== key) continue;
			const snapshot = this.peek(subscription.target, subscription.options);
			if (hasSameContent(snapshot, subscription.seen)) continue;
			subscription.seen = snapshot;
			// A listener that throws or rejects harms nothing.
			(async () => subscription.listener(snapshot))().catch(() => {});
		}
	}
}

/** Node warns of the eleventh caller of a signal. */
function allowManyListeners(signal: AbortSignal): void {
	try {
		setMaxListeners(Infinity, signal);
	} catch {
		// A signal of jsdom or of a browser is of another class, and warns of none.
	}
}
