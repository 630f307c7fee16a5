import { closedError, timeoutError, toCodexModelsError } from '../core/errors.js';
import type { CatalogEventPayload, EmitEvent } from '../core/events.js';
import type { FetchModels, FetchTarget, Fingerprint } from '../core/fetch.js';
import type { ListOptions } from '../core/options.js';
import type { Settings } from '../core/settings.js';
import type { CacheEntry } from './cache-entry.js';
import { waitForCaller } from './caller-wait.js';
import { EntryMap } from './entry-map.js';
import { FingerprintCache, type ReadFingerprint } from './fingerprint-cache.js';
import type { CatalogSnapshot, ModelList } from './model-list.js';
import type { Revalidation } from './revalidation.js';
import { StoredList } from './stored-list.js';
import { type SnapshotListener, Subscriptions } from './subscriptions.js';

export type CacheInput = {
	settings: Settings;
	fetchModels: FetchModels;
	readFingerprint: ReadFingerprint;
	emitEvent: EmitEvent;
};

/** The state of one caller's wait: nothing in memory could be served, and the revalidation that is to bring a list. */
type Wait = { isMiss: boolean; revalidation: Revalidation | undefined };

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait. The cache knows no process: a function fetches, and another one reads the fingerprint.
 */
export class ModelCache {
	readonly #settings: Settings;
	readonly #fetchModels: FetchModels;
	readonly #emitEvent: EmitEvent;
	readonly #fingerprints: FingerprintCache;
	readonly #entries: EntryMap;
	/** Every revalidation whose app-server may still live, with the key of its target. */
	readonly #running = new Map<Revalidation, string>();
	/** Store operations that only `close` waits for. */
	readonly #background = new Set<Promise<unknown>>();
	readonly #subscriptions = new Subscriptions();
	readonly #closed = new AbortController();
	/** Stored lists of this time and before are forgotten, too; in epoch ms. */
	#clearedAt = Number.NEGATIVE_INFINITY;

	constructor({ settings, fetchModels, readFingerprint, emitEvent }: CacheInput) {
		this.#settings = settings;
		this.#fetchModels = fetchModels;
		this.#emitEvent = emitEvent;
		this.#fingerprints = new FingerprintCache(readFingerprint, settings);
		this.#entries = new EntryMap(settings);
	}

	/** The list in memory, without a promise: most calls end here. A stale one is revalidated in the background. */
	lookup(target: FetchTarget, options: ListOptions | undefined): ModelList | undefined {
		this.#throwIfClosed();
		options?.signal?.throwIfAborted();
		if (options?.refresh) return undefined;
		const now = Date.now();
		const fingerprint = this.#fingerprints.current(target, now);
		const list = fingerprint && this.#revalidateIfStale(target, fingerprint, now);
		if (list) this.#emitHit(target, list, fingerprint, now);
		return list;
	}

	/** The list in memory after a look at the files, that of the store, or that of a fetch. */
	async getOrFetch(target: FetchTarget, options: ListOptions | undefined): Promise<ModelList> {
		const { deadlineMs = this.#settings.deadlineMs, refresh = false, signal } = options ?? {};
		const startedAt = performance.now();
		const wait: Wait = { isMiss: false, revalidation: undefined };
		const work = this.#getOrFetch(target, refresh, wait);
		const list = await waitForCaller(work, deadlineMs, [signal, this.#closed.signal], () => {
			// The deadline may end a look at the files, although the list in memory could be served.
			const fingerprint = refresh ? undefined : this.#fingerprints.latest(target);
			const known = fingerprint && this.#revalidateIfStale(target, fingerprint, Date.now());
			wait.isMiss = !known;
			if (known) return known;
			const progress = wait.revalidation?.progress ?? { phase: 'spawn', stderr: '', stderrSummary: '' };
			this.#emit(target, { type: 'timed-out', timeoutMs: deadlineMs, phase: progress.phase });
			throw timeoutError({ limit: 'deadlineMs', timeoutMs: deadlineMs, ...progress });
		});
		if (wait.isMiss) this.#emit(target, { type: 'miss', waitedMs: performance.now() - startedAt });
		else this.#emitHit(target, list, this.#fingerprints.latest(target) ?? list.fingerprint, Date.now());
		return list;
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: FetchTarget, includeHidden: boolean): CatalogSnapshot | undefined {
		const list = this.#peekList(target);
		return list && this.snapshot(target, list, includeHidden);
	}

	snapshot(target: FetchTarget, list: ModelList, includeHidden: boolean): CatalogSnapshot {
		const fingerprint = this.#fingerprints.latest(target) ?? list.fingerprint;
		return list.toSnapshot(includeHidden, list.isFresh(fingerprint, Date.now(), this.#settings));
	}

	subscribe(target: FetchTarget, includeHidden: boolean, listener: SnapshotListener): () => void {
		if (this.#closed.signal.aborted) return () => {};
		return this.#subscriptions.add(target.key, includeHidden, listener, this.peek(target, includeHidden));
	}

	/** Forgets every list, also in the store. */
	clear(): void {
		this.#clearedAt = Date.now();
		for (const entry of this.#entries.takeAll()) {
			entry.drop();
			const { target, list } = entry;
			if (list) this.#inBackground(this.#openStored(target, list.fingerprint)?.delete());
		}
	}

	/** Rejects every waiting call, and resolves when no revalidation is left. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		for (const revalidation of this.#running.keys()) revalidation.abort(error);
		this.#subscriptions.clear();
		// A list that is being saved stays in the store: nothing is dropped.
		this.#entries.takeAll();
		await Promise.all(this.#background);
	}

	async #getOrFetch(target: FetchTarget, refresh: boolean, wait: Wait): Promise<ModelList> {
		const known = !refresh && this.#peekList(target) && this.#fingerprints.latest(target);
		const fingerprint = await (known ? this.#fingerprints.readWithinLimit(target, known) : this.#fingerprints.read(target));
		this.#notify(target);
		// A listener may have closed the catalog.
		this.#throwIfClosed();
		const served = refresh ? undefined : this.#revalidateIfStale(target, fingerprint, Date.now());
		if (served) return served;
		wait.isMiss = true;

		const stored = this.#openStored(target, fingerprint);
		// Without a lock no time has passed since the last store read, and a second one is pointless.
		let skipStoreRead = stored !== undefined && !stored.canLock;
		let list: ModelList | undefined;
		if (stored && !refresh) {
			const { timedOut } = await this.#lookUpInStore(target, fingerprint, stored);
			this.#throwIfClosed();
			list = this.#revalidateIfStale(target, fingerprint, Date.now());
			skipStoreRead ||= timedOut;
		}
		if (!list) {
			wait.revalidation = this.#revalidate(target, fingerprint, skipStoreRead);
			if (refresh) wait.revalidation.requireNewList();
			list = await wait.revalidation.list;
		}
		return list;
	}

	async #lookUpInStore(target: FetchTarget, { account }: Fingerprint, stored: StoredList) {
		const entry = this.#entries.getOrCreate(target, account);
		const lookup = await entry.lookUpInStore(stored, this.#clearedAt);
		this.#onSettled(entry);
		return lookup;
	}

	#emitHit(target: FetchTarget, list: ModelList, fingerprint: Fingerprint, now: number): void {
		if (!this.#emitEvent) return;
		const type = list.isFresh(fingerprint, now, this.#settings) ? 'hit' : 'stale';
		this.#emitEvent(target, { type, ageMs: now - list.fetchedAt });
	}

	/** The list that may be served; a stale one is revalidated in the background. */
	#revalidateIfStale(target: FetchTarget, fingerprint: Fingerprint, now: number): ModelList | undefined {
		const list = this.#entries.find(target, fingerprint.account)?.list;
		if (list === undefined || list.isFresh(fingerprint, now, this.#settings)) return list;
		if (!list.isServable(now, this.#settings)) return undefined;
		if (!list.isCoolingDown(now, this.#settings)) this.#revalidate(target, fingerprint, false);
		return list;
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(target: FetchTarget, fingerprint: Fingerprint, skipStoreRead: boolean): Revalidation {
		const entry = this.#entries.getOrCreate(target, fingerprint.account);
		if (entry.revalidation) return entry.revalidation;
		const startedAt = performance.now();
		const predecessors = [...this.#running].filter(([, targetKey]) => targetKey === target.key);
		const emit = (payload: CatalogEventPayload) => this.#emit(target, payload);
		const revalidation = entry.startRevalidation({
			settings: this.#settings,
			fingerprint,
			readFingerprint: () => this.#fingerprints.readAnewWithinLimit(target, fingerprint),
			fetchModels: this.#fetchModels,
			stored: this.#openStored(target, fingerprint),
			skipStoreRead,
			minFetchedAt: this.#clearedAt,
			predecessors: Promise.all(predecessors.map(([other]) => other.released)),
			emit,
		});
		this.#running.set(revalidation, target.key);
		revalidation.released.then(() => this.#running.delete(revalidation));
		this.#inBackground(revalidation.persisted);
		// In one step, so that the list is remembered before a caller gets it.
		const onSettled = (payload: CatalogEventPayload) => {
			emit(payload);
			this.#onSettled(entry);
		};
		const getDuration = () => performance.now() - startedAt;
		revalidation.list.then(
			({ size: models }) => onSettled({ type: 'refreshed', durationMs: getDuration(), models, attempts: revalidation.attempts }),
			(error) => onSettled({ type: 'failed', durationMs: getDuration(), error: toCodexModelsError(error) }),
		);
		return revalidation;
	}

	/** Remembers the entry if it has a list, and tells the subscribers. */
	#onSettled(entry: CacheEntry): void {
		if (this.#closed.signal.aborted) return;
		this.#entries.settle(entry);
		this.#notify(entry.target);
	}

	#notify(target: FetchTarget): void {
		this.#subscriptions.notify(target.key, (includeHidden) => this.peek(target, includeHidden));
	}

	/** The list of the latest known account, if it may be served. */
	#peekList(target: FetchTarget): ModelList | undefined {
		const fingerprint = this.#fingerprints.latest(target);
		const entry = fingerprint && this.#entries.peek(target, fingerprint.account);
		return entry?.list?.isServable(Date.now(), this.#settings) ? entry.list : undefined;
	}

	#openStored(target: FetchTarget, fingerprint: Fingerprint): StoredList | undefined {
		const { store } = this.#settings;
		return store && new StoredList(store, this.#settings, target, fingerprint, (payload) => this.#emit(target, payload));
	}

	#inBackground(work: Promise<unknown> | undefined): void {
		if (!work) return;
		this.#background.add(work);
		work.catch(() => {}).finally(() => this.#background.delete(work));
	}

	#throwIfClosed(): void {
		if (this.#closed.signal.aborted) throw closedError();
	}

	#emit(target: FetchTarget, payload: CatalogEventPayload): void {
		this.#emitEvent?.(target, payload);
	}
}
