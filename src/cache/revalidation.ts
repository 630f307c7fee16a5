import pTimeout from 'p-timeout';
import {
	type CodexModelsError,
	type FetchProgress,
	fallbackError,
	notStarted,
	timeoutError,
	toCodexModelsError,
} from '../api/errors.js';
import type { Emit } from '../api/events.js';
import type { Fetch, StartFetch } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { hash } from '../system/hash.js';
import { unrefTimers } from '../system/timers.js';
import { type CacheEntry, emptyListError } from './cache-entry.js';
import {
	heldStill,
	isCurrent,
	type Look,
	listFiles,
	lookAtInputs,
	toInputs,
	withPatience,
} from './inputs.js';
import { isBuiltIn, isYoung, type ModelList, makeModelList } from './model-list.js';
import type { StoredList } from './stored-list.js';

/** How long a fetch waits for a look at the files, in milliseconds. A list that was made without a look is not remembered. */
const lookTimeoutMs = 1_000;

/** What all revalidations of a cache share. */
export type RevalidationContext = {
	settings: Settings;
	startFetch: StartFetch;
	/** Resolves to the program that the next fetch starts. */
	resolveCommand(): Promise<string>;
	toStored(entry: CacheEntry, command: string): StoredList | undefined;
	/** The time of the last `clear`, in epoch ms: lists that were stored until then are not loaded. */
	clearedAt(): number;
	/** Resolves when an app-server of this target may be started, and sets `hasTurn`. */
	waitForTurn(revalidation: Revalidation): Promise<unknown>;
	/** Is called after each change of the entry. */
	onChange(entry: CacheEntry): void;
	emit: Emit;
};

/** Gets a new list for an entry. Goes on whether or not a caller waits for it. */
export class Revalidation {
	readonly entry: CacheEntry;
	/** The list of the store, fresh or stale, if it is newer than the one in memory. Never rejects. */
	readonly loaded: Promise<ModelList | undefined>;
	/** The new list. Rejects with a `CodexModelsError`, or with a `TypeError` after misuse of the library. */
	readonly result: Promise<ModelList>;
	/** Resolves when the list is saved, the lock is released, and the app-server of a failed fetch is gone. */
	readonly ended: Promise<void>;
	/** Whether it has had its turn, and may start app-servers. */
	hasTurn = false;
	readonly #context: RevalidationContext;
	readonly #controller = new AbortController();
	readonly #startedAt = Date.now();
	readonly #startedClock = performance.now();
	/** A list of the store that spares the fetch must be newer than this, in epoch ms. */
	#newerThan = Number.NEGATIVE_INFINITY;
	#fetch: Fetch | undefined;
	#settleLoaded: (list: ModelList | undefined) => void = () => {};
	#resolve: (list: ModelList) => void = () => {};
	#reject: (error: unknown) => void = () => {};

	constructor(entry: CacheEntry, context: RevalidationContext) {
		this.entry = entry;
		this.#context = context;
		this.loaded = new Promise((resolve) => {
			this.#settleLoaded = resolve;
		});
		this.result = new Promise((resolve, reject) => {
			this.#resolve = resolve;
			this.#reject = reject;
		});
		// A background refresh has no caller who would hear of its failure.
		this.result.catch(() => {});
		this.ended = this.#run();
	}

	get progress(): FetchProgress {
		return this.#fetch?.progress() ?? notStarted;
	}

	/** Refuses the lists that other processes fetched before this millisecond. */
	requireNewList(): void {
		this.#newerThan = Math.max(this.#newerThan, Date.now() - 1);
	}

	/** Ends the wait for whatever it is, and the app-server fast. */
	abort(error: CodexModelsError): void {
		this.#controller.abort(error);
	}

	async #run(): Promise<void> {
		const { signal } = this.#controller;
		let unlock: (() => Promise<unknown>) | undefined;
		try {
			const command = await this.#withTimeout(() => this.#context.resolveCommand());
			const stored = this.#context.toStored(this.entry, command);
			// The store is asked before the turn comes, because its list needs no app-server.
			const known = await this.#load(stored, command);
			this.#settleLoaded(known?.list);
			let list = known?.spares ? known.list : undefined;
			if (!list) {
				await this.#context.waitForTurn(this);
				list = await this.#withTimeout(async () => {
					signal.throwIfAborted();
					unlock = await stored?.lock(signal);
					// Another process may have saved its list during the wait for the lock.
					const other = unlock && (await this.#load(stored, command));
					return other?.spares ? other.list : this.#ask(command);
				});
			}
			this.#succeed(list);
			if (this.#fetch && list === this.entry.list) await stored?.save(list, this.entry);
		} catch (reason) {
			this.#fail(reason);
			await this.#fetch?.untilGone();
		} finally {
			await unlock?.();
		}
	}

	/** Remembers the list of the store, where that is newer, and tells whether it spares the fetch. */
	async #load(stored: StoredList | undefined, command: string) {
		const { entry } = this;
		const { settings, clearedAt, onChange } = this.#context;
		const newerThan = Math.max(clearedAt(), entry.list?.fetchedAt ?? Number.NEGATIVE_INFINITY);
		const list = await stored?.load(newerThan);
		if (!list || entry.isDropped || this.#controller.signal.aborted) return undefined;
		const look = await this.#look(command, list);
		const isSame = !look || isCurrent(list.inputs, look);
		// A list of another machine brings no files, and is watched from here on.
		const isForeign = Object.keys(list.inputs.files).length === 0;
		const inputs = isForeign && look ? toInputs(entry.target, look) : list.inputs;
		const remembered = entry.remember({ ...list, inputs }, isSame);
		onChange(entry);
		const isNew = list.fetchedAt > this.#startedAt || isYoung(list, Date.now(), settings);
		return { list: remembered, spares: isSame && isNew && list.fetchedAt > this.#newerThan };
	}

	/** Fetches, and decides whether the answer is remembered. */
	async #ask(command: string): Promise<ModelList> {
		const { entry } = this;
		const { startFetch, emit } = this.#context;
		const { signal } = this.#controller;
		const before = await this.#look(command, entry.list);
		signal.throwIfAborted();
		const fetch = startFetch(entry.target, { command, inputs: digest(before), signal, emit });
		this.#fetch = fetch;
		let kept: string | undefined;
		try {
			const answer = await fetch.answer;
			const fetchedAt = Date.now();
			const after = await this.#look(command, entry.list, answer.files);
			signal.throwIfAborted();
			const inputs = after ? toInputs(entry.target, after) : { login: '', command, files: {} };
			const list = makeModelList(answer, fetchedAt, inputs);
			const isStill = before !== undefined && after !== undefined && heldStill(before, after);
			const best = entry.getServable(fetchedAt, command);
			if (isBuiltIn(list)) {
				if (best && !isBuiltIn(best)) throw fallbackError(list.warnings, fetch.progress().stderr);
			} else if (isStill) kept = digest(after);
			const isMine = isStill && before.login === entry.login && !entry.isDropped;
			return isMine && list.views.all.length > 0 ? entry.remember(list) : list;
		} finally {
			fetch.release(kept);
		}
	}

	#look(command: string, list: ModelList | undefined, named: readonly string[] = []) {
		const files = [...listFiles(list?.inputs), ...named];
		const look = lookAtInputs(this.entry.target, this.#context.settings, command, files);
		return withPatience(look, lookTimeoutMs);
	}

	#succeed(list: ModelList): void {
		const { entry } = this;
		const models = list.views.all.length;
		entry.revalidation = undefined;
		if (models === 0) entry.fail(emptyListError());
		const { attempts = 0 } = this.#fetch ?? {};
		if (attempts > 0) {
			this.#context.emit({ type: 'refreshed', durationMs: this.#durationMs, models, attempts });
		}
		this.#context.onChange(entry);
		this.#resolve(list);
	}

	#fail(reason: unknown): void {
		const { entry } = this;
		const error = toCodexModelsError(reason);
		entry.revalidation = undefined;
		entry.fail(error);
		this.#context.emit({ type: 'failed', durationMs: this.#durationMs, error });
		this.#context.onChange(entry);
		this.#settleLoaded(undefined);
		this.#reject(reason);
	}

	get #durationMs(): number {
		return performance.now() - this.#startedClock;
	}

	#withTimeout<T>(run: () => Promise<T>): Promise<T> {
		const { fetchTimeoutMs: timeoutMs } = this.#context.settings;
		const fallback = () => {
			const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs, ...this.progress });
			this.abort(error);
			throw error;
		};
		const { signal } = this.#controller;
		const milliseconds = Math.max(1, timeoutMs);
		return pTimeout(run(), { milliseconds, signal, fallback, customTimers: unrefTimers });
	}
}

const digest = (look: Look | undefined) => hash('inputs', look?.login, look?.command, look?.files);
