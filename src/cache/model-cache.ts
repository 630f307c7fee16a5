import { closedError, notStarted, timeoutError } from '../api/errors.js';
import type { CatalogEventPayload, EmitEvent } from '../api/events.js';
import type { FetchModels, FetchTarget } from '../api/fetch.js';
import type { ListOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { type CacheContext, CacheEntry, type Revalidation } from './cache-entry.js';
import { waitForCaller } from './caller-wait.js';
import { EntryMap } from './entry-map.js';
import {
	FingerprintCache,
	type ReadFingerprint,
	type TargetFingerprint,
} from './fingerprint-cache.js';
import type { CatalogSnapshot, ModelList } from './model-list.js';
import { type SnapshotListener, Subscriptions } from './subscriptions.js';

type CacheInput = {
	settings: Settings;
	fetchModels: FetchModels;
	readFingerprint: ReadFingerprint;
	emitEvent: EmitEvent;
};

/** The state of one call: whether memory had nothing to serve, and the revalidation that the caller waits for. */
type Wait = { isMiss: boolean; revalidation?: Revalidation };

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait. The cache knows no process: a function fetches, and another one reads the fingerprint.
 */
export class ModelCache {
	readonly #settings: Settings;
	readonly #context: CacheContext;
	readonly #emitEvent: EmitEvent;
	readonly #fingerprints: FingerprintCache;
	readonly #entries: EntryMap;
	/** The revalidations of all targets until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	readonly #subscriptions = new Subscriptions();
	readonly #closed = new AbortController();
	/** The time of the last `clear`, in epoch ms. Lists that were stored until then are not loaded. */
	#clearedAt = Number.NEGATIVE_INFINITY;
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	constructor({ settings, fetchModels, readFingerprint, emitEvent }: CacheInput) {
		this.#settings = settings;
		this.#emitEvent = emitEvent;
		this.#fingerprints = new FingerprintCache(readFingerprint, settings.maxEntries);
		this.#context = { settings, fetchModels, fingerprints: this.#fingerprints };
		this.#entries = new EntryMap(settings.maxEntries);
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup(target: FetchTarget, options: ListOptions | undefined): ModelList | undefined {
		this.#closed.signal.throwIfAborted();
		options?.signal?.throwIfAborted();
		if (options?.refresh) return undefined;
		const now = Date.now();
		const fingerprint = this.#fingerprints.getFresh(target, now);
		const list = fingerprint && this.#serve(target, fingerprint, now);
		if (list) this.#emitServed(target, list, now);
		return list;
	}

	/** The list that is in memory when the files have been read, else the list of the store, else that of a fetch. */
	async getOrFetch(target: FetchTarget, options: ListOptions = {}): Promise<ModelList> {
		const { deadlineMs = this.#settings.deadlineMs, refresh = false, signal } = options;
		const startedAt = performance.now();
		const wait: Wait = { isMiss: false };
		const work = this.#findOrRevalidate(target, refresh, wait);
		const onDeadline = () => this.#onDeadline(target, deadlineMs, refresh, wait);
		const list = await waitForCaller(work, deadlineMs, [signal, this.#closed.signal], onDeadline);
		if (wait.isMiss)
			this.#emitEvent?.(target, { type: 'miss', waitedMs: performance.now() - startedAt });
		else this.#emitServed(target, list, Date.now());
		return list;
	}

	/** The snapshot that `lookup` would serve; starts nothing and reads no file. */
	peek(target: FetchTarget, includeHidden: boolean): CatalogSnapshot | undefined {
		const list = this.#peekList(target);
		return list && this.snapshot(target, list, includeHidden);
	}

	snapshot(target: FetchTarget, list: ModelList, includeHidden: boolean): CatalogSnapshot {
		return list.toSnapshot(includeHidden, this.#isFresh(target, list, Date.now()));
	}

	subscribe(target: FetchTarget, includeHidden: boolean, listener: SnapshotListener): () => void {
		if (this.#closed.signal.aborted) return () => {};
		return this.#subscriptions.add(
			target.key,
			includeHidden,
			listener,
			this.peek(target, includeHidden),
		);
	}

	/** Forgets every list, and deletes it in the store, also where the answer of the store is still awaited. */
	clear(): void {
		this.#clearedAt = Date.now();
		for (const entry of this.#entries.takeAll()) {
			entry.isDropped = true;
			this.#deletions = Promise.all([this.#deletions, entry.stored?.delete()]);
		}
	}

	/** Rejects every waiting call, and resolves when nothing is under way. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		for (const revalidation of this.#running) revalidation.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#entries.takeAll();
		await Promise.all([this.#deletions, ...[...this.#running].map(({ ended }) => ended)]);
	}

	async #findOrRevalidate(target: FetchTarget, refresh: boolean, wait: Wait): Promise<ModelList> {
		const latest = !refresh && this.#peekList(target) && this.#fingerprints.getLastKnown(target);
		const fingerprint = await (latest
			? this.#fingerprints.readWithTimeout(target, latest)
			: this.#fingerprints.read(target));
		this.#notify(target);
		// A listener may have closed the catalog.
		this.#closed.signal.throwIfAborted();
		const served = refresh ? undefined : this.#serve(target, fingerprint, Date.now());
		if (served) return served;

		wait.isMiss = true;
		const revalidation = this.#revalidate(target, fingerprint);
		wait.revalidation = revalidation;
		if (refresh) revalidation.requireNewList();
		const loaded = refresh
			? undefined
			: await Promise.race([revalidation.loaded, revalidation.list]);
		return loaded?.isServable(Date.now(), this.#settings) ? loaded : revalidation.list;
	}

	/** The list in memory that may be served. A stale list is revalidated in the background. */
	#serve(target: FetchTarget, fingerprint: TargetFingerprint, now: number): ModelList | undefined {
		const list = this.#entries.get(fingerprint.cacheKey)?.list;
		if (list === undefined || list.isFresh(fingerprint, now, this.#settings)) return list;
		if (!list.isServable(now, this.#settings)) return undefined;
		if (!list.isCoolingDown(now, this.#settings)) this.#revalidate(target, fingerprint);
		return list;
	}

	#onDeadline(target: FetchTarget, timeoutMs: number, refresh: boolean, wait: Wait): ModelList {
		const fingerprint = refresh ? undefined : this.#fingerprints.getLastKnown(target);
		const list = fingerprint && this.#serve(target, fingerprint, Date.now());
		wait.isMiss = !list;
		if (list) return list;
		const progress = wait.revalidation?.progress ?? notStarted;
		this.#emitEvent?.(target, { type: 'timed-out', timeoutMs, phase: progress.phase });
		throw timeoutError({ limit: 'deadlineMs', timeoutMs, ...progress });
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(target: FetchTarget, fingerprint: TargetFingerprint): Revalidation {
		const emit = (payload: CatalogEventPayload) => this.#emitEvent?.(target, payload);
		const create = () => new CacheEntry(target, fingerprint, this.#context, emit);
		const entry = this.#entries.getOrCreate(fingerprint.cacheKey, create);
		if (entry.revalidation) return entry.revalidation;
		const earlier = [...this.#running].filter((other) => other.entry.target.key === target.key);
		const predecessors = Promise.all(earlier.map(({ nextMayStart }) => nextMayStart));
		const revalidation = entry.startRevalidation({
			fingerprint,
			newerThan: this.#clearedAt,
			predecessors,
		});
		this.#running.add(revalidation);
		revalidation.ended.then(() => this.#running.delete(revalidation));
		// These handlers come before those of the callers: the list is remembered when a caller gets it.
		const onChange = () => this.#onChange(entry);
		revalidation.loaded.then(onChange);
		revalidation.list.then(onChange, onChange);
		return revalidation;
	}

	/** Remembers the entry if it has a list, and tells the subscribers. */
	#onChange(entry: CacheEntry): void {
		if (this.#closed.signal.aborted) return;
		this.#entries.update(entry);
		this.#notify(entry.target);
	}

	#notify(target: FetchTarget): void {
		this.#subscriptions.notify(target.key, (includeHidden) => this.peek(target, includeHidden));
	}

	/** The list of the account that was read last, if it may be served. */
	#peekList(target: FetchTarget): ModelList | undefined {
		const fingerprint = this.#fingerprints.getLastKnown(target);
		const list = fingerprint && this.#entries.peek(fingerprint.cacheKey)?.list;
		return list?.isServable(Date.now(), this.#settings) ? list : undefined;
	}

	#isFresh(target: FetchTarget, list: ModelList, now: number): boolean {
		return list.isFresh(
			this.#fingerprints.getLastKnown(target) ?? list.fingerprint,
			now,
			this.#settings,
		);
	}

	#emitServed(target: FetchTarget, list: ModelList, now: number): void {
		if (!this.#emitEvent) return;
		this.#emitEvent(target, {
			type: this.#isFresh(target, list, now) ? 'hit' : 'stale',
			ageMs: now - list.fetchedAt,
		});
	}
}
