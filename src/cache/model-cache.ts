import { setMaxListeners } from 'node:events';
import pTimeout, { TimeoutError } from 'p-timeout';
import QuickLRU from 'quick-lru';
import { closedError, timeoutError, withWait } from '../api/errors.js';
import type { EmitEvent } from '../api/events.js';
import type { CatalogSnapshot, Fetcher, SnapshotListener, Target } from '../api/model-list.js';
import type { ListOptions, TargetOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { type CacheContext, CacheEntry } from './cache-entry.js';
import { Revalidation } from './revalidation.js';
import { createStoredList } from './stored-list.js';

/** The longest time of a timer, some 25 days: no fetch takes longer. */
const maxTimerMs = 2 ** 31 - 1;

/** The parts of a snapshot that a subscriber hears of. Equal parts of two lists are one object. */
const contentParts = ['models', 'configured', 'warnings', 'refreshError'] as const;

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait.
 */
export class ModelCache {
	readonly #context: CacheContext;
	readonly #entries: CacheContext['entries'];
	/** The revalidations until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	/** Each tells a subscriber of a change of the target with that key. */
	readonly #subscriptions = new Set<(key: string) => void>();
	readonly #closed = new AbortController();
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	/** Remembers an entry with a list, and tells the subscribers. */
	readonly #onChange = (entry: CacheEntry) => {
		if (this.#closed.signal.aborted) return;
		const { key } = entry.target;
		if (!entry.isDropped && entry.list) this.#entries.set(key, entry);
		// A listener may unsubscribe others, which are not called then, and subscribe new ones, which know the snapshot.
		for (const notify of this.#subscriptions) notify(key);
	};

	constructor(settings: Settings, fetcher: Fetcher, emit: EmitEvent) {
		const { command, fetchModels, maxEntries: maxSize } = settings;
		this.#entries = new QuickLRU({ maxSize });
		this.#context = {
			settings,
			fetcher,
			emit,
			command: fetchModels || typeof command === 'function' ? '' : command,
			clearedAt: 0,
			entries: this.#entries,
			onChange: this.#onChange,
		};
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup({ key }: Target, options: ListOptions): CatalogSnapshot | undefined {
		options.signal?.throwIfAborted();
		const entry = this.#entries.get(key);
		const now = Date.now();
		return entry?.isLookedAt(now) ? this.#serve(entry, options, now) : undefined;
	}

	/** The list that is in memory when the files have been looked at, else the list of the store, else that of a fetch. */
	async getOrFetch(target: Target, options: ListOptions): Promise<CatalogSnapshot> {
		const { settings, emit } = this.#context;
		const { deadlineMs = settings.deadlineMs, signal, refresh } = options;
		const startedAt = performance.now();
		let revalidation: Revalidation | undefined;
		/** Goes on when the caller has left: the fetch fills the cache. */
		const find = async () => {
			// The look may find that the login is another one, and drop the entry.
			await this.#getEntry(target)?.look();
			const entry = this.#getEntry(target) ?? new CacheEntry(target, this.#context);
			const served = this.#serve(entry, options);
			if (served) return served;
			revalidation = this.#revalidate(entry, refresh);
			if (!refresh) await revalidation.loaded;
			// A stale list of the store is served at once.
			const stored = refresh ? undefined : entry.getServable();
			const list = stored ?? (await revalidation.result);
			this.#closed.signal.throwIfAborted();
			return entry.snapshot(list, options);
		};
		if (signal) allowManyListeners(signal);
		try {
			// p-timeout refuses 0 (7.0.2). The timer keeps the process alive, so that there is one for `Infinity`, too.
			const milliseconds = Math.min(Math.max(1, deadlineMs), maxTimerMs);
			const snapshot = await pTimeout(find(), { milliseconds, signal });
			if (revalidation) emit(target, { type: 'miss', waitedMs: performance.now() - startedAt });
			return snapshot;
		} catch (error) {
			signal?.throwIfAborted();
			if (!(error instanceof TimeoutError)) throw withWait(error, performance.now() - startedAt);
			const served = this.#serve(this.#getEntry(target), options);
			if (served) return served;
			const progress = revalidation?.progress;
			emit(target, {
				type: 'timed-out',
				timeoutMs: deadlineMs,
				phase: progress?.phase ?? 'spawn',
			});
			throw timeoutError('deadlineMs', deadlineMs, progress);
		}
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: Target, options: TargetOptions): CatalogSnapshot | undefined {
		return this.#getEntry(target)?.peek(options);
	}

	subscribe(target: Target, listener: SnapshotListener, options: TargetOptions): () => void {
		/** The last snapshot that the listener could see. */
		let seen = this.peek(target, options);
		const notify = (key: string) => {
			if (key !== target.key) return;
			const snapshot = this.peek(target, options);
			if (contentParts.every((part) => snapshot?.[part] === seen?.[part])) return;
			seen = snapshot;
			// A listener that throws or rejects harms nothing.
			(async () => listener(snapshot))().catch(() => {});
		};
		this.#subscriptions.add(notify);
		return () => this.#subscriptions.delete(notify);
	}

	/** Forgets every list and idle app-server, and deletes the lists in the store, also where its answer is still awaited. */
	clear(): void {
		this.#context.clearedAt = Date.now();
		const running = [...this.#running].map(({ entry }) => entry);
		for (const entry of new Set([...this.#entries.values(), ...running])) {
			entry.isDropped = true;
			this.#deletions = Promise.all([this.#deletions, createStoredList(entry)?.delete()]);
			this.#onChange(entry);
		}
		this.#entries.clear();
		this.#context.fetcher.evictIdle?.();
	}

	/** Rejects every waiting call, and resolves when nothing is under way and every app-server is gone. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#entries.clear();
		const running = [...this.#running].map(({ controller, ended }) => {
			controller.abort(error);
			return ended;
		});
		await Promise.all([this.#context.fetcher.close?.(), this.#deletions, ...running]);
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
		if (known && !known.isDropped) return known;
		const isOfTarget = ({ entry }: Revalidation) => entry.target.key === key && !entry.isDropped;
		return [...this.#running].find(isOfTarget)?.entry;
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(entry: CacheEntry, refresh = false) {
		const isUnderWay = (one: Revalidation) => one.entry === entry && !one.isSettled;
		const running = [...this.#running].find(isUnderWay);
		const revalidation = running ?? new Revalidation(entry, this.#running);
		revalidation.isRefresh ||= refresh;
		return revalidation;
	}
}

/** Node warns of the eleventh caller of a signal. */
function allowManyListeners(signal: AbortSignal) {
	try {
		setMaxListeners(Infinity, signal);
	} catch {
		// A signal of jsdom or of a browser is of another class, and warns of none.
	}
}
