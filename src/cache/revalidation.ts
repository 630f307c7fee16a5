import pTimeout from 'p-timeout';
import { type CodexModelsError, timeoutError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import type { Fetch, FetchModels, FetchProgress, FetchTarget, Fingerprint } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';
import { unrefTimers } from '../core/timers.js';
import { ModelList } from './model-list.js';
import type { StoredList } from './stored-list.js';

export type RevalidationInput = {
	target: FetchTarget;
	settings: Settings;
	/** The files as they are before the fetch. */
	fingerprint: Fingerprint;
	/** Looks at the files after the fetch, within a limit. */
	readFingerprint(): Promise<Fingerprint>;
	fetchModels: FetchModels;
	/** The place where other processes look for the list; `undefined` without a store. */
	stored: StoredList | undefined;
	/** Whether the store was read just now, or did not answer. */
	skipStoreRead: boolean;
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
 * One way to a new list, under one time limit: the store's lock, then the list of another process or a fetch, then the
 * store. It goes on whether or not a caller waits for it, and does not keep the process alive.
 */
export class Revalidation {
	/** Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly list: Promise<ModelList>;
	/**
	 * Resolves when another fetch of this list may start. After a failure that is when the app-server is gone, because two
	 * that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly released: Promise<void>;
	/** Resolves when the list is stored and the lock is released. */
	readonly persisted: Promise<void>;
	readonly #input: RevalidationInput;
	readonly #controller = new AbortController();
	#minFetchedAt: number;
	#acceptsAnyFreshList = true;
	#fetch: Fetch | undefined;
	#isOfOtherAccount = false;
	#cleanUp: Promise<unknown> | undefined;

	constructor(input: RevalidationInput) {
		this.#input = input;
		this.#minFetchedAt = input.minFetchedAt;
		const run = this.#run();
		this.list = this.#limit(run);
		this.released = this.list.then(
			() => {},
			() => this.#fetch?.released,
		);
		const getCleanUp = async () => void (await this.#cleanUp);
		this.persisted = run.then(getCleanUp, getCleanUp);
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
		this.#acceptsAnyFreshList = false;
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

	async #run(): Promise<ModelList> {
		const { stored, predecessors } = this.#input;
		const { signal } = this.#controller;
		await predecessors;
		signal.throwIfAborted();
		if (!stored) return this.#fetchList();
		const unlock = await stored.lock(signal);
		try {
			const found = await this.#findInStore(stored);
			if (found) {
				this.#cleanUp = unlock();
				return found;
			}
			const list = await this.#fetchList();
			this.#cleanUp = this.#save(stored, list).then(unlock);
			return list;
		} catch (error) {
			// The next process may start its app-server when this one is gone.
			this.#cleanUp = Promise.resolve(this.#fetch?.released).then(unlock);
			throw error;
		}
	}

	/** The list that another process brought while this one waited for the lock. */
	async #findInStore(stored: StoredList): Promise<ModelList | undefined> {
		const { fingerprint, settings, skipStoreRead } = this.#input;
		if (skipStoreRead) return undefined;
		const { list } = await stored.load(this.#minFetchedAt);
		// A caller who joined during the lookup may require a newer list.
		if (!list || list.fetchedAt <= this.#minFetchedAt) return undefined;
		const isGoodEnough = !this.#acceptsAnyFreshList || list.isFresh(fingerprint, Date.now(), settings);
		return isGoodEnough ? list : undefined;
	}

	async #fetchList(): Promise<ModelList> {
		const { target, settings, fingerprint, readFingerprint, fetchModels, emit } = this.#input;
		const { signal } = this.#controller;
		signal.throwIfAborted();
		this.#fetch = fetchModels(target, { fingerprint, signal, emit });
		const answer = await this.#fetch.answer;
		const fetchedAt = Date.now();
		const now = await readFingerprint();
		this.#isOfOtherAccount = now.account !== fingerprint.account;
		// A command that is a function is known since it was called for this fetch.
		const { command } = typeof settings.command === 'function' ? now : fingerprint;
		return new ModelList(answer, fetchedAt, { ...fingerprint, command });
	}

	async #save(stored: StoredList, list: ModelList): Promise<void> {
		if (list.size === 0 || !this.isRememberable) return;
		await stored.save(list);
		if (this.#input.dropped.aborted) await stored.delete();
	}
}
