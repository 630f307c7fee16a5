import pTimeout from 'p-timeout';
import { type CodexModelsError, type FetchProgress, protocolError, timeoutError, toCodexModelsError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import type { Fetch, FetchModels, FetchTarget } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';
import { unrefTimers } from '../core/timers.js';
import type { FingerprintCache, TargetFingerprint } from './fingerprint-cache.js';
import { ModelList } from './model-list.js';
import { StoredList, type StoreLookup } from './stored-list.js';

/** The settings and functions that all entries of a cache share. */
export type CacheContext = { settings: Settings; fetchModels: FetchModels; fingerprints: FingerprintCache };

/** One list of one account: the list, the failure of its last refresh, and its one revalidation. */
export class CacheEntry {
	readonly target: FetchTarget;
	/** The key of the target and the account. */
	readonly cacheKey: string;
	readonly emit: Emit;
	readonly context: CacheContext;
	/** The same list in the store; `undefined` without a store. */
	readonly stored: StoredList | undefined;
	/** Aborts when the list is forgotten: a later result is dropped, too. */
	readonly dropped = new AbortController();
	/** The list, also where it is too old to be served. */
	list: ModelList | undefined;
	/** The revalidation that callers may join. */
	revalidation: Revalidation | undefined;

	readonly #account: string;

	constructor(target: FetchTarget, { cacheKey, account }: TargetFingerprint, context: CacheContext, emit: Emit) {
		const { settings } = context;
		this.target = target;
		this.cacheKey = cacheKey;
		this.#account = account;
		this.emit = emit;
		this.context = context;
		this.stored = settings.store && new StoredList(settings.store, settings, target, account, emit);
	}

	/** Starts a revalidation; the caller has looked for one to join. */
	startRevalidation(start: RevalidationStart): Revalidation {
		const startedAt = performance.now();
		const getDurationMs = () => performance.now() - startedAt;
		// A list in the store that is as old as the one in memory is the same.
		const newerThan = Math.max(start.newerThan, this.list?.fetchedAt ?? Number.NEGATIVE_INFINITY);
		const revalidation = new Revalidation(this, { ...start, newerThan });
		this.revalidation = revalidation;
		revalidation.storedList.then((list) => {
			this.list = list ?? this.list;
		});
		revalidation.list.then(
			(list) => {
				this.revalidation = undefined;
				const { attempts } = revalidation;
				const problem = 'the list of models is empty';
				if (list.size === 0) this.#fail(protocolError({ problem, phase: 'model/list', elapsedMs: getDurationMs() }));
				// Not by `fetchedAt`, because the clock may have been set back.
				else if (this.owns(list)) this.list = list;
				if (attempts > 0) this.emit({ type: 'refreshed', durationMs: getDurationMs(), models: list.size, attempts });
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

	/** Whether the list may be remembered: somebody may have logged in as another account, or `clear` was called. */
	owns(list: ModelList): boolean {
		return !this.dropped.signal.aborted && list.fingerprint.account === this.#account;
	}

	#fail(error: CodexModelsError): void {
		if (this.list) this.list.failure = { error, at: Date.now() };
	}
}

type RevalidationStart = {
	/** The files as they are before the fetch. */
	fingerprint: TargetFingerprint;
	/** A list of another process must be newer than this, in epoch ms. */
	newerThan: number;
	/** Resolves when an app-server may be started. */
	predecessors: Promise<unknown>;
};

/**
 * One way to a new list, under one time limit: the store; its lock, and the store again, because another process may have
 * held the lock; a fetch, and its list into the store. It goes on whether or not a caller waits for it.
 */
export class Revalidation {
	readonly entry: CacheEntry;
	/** The list of the store, which may be a stale one, if it is newer than that in memory. Never rejects. */
	readonly storedList: Promise<ModelList | undefined>;
	/** The new list. Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly list: Promise<ModelList>;
	/**
	 * Resolves when another fetch of this list may start. After a failure that is when the app-server is gone, because two
	 * that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly nextMayStart: Promise<unknown>;
	/** Resolves when the app-server of a failure is gone, the list is stored and the lock released. */
	readonly ended: Promise<unknown>;
	readonly #fingerprint: TargetFingerprint;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	#newerThan: number;
	#fetch: Fetch | undefined;
	/** Saves the list and releases the lock. */
	#cleanUp: Promise<unknown> | undefined;

	constructor(entry: CacheEntry, { fingerprint, newerThan, predecessors }: RevalidationStart) {
		this.entry = entry;
		this.#fingerprint = fingerprint;
		this.#newerThan = newerThan;
		// At once, because the list of another process needs no app-server; not in this turn, which a caller may wait for.
		const lookup = Promise.resolve().then(() => this.#lookUpInStore());
		this.storedList = lookup.then(({ list }) => list);
		// The limit is that of this fetch, and does not include the end of another one's app-server.
		this.list = predecessors.then(() => this.#limit(this.#run(lookup)));
		this.nextMayStart = this.list.catch(() => this.#fetch?.nextMayStart);
		this.ended = this.nextMayStart.then(() => this.#cleanUp);
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress() ?? { phase: 'spawn', stderr: '', stderrSummary: '' };
	}

	/** The number of app-servers that were asked: 0 for the list of another process. */
	get attempts(): number {
		return this.#fetch?.attempts ?? 0;
	}

	/** Refuses the lists that other processes stored before now. */
	requireNewList(): void {
		this.#newerThan = Math.max(this.#newerThan, Date.now() - 1);
	}

	/** Rejects `list`, unless it is there, and ends the app-server without patience. */
	abort(error: CodexModelsError): void {
		this.#controller.abort(error);
	}

	#limit(run: Promise<ModelList>): Promise<ModelList> {
		const { fetchTimeoutMs: timeoutMs } = this.entry.context.settings;
		const fallback = () => {
			const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs, ...this.progress });
			this.abort(error);
			throw error;
		};
		const { signal } = this.#controller;
		return pTimeout(run, { milliseconds: Math.max(1, timeoutMs), signal, fallback, customTimers: unrefTimers });
	}

	async #run(lookup: Promise<StoreLookup>): Promise<ModelList> {
		const { list, hasFailed } = await lookup;
		const { signal } = this.#controller;
		signal.throwIfAborted();
		if (this.#isNewEnough(list)) return list;
		const locking = this.entry.stored?.lock(signal);
		this.#cleanUp = locking?.catch(() => {});
		const unlock = await locking;
		// Without a lock no time has passed since the lookup, and another one is pointless.
		const work = this.#findOrFetch(unlock !== undefined && !hasFailed);
		// The next process may start its app-server when that of a failure is gone.
		const save = work.then((newList) => this.#save(newList)).catch(() => this.#fetch?.nextMayStart);
		this.#cleanUp = save.then(unlock);
		return work;
	}

	async #lookUpInStore(): Promise<StoreLookup> {
		const { stored } = this.entry;
		if (!stored || this.#controller.signal.aborted) return { list: undefined, hasFailed: false };
		return stored.load(this.#fingerprint, this.#newerThan);
	}

	/** Whether the list of another process spares the fetch. A caller who joined may have required a newer one. */
	#isNewEnough(list: ModelList | undefined): list is ModelList {
		if (!list?.matches(this.#fingerprint) || list.fetchedAt <= this.#newerThan) return false;
		return list.fetchedAt > this.#startedAt || list.isFresh(this.#fingerprint, Date.now(), this.entry.context.settings);
	}

	async #findOrFetch(looksInStore: boolean): Promise<ModelList> {
		const { target, context, emit } = this.entry;
		const { signal } = this.#controller;
		const { list } = looksInStore ? await this.#lookUpInStore() : {};
		if (this.#isNewEnough(list)) return list;
		signal.throwIfAborted();
		this.#fetch = context.fetchModels(target, { fingerprint: this.#fingerprint, signal, emit });
		const answer = await this.#fetch.answer;
		const fetchedAt = Date.now();
		const { account, command } = await context.fingerprints.lookWithinLimit(target, this.#fingerprint, true);
		// A command that is a function has a file since it was called for this fetch.
		const seen = typeof context.settings.command === 'function' ? { account, command } : { account };
		return new ModelList(answer, fetchedAt, { ...this.#fingerprint, ...seen });
	}

	async #save(list: ModelList): Promise<void> {
		const { stored, dropped } = this.entry;
		const isFetched = this.#fetch !== undefined;
		if (!stored || !isFetched || list.size === 0 || !this.entry.owns(list)) return;
		await stored.save(list);
		if (dropped.signal.aborted) await stored.delete();
	}
}
