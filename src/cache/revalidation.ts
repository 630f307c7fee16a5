import pTimeout from 'p-timeout';
import {
	callHost,
	type FetchProgress,
	fallbackError,
	notStarted,
	protocolError,
	timeoutError,
	toCodexModelsError,
} from '../api/errors.js';
import type { Fetch } from '../api/fetch.js';
import { checkCommand } from '../api/settings.js';
import { unrefTimers } from '../system/timers.js';
import { type CacheEntry, type ModelList, makeModelList } from './cache-entry.js';
import { digest, heldStill, withPatience } from './inputs.js';
import { createStoredList, type StoredList } from './stored-list.js';

/** Gets a new list for an entry. Goes on whether or not a caller waits for it. */
export class Revalidation {
	readonly entry: CacheEntry;
	/** The list of the store, fresh or stale, when it is in the entry. Rejects as `result` does where no list is known. */
	readonly loaded: Promise<ModelList | undefined>;
	/**
	 * The new list, or a known one after a failure of what was no refresh. Rejects with a `CodexModelsError`, or with a
	 * `TypeError` after misuse of the library.
	 */
	readonly result: Promise<ModelList>;
	/** Resolves when the list is saved, the lock is released, and the app-server of a failed fetch is gone. */
	readonly ended: Promise<unknown>;
	/** Whether a caller asked for a new list: one that another process fetched before this revalidation will not do. */
	isRefresh = false;
	isSettled = false;
	/** All that are under way, this one included. */
	readonly #running: ReadonlySet<Revalidation>;
	#hasTurn = false;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	#stored: StoredList | undefined;
	#fetch: Fetch | undefined;

	constructor(entry: CacheEntry, running: ReadonlySet<Revalidation>) {
		this.entry = entry;
		this.#running = running;
		// The store is asked before the turn comes, because its list needs no app-server.
		this.loaded = this.#limit(this.#prepare());
		this.result = this.#run();
		// The rest comes behind the result, and callers do not wait for it.
		this.ended = this.result
			.then((list) => this.#save(list))
			.catch(() => {})
			.then(() => this.#fetch?.untilGone?.())
			.then(() => this.#stored?.unlock());
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress?.() ?? notStarted;
	}

	/** Ends the wait for whatever it is, and the app-server fast. */
	abort(reason: unknown): void {
		this.#controller.abort(reason);
	}

	async #run(): Promise<ModelList> {
		const { entry } = this;
		const startedAt = performance.now();
		try {
			let list = await this.loaded;
			if (!this.#isNew(list)) {
				await this.#limit(this.#takeTurn(), Infinity);
				list = await this.#limit(this.#lockAndFetch());
			}
			this.isSettled = true;
			if (list.all.length === 0)
				entry.fail(protocolError({ problem: 'the list of models is empty', phase: 'model/list' }));
			return list;
		} catch (reason) {
			const error = toCodexModelsError(reason);
			this.isSettled = true;
			entry.fail(error);
			const durationMs = performance.now() - startedAt;
			entry.context.emit(entry.target, { type: 'failed', durationMs, error });
			// A store that was slow at first may have given a list meanwhile.
			const known = this.isRefresh ? undefined : entry.getServable();
			if (known) return known;
			throw reason;
		}
	}

	async #prepare(): Promise<ModelList | undefined> {
		const { context } = this.entry;
		const { command } = context.settings;
		if (typeof command === 'function')
			context.command = checkCommand(await callHost('command', command));
		await this.entry.look();
		this.#stored = createStoredList(this.entry);
		return this.#load();
	}

	/** Remembers the list that the login had before, or that of the store, where it is newer. */
	async #load(): Promise<ModelList | undefined> {
		const { entry } = this;
		const newerThan = Math.max(entry.context.clearedAt, entry.list?.fetchedAt ?? 0);
		const former = entry.formerLists.get(entry.key);
		const isUseful = former && former.fetchedAt > newerThan;
		const stored = isUseful ? former : await this.#stored?.load(newerThan);
		if (!stored?.inputs) return undefined;
		const files = Object.keys(stored.inputs.files);
		const look = await withPatience(entry.lookAtInputs(files));
		if (entry.isDropped || this.#controller.signal.aborted) return undefined;
		// The login may have changed during the wait for a turn, a lock or the store.
		if (look?.login !== entry.login) return undefined;
		// A list of another machine brings no files, and those of this machine count from now on.
		const inputs = files.length > 0 ? stored.inputs : look;
		return entry.remember({ ...stored, inputs }, look);
	}

	/**
	 * Waits until no earlier fetch for the target is under way, and few enough for the CODEX_HOME: two app-servers that refresh
	 * one rotating login token can log the user out (openai/codex #10332).
	 */
	async #takeTurn(): Promise<void> {
		const { target, context } = this.entry;
		for (;;) {
			const ofHome = [...this.#running].filter(
				(other) => other.#hasTurn && other.entry.target.home === target.home,
			);
			const isBusy = ofHome.some(({ entry }) => entry.target.key === target.key);
			if (!isBusy && ofHome.length < context.fetcher.maxAtOnce) break;
			await Promise.race(ofHome.map(({ ended }) => ended));
		}
		this.#hasTurn = true;
	}

	/** Whether the list of another process spares the fetch. */
	#isNew(list: ModelList | undefined): list is ModelList {
		if (!list) return false;
		const isOfNow = list.fetchedAt >= this.#startedAt && list.fetchedAt <= Date.now();
		return isOfNow || (!this.isRefresh && this.entry.isFresh());
	}

	/** Fetches under the lock of the store, and decides whether the answer is remembered. */
	async #lockAndFetch(): Promise<ModelList> {
		const { entry } = this;
		const { fetcher, emit } = entry.context;
		const { signal } = this.#controller;
		// Another process may have saved its list during the wait for the lock.
		const saved = (await this.#stored?.lock(signal)) ? await this.#load() : undefined;
		if (this.#isNew(saved)) return saved;

		const before = await withPatience(entry.lookAtInputs());
		signal.throwIfAborted();
		const startedAt = performance.now();
		const fetch = fetcher.startFetch({
			target: entry.target,
			command: entry.context.command,
			inputs: digest(before),
			signal,
			emit,
		});
		this.#fetch = fetch;
		let inputsToKeep: string | undefined;
		try {
			const answer = await fetch.answer;
			const fetchedAt = Date.now();
			const after = await withPatience(entry.lookAtInputs(answer.files));
			signal.throwIfAborted();
			const isStill = heldStill(before, after);
			const list = makeModelList(answer, fetchedAt, isStill ? after : undefined);
			// Another process may have stored a better list meanwhile.
			const other = list.isBuiltIn ? await this.#load() : undefined;
			if (this.#isNew(other)) return other;
			const known = entry.getServable();
			if (list.isBuiltIn && known?.isBuiltIn === false)
				throw fallbackError(list.warnings, this.progress.stderr);
			if (isStill && !list.isBuiltIn && !entry.isDropped) inputsToKeep = digest(after);
			const models = list.all.length;
			const durationMs = performance.now() - startedAt;
			emit(entry.target, { type: 'refreshed', durationMs, models, attempts: fetch.attempts });
			const isMine = isStill && after.login === entry.login && !entry.isDropped;
			return isMine && models > 0 ? entry.remember(list) : list;
		} finally {
			fetch.release?.(inputsToKeep);
		}
	}

	async #save(list: ModelList): Promise<void> {
		if (!this.#fetch || list !== this.entry.list) return;
		await this.#stored?.save(list);
		if (this.entry.isDropped) await this.#stored?.delete();
	}

	/** The result of `work`, unless an abort comes first, or a time runs out, which aborts the fetch. */
	#limit<T>(work: Promise<T>, timeoutMs = this.entry.context.settings.fetchTimeoutMs): Promise<T> {
		const fallback = () => {
			const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs, ...this.progress });
			this.abort(error);
			throw error;
		};
		return pTimeout(work, {
			milliseconds: Math.max(1, timeoutMs),
			signal: this.#controller.signal,
			fallback,
			customTimers: unrefTimers,
		});
	}
}
