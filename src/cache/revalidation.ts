import pTimeout from 'p-timeout';
import { type CodexModelsError, timeoutError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import type { Fetch, FetchModels, FetchProgress, FetchTarget, Fingerprint } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';
import { unrefTimers } from '../core/timers.js';
import { ModelList } from './model-list.js';
import type { StoredList, StoreLookup } from './stored-list.js';

export type RevalidationInput = {
	target: FetchTarget;
	settings: Settings;
	/** The files as they are before the fetch. */
	fingerprint: Fingerprint;
	/** Looks at the files after the fetch, within a limit. */
	lookAgain(): Promise<Fingerprint>;
	fetchModels: FetchModels;
	/** The place where other processes look for the list; `undefined` without a store. */
	stored: StoredList | undefined;
	/** A list of another process must be newer than this, in epoch ms. */
	minFetchedAt: number;
	/** Aborts when the list must not be remembered any more. */
	dropped: AbortSignal;
	/** Resolves when an app-server may be started. */
	predecessors: Promise<unknown>;
	emit: Emit;
};

const notStarted: FetchProgress = { phase: 'spawn', stderr: '', stderrSummary: '' };

/**
 * One way to a new list, under one time limit: the store; its lock, and the store again, because another process may have
 * held the lock; a fetch, and its list into the store. It goes on whether or not a caller waits for it.
 */
export class Revalidation {
	readonly target: FetchTarget;
	/** The list of the store, which may be a stale one, if it is newer than the known one. Never rejects. */
	readonly found: Promise<ModelList | undefined>;
	/** The new list. Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly list: Promise<ModelList>;
	/**
	 * Resolves when another fetch of this list may start. After a failure that is when the app-server is gone, because two
	 * that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly released: Promise<unknown>;
	/** Resolves when the app-server of a failure is gone, the list is stored and the lock released. */
	readonly ended: Promise<unknown>;
	readonly #input: RevalidationInput;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	#minFetchedAt: number;
	#isRefresh = false;
	#fetch: Fetch | undefined;
	#isOfOtherAccount = false;
	#locked: Promise<ModelList> | undefined;
	/** Saves the list and releases the lock. */
	#cleanUp: Promise<unknown> | undefined;

	constructor(input: RevalidationInput) {
		this.#input = input;
		this.target = input.target;
		this.#minFetchedAt = input.minFetchedAt;
		const lookup = this.#lookUpInStore();
		this.found = lookup.then(({ list }) => list);
		this.list = this.#limit(this.#run(lookup));
		this.released = this.list.catch(() => this.#fetch?.released);
		this.ended = this.released.then(() => this.#locked?.catch(() => {})).then(() => this.#cleanUp);
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress() ?? notStarted;
	}

	/** The number of app-servers that were asked: 0 for the list of another process. */
	get attempts(): number {
		return this.#fetch?.attempts ?? 0;
	}

	/** Whether the result may be remembered: somebody may have logged in as another account meanwhile. */
	get isRememberable(): boolean {
		return !this.#isOfOtherAccount && !this.#input.dropped.aborted;
	}

	/** Refuses the lists that other processes stored before now. */
	requireNewList(): void {
		this.#isRefresh = true;
		this.#minFetchedAt = Math.max(this.#minFetchedAt, Date.now() - 1);
	}

	/** Rejects `list`, unless it is there, and ends the app-server without patience. */
	abort(error: CodexModelsError): void {
		this.#controller.abort(error);
	}

	#limit(run: Promise<ModelList>): Promise<ModelList> {
		const { fetchTimeoutMs } = this.#input.settings;
		return pTimeout(run, {
			milliseconds: Math.max(1, fetchTimeoutMs),
			signal: this.#controller.signal,
			customTimers: unrefTimers,
			fallback: () => {
				const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs: fetchTimeoutMs, ...this.progress });
				this.abort(error);
				throw error;
			},
		});
	}

	async #lookUpInStore(): Promise<StoreLookup> {
		const { stored, predecessors, fingerprint } = this.#input;
		await predecessors;
		if (!stored || this.#isRefresh) return { list: undefined, hasFailed: false };
		return stored.load(fingerprint, this.#minFetchedAt);
	}

	async #run(lookup: Promise<StoreLookup>): Promise<ModelList> {
		const { list, hasFailed } = await lookup;
		this.#controller.signal.throwIfAborted();
		if (list && this.#isNewEnough(list)) return list;
		this.#locked = this.#fetchUnderLock(hasFailed);
		return this.#locked;
	}

	async #fetchUnderLock(hasStoreFailed: boolean): Promise<ModelList> {
		const { stored, fingerprint } = this.#input;
		const unlock = await stored?.lock(this.#controller.signal);
		try {
			// Without a lock no time has passed since the first lookup, and another one is pointless.
			const isWorthALook = stored && unlock && !hasStoreFailed;
			const { list: other } = isWorthALook ? await stored.load(fingerprint, this.#minFetchedAt) : {};
			if (other && this.#isNewEnough(other)) {
				this.#cleanUp = unlock?.();
				return other;
			}
			const list = await this.#fetchList();
			this.#cleanUp = this.#save(list).then(unlock);
			return list;
		} catch (error) {
			// The next process may start its app-server when this one is gone.
			this.#cleanUp = Promise.resolve(this.#fetch?.released).then(unlock);
			throw error;
		}
	}

	/** Whether the list of another process spares the fetch. A caller who joined may have required a newer one. */
	#isNewEnough(list: ModelList): boolean {
		const { fingerprint, settings } = this.#input;
		if (list.fetchedAt <= this.#minFetchedAt) return false;
		return list.fetchedAt > this.#startedAt || list.isFresh(fingerprint, Date.now(), settings);
	}

	async #fetchList(): Promise<ModelList> {
		const { target, settings, fingerprint, lookAgain, fetchModels, emit } = this.#input;
		const { signal } = this.#controller;
		signal.throwIfAborted();
		this.#fetch = fetchModels(target, { fingerprint, signal, emit });
		const answer = await this.#fetch.answer;
		const fetchedAt = Date.now();
		const now = await lookAgain();
		this.#isOfOtherAccount = now.account !== fingerprint.account;
		// A command that is a function is known since it was called for this fetch.
		const { command } = typeof settings.command === 'function' ? now : fingerprint;
		return new ModelList(answer, fetchedAt, { ...fingerprint, command });
	}

	async #save(list: ModelList): Promise<void> {
		const { stored, dropped } = this.#input;
		if (!stored || list.size === 0 || !this.isRememberable) return;
		await stored.save(list);
		if (dropped.aborted) await stored.delete();
	}
}
