import pTimeout from 'p-timeout';
import {
	type CodexModelsError,
	type FetchProgress,
	notStarted,
	protocolError,
	timeoutError,
	toCodexModelsError,
} from '../api/errors.js';
import type { Emit } from '../api/events.js';
import type { Fetch, FetchModels, FetchTarget } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { unrefTimers } from '../system/timers.js';
import type { FingerprintCache, TargetFingerprint } from './fingerprint-cache.js';
import { ModelList } from './model-list.js';
import { type LoadResult, StoredList } from './stored-list.js';

/** The settings and functions that all entries of a cache share. */
export type CacheContext = {
	settings: Settings;
	fetchModels: FetchModels;
	fingerprints: FingerprintCache;
};

/** One list of one account: the list, the failure of its last refresh, and its one revalidation. */
export class CacheEntry {
	readonly target: FetchTarget;
	/** The key of the target and the account. */
	readonly cacheKey: string;
	readonly emit: Emit;
	readonly context: CacheContext;
	/** The same list in the store; `undefined` without a store. */
	readonly stored: StoredList | undefined;
	/** The list, also after the time in which it may be served. */
	list: ModelList | undefined;
	/** The revalidation that callers may join. */
	revalidation: Revalidation | undefined;
	/** Whether `clear` has removed this entry: the result of its revalidation is not remembered. */
	isDropped = false;

	readonly #account: string;

	constructor(
		target: FetchTarget,
		{ cacheKey, account }: TargetFingerprint,
		context: CacheContext,
		emit: Emit,
	) {
		const { settings } = context;
		this.target = target;
		this.cacheKey = cacheKey;
		this.#account = account;
		this.emit = emit;
		this.context = context;
		this.stored = settings.store && new StoredList(settings.store, settings, target, account, emit);
	}

	/** Starts a revalidation, where none is under way. */
	startRevalidation(options: RevalidationOptions): Revalidation {
		const startedAt = performance.now();
		const getDurationMs = () => performance.now() - startedAt;
		// The store may hold the very list that is in memory.
		const newerThan = Math.max(options.newerThan, this.list?.fetchedAt ?? Number.NEGATIVE_INFINITY);
		const revalidation = new Revalidation(this, { ...options, newerThan });
		this.revalidation = revalidation;
		revalidation.loaded.then((list) => {
			// The store may answer after the fetch.
			if (list && list.fetchedAt > (this.list?.fetchedAt ?? Number.NEGATIVE_INFINITY))
				this.list = list;
		});
		revalidation.list.then(
			(list) => {
				this.revalidation = undefined;
				const { attempts } = revalidation;
				const problem = 'the list of models is empty';
				if (list.size === 0)
					this.#fail(protocolError({ problem, phase: 'model/list', elapsedMs: getDurationMs() }));
				// The latest answer counts, whatever its `fetchedAt`, because the clock may have been set back.
				else if (this.canKeep(list)) this.list = list;
				if (attempts > 0)
					this.emit({
						type: 'refreshed',
						durationMs: getDurationMs(),
						models: list.size,
						attempts,
					});
			},
			(reason) => {
				this.revalidation = undefined;
				const error = toCodexModelsError(reason);
				this.#fail(error);
				this.emit({ type: 'failed', durationMs: getDurationMs(), error });
			},
		);
		return revalidation;
	}

	/** Whether the list may be remembered: the user may have logged in as another account during the fetch. */
	canKeep(list: ModelList): boolean {
		return !this.isDropped && list.fingerprint.account === this.#account;
	}

	#fail(error: CodexModelsError): void {
		if (this.list) this.list.failure = { error, at: Date.now() };
	}
}

type RevalidationOptions = {
	/** The login and the configuration before the fetch. */
	fingerprint: TargetFingerprint;
	/** The list of another process must be newer than this, in epoch ms. */
	newerThan: number;
	/** Resolves when an app-server may be started. */
	predecessors: Promise<unknown>;
};

/**
 * Gets a new list: asks the store, takes the store's lock, asks the store again, because another process may have held the
 * lock, fetches, and saves the list in the store. A revalidation goes on whether or not a caller waits for it.
 */
export class Revalidation {
	readonly entry: CacheEntry;
	/** The list of the store, fresh or stale, if it is newer than the one in memory. Never rejects. */
	readonly loaded: Promise<ModelList | undefined>;
	/** The new list. Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly list: Promise<ModelList>;
	/**
	 * Resolves when another fetch for this target may start: with the list, or when the app-server of a failed fetch is gone.
	 * Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly nextMayStart: Promise<unknown>;
	/** Resolves when the list is saved, the lock is released, and the app-server of a failed fetch is gone. */
	readonly ended: Promise<unknown>;
	readonly #fingerprint: TargetFingerprint;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	#newerThan: number;
	#fetch: Fetch | undefined;
	/** Resolves when the list is saved and the lock is released; `undefined` while neither is needed. */
	#cleanedUp: Promise<unknown> | undefined;

	constructor(entry: CacheEntry, { fingerprint, newerThan, predecessors }: RevalidationOptions) {
		this.entry = entry;
		this.#fingerprint = fingerprint;
		this.#newerThan = newerThan;
		// The store is asked before the predecessors end, because its list needs no app-server. A microtask later, because a
		// caller with a stale list must not wait for a store that works synchronously.
		const loading = Promise.resolve().then(() => this.#loadFromStore());
		this.loaded = loading.then(({ list }) => list);
		// The time limit starts when the predecessors have ended.
		this.list = predecessors.then(() => this.#withTimeout(this.#run(loading)));
		this.nextMayStart = this.list.catch(() => this.#fetch?.nextMayStart);
		this.ended = this.nextMayStart.then(() => this.#cleanedUp);
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress() ?? notStarted;
	}

	/** The number of app-servers that were asked: 0 for the list of another process. */
	get attempts(): number {
		return this.#fetch?.attempts ?? 0;
	}

	/** Refuses the lists that other processes fetched before this millisecond. */
	requireNewList(): void {
		this.#newerThan = Math.max(this.#newerThan, Date.now() - 1);
	}

	/** Rejects `list`, unless it is there, and ends the app-server fast. */
	abort(error: CodexModelsError): void {
		this.#controller.abort(error);
	}

	#withTimeout(run: Promise<ModelList>): Promise<ModelList> {
		const { fetchTimeoutMs: timeoutMs } = this.entry.context.settings;
		const fallback = () => {
			const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs, ...this.progress });
			this.abort(error);
			throw error;
		};
		const { signal } = this.#controller;
		return pTimeout(run, {
			milliseconds: Math.max(1, timeoutMs),
			signal,
			fallback,
			customTimers: unrefTimers,
		});
	}

	async #run(loading: Promise<LoadResult>): Promise<ModelList> {
		const { list, hasFailed } = await loading;
		const { signal } = this.#controller;
		signal.throwIfAborted();
		if (this.#sparesFetch(list)) return list;
		const locking = this.entry.stored?.lock(signal);
		const work = (async () => {
			const unlock = await locking;
			// Another process may have saved its list during the wait for the lock.
			return this.#fetchUnlessStored(unlock !== undefined && !hasFailed);
		})();
		// The next process may start its app-server when that of a failed fetch is gone.
		const saved = work
			.then((newList) => this.#save(newList))
			.catch(() => this.#fetch?.nextMayStart);
		this.#cleanedUp = saved.then(async () => (await locking?.catch(() => undefined))?.());
		return work;
	}

	async #loadFromStore(): Promise<LoadResult> {
		const { stored } = this.entry;
		if (!stored || this.#controller.signal.aborted) return { list: undefined, hasFailed: false };
		return stored.load(this.#fingerprint, this.#newerThan);
	}

	/** Whether the list of another process will do. A caller who joined may have required a newer one. */
	#sparesFetch(list: ModelList | undefined): list is ModelList {
		if (!list?.matches(this.#fingerprint) || list.fetchedAt <= this.#newerThan) return false;
		return (
			list.fetchedAt > this.#startedAt ||
			list.isFresh(this.#fingerprint, Date.now(), this.entry.context.settings)
		);
	}

	async #fetchUnlessStored(asksStore: boolean): Promise<ModelList> {
		const { target, context, emit } = this.entry;
		const { signal } = this.#controller;
		const { list } = asksStore ? await this.#loadFromStore() : {};
		if (this.#sparesFetch(list)) return list;
		signal.throwIfAborted();
		this.#fetch = context.fetchModels(target, { fingerprint: this.#fingerprint, signal, emit });
		const answer = await this.#fetch.answer;
		const fetchedAt = Date.now();
		const { account, command } = await context.fingerprints.readWithTimeout(
			target,
			this.#fingerprint,
			{ isNew: true },
		);
		// A command that is a function has named its file in this fetch at the earliest.
		const seen =
			typeof context.settings.command === 'function' ? { account, command } : { account };
		return new ModelList(answer, fetchedAt, { ...this.#fingerprint, ...seen });
	}

	async #save(list: ModelList): Promise<void> {
		const { stored } = this.entry;
		const isFetched = this.#fetch !== undefined;
		if (!stored || !isFetched || list.size === 0 || !this.entry.canKeep(list)) return;
		await stored.save(list);
		if (this.entry.isDropped) await stored.delete();
	}
}
