import pTimeout from 'p-timeout';
import {
	emptyListError,
	type FetchProgress,
	fallbackError,
	notStarted,
	timeoutError,
	toCodexModelsError,
} from '../api/errors.js';
import type { Fetch, Target } from '../api/fetch.js';
import { unrefTimers } from '../system/timers.js';
import { type CacheEntry, isBuiltIn, type ModelList, makeModelList } from './cache-entry.js';
import type { CacheContext } from './context.js';
import { digest, heldStill, type Inputs, listFiles, lookAtInputs, withPatience } from './inputs.js';
import { createStoredList, type StoredList } from './stored-list.js';

/** The functions of its cache that a revalidation calls. */
type Host = {
	/** Resolves when an app-server of this target may be started. */
	waitForTurn(revalidation: { target: Target; ended: Promise<void> }): Promise<void>;
	/** Is called after each change of the entry. */
	onChange(): void;
	/** The time of the last `clear`, in epoch ms: lists that were stored until then are not loaded. */
	readonly clearedAt: number;
};

/** Gets a new list for an entry. Goes on whether or not a caller waits for it. */
export class Revalidation {
	readonly entry: CacheEntry;
	/** Resolves when the list of the store, fresh or stale, is in the entry. Never rejects. */
	readonly loaded: Promise<unknown>;
	/** The new list. Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly result: Promise<ModelList>;
	/** Resolves when the list is saved, the lock is released, and the app-server of a failed fetch is gone. */
	readonly ended: Promise<void>;
	/** Whether a caller asked for a new list: one that another process fetched before this revalidation will not do. */
	isRefresh = false;
	isSettled = false;
	readonly #context: CacheContext;
	readonly #host: Host;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	#command = '';
	#stored: StoredList | undefined;
	#fetch: Fetch | undefined;

	constructor(entry: CacheEntry, context: CacheContext, host: Host) {
		this.entry = entry;
		this.#context = context;
		this.#host = host;
		// The store is asked before the turn comes, because its list needs no app-server.
		const loading = this.#loadFirst();
		this.loaded = loading.catch(() => {});
		this.result = this.#run(loading);
		// The rest comes behind the result, and callers do not wait for it.
		this.ended = this.result
			.then((list) => this.#save(list))
			.catch(() => this.#fetch?.untilGone())
			.then(() => this.#stored?.unlock());
	}

	get target(): Target {
		return this.entry.target;
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress() ?? notStarted;
	}

	/** Ends the wait for whatever it is, and the app-server fast. */
	abort(reason: unknown): void {
		this.#controller.abort(reason);
	}

	async #run(loading: Promise<ModelList | undefined>): Promise<ModelList> {
		const { entry, target } = this;
		const { emit } = this.#context;
		const startedAt = performance.now();
		try {
			let list = await loading;
			if (!this.#isNew(list)) {
				await this.#host.waitForTurn(this);
				list = await this.#withTimeout(this.#lockAndFetch());
			}
			const models = list.all.length;
			if (models === 0) entry.fail(emptyListError());
			const durationMs = performance.now() - startedAt;
			if (this.#fetch)
				emit(target, { type: 'refreshed', durationMs, models, attempts: this.#fetch.attempts });
			return list;
		} catch (error) {
			entry.fail(error);
			const durationMs = performance.now() - startedAt;
			emit(target, { type: 'failed', durationMs, error: toCodexModelsError(error) });
			throw error;
		} finally {
			this.isSettled = true;
			this.#host.onChange();
		}
	}

	async #loadFirst() {
		this.#command = await this.#withTimeout(this.#context.command.resolve());
		this.#stored = createStoredList(this.entry, this.#command, this.#context);
		return this.#load();
	}

	/** Remembers the list of the store, where that is newer. */
	async #load(): Promise<ModelList | undefined> {
		const { entry } = this;
		const newerThan = Math.max(this.#host.clearedAt, entry.list?.fetchedAt ?? 0);
		const stored = await this.#stored?.load(newerThan);
		if (!stored || entry.isDropped || this.#controller.signal.aborted) return undefined;
		const look = await this.#look(stored);
		entry.remember(stored);
		if (look) entry.compare(look);
		this.#host.onChange();
		return entry.list;
	}

	/** Whether the list of another process spares the fetch. */
	#isNew(list: ModelList | undefined): list is ModelList {
		if (!list) return false;
		return list.fetchedAt >= this.#startedAt || (!this.isRefresh && this.entry.isFresh());
	}

	async #lockAndFetch(): Promise<ModelList> {
		const { signal } = this.#controller;
		// Another process may have saved its list during the wait for the lock.
		const other = (await this.#stored?.lock(signal)) ? await this.#load() : undefined;
		signal.throwIfAborted();
		return this.#isNew(other) ? other : this.#startFetch();
	}

	/** Fetches, and decides whether the answer is remembered. */
	async #startFetch(): Promise<ModelList> {
		const { entry, target } = this;
		const { startFetch, emit } = this.#context;
		const { signal } = this.#controller;
		const command = this.#command;
		const before = await this.#look(entry.list);
		signal.throwIfAborted();
		const fetch = startFetch(target, { command, inputs: digest(before), signal, emit });
		this.#fetch = fetch;
		let inputsToKeep: string | undefined;
		try {
			const answer = await fetch.answer;
			const fetchedAt = Date.now();
			// Where Codex names no file, those that it named before still count.
			const after = await this.#look(entry.list, answer.files);
			signal.throwIfAborted();
			const isStill = heldStill(before, after);
			const list = makeModelList(answer, fetchedAt, isStill ? after : undefined);
			const known = entry.getServable(command);
			if (isBuiltIn(list) && known && !isBuiltIn(known))
				throw fallbackError(list.warnings, fetch.progress().stderr);
			if (isStill && !isBuiltIn(list)) inputsToKeep = digest(after);
			const isMine = isStill && after.login === entry.login && !entry.isDropped;
			return isMine && answer.models.length > 0 ? entry.remember(list) : list;
		} finally {
			fetch.release(inputsToKeep);
		}
	}

	async #save(list: ModelList): Promise<void> {
		if (!this.#fetch || list !== this.entry.list) return;
		// Another process may have stored a better list meanwhile.
		const other = isBuiltIn(list) ? await this.#stored?.load(this.#host.clearedAt) : undefined;
		if (other && !isBuiltIn(other)) return;
		await this.#stored?.save(list);
		if (this.entry.isDropped) await this.#stored?.delete();
	}

	/** Looks at the inputs, and at the files that Codex names, else at those of a list. */
	#look(list: ModelList | undefined, named: readonly string[] = []): Promise<Inputs | undefined> {
		const files = named.length > 0 ? named : listFiles(list?.inputs);
		const look = lookAtInputs(this.target, this.#context.settings, this.#command, files);
		return withPatience(look);
	}

	#withTimeout<T>(work: Promise<T>): Promise<T> {
		const { fetchTimeoutMs: timeoutMs } = this.#context.settings;
		const fallback = () => {
			const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs, ...this.progress });
			this.abort(error);
			throw error;
		};
		const { signal } = this.#controller;
		const limits = { milliseconds: Math.max(1, timeoutMs), signal, fallback };
		return pTimeout(work, { ...limits, customTimers: unrefTimers });
	}
}
