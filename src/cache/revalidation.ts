import pTimeout from 'p-timeout';
import {
	callHost,
	fallbackError,
	protocolError,
	timeoutError,
	toCodexModelsError,
} from '../api/errors.js';
import type { Fetch } from '../api/model-list.js';
import { checkCommand } from '../api/settings.js';
import { unrefTimers, withPatience } from '../system/timers.js';
import { type CacheEntry, type ModelList, makeModelList } from './cache-entry.js';
import { digest, heldStill } from './inputs.js';
import { createStoredList } from './stored-list.js';

/** Gets a new list for an entry. Goes on whether or not a caller waits for it. */
export class Revalidation {
	readonly entry: CacheEntry;
	/**
	 * The new list, or a known one after a failure of what was no refresh. Rejects with a `CodexModelsError`, or with a
	 * `TypeError` after misuse of the library.
	 */
	readonly result: Promise<ModelList>;
	/** Resolves when the list of the store, fresh or stale, is in the entry. Rejects as `result` does where no list is known. */
	readonly loaded: Promise<void>;
	/** Resolves when the list is saved, the lock is released, and the app-server of a failed fetch is gone. */
	readonly ended: Promise<void>;
	/** Whether a caller asked for a new list: one that another process fetched before this revalidation will not do. */
	isRefresh = false;
	isSettled = false;
	readonly #running: Set<Revalidation>;
	#hasTurn = false;
	/** Its abort ends the wait for whatever it is, and the app-server fast. */
	readonly controller = new AbortController();
	readonly #startedAt = Date.now();
	#stored: ReturnType<typeof createStoredList>;
	/** The list that the store had for this revalidation. */
	#loaded?: ModelList;
	#fetch?: Fetch;

	/** @param running - holds all that are under way, this one from now until it has ended. */
	constructor(entry: CacheEntry, running: Set<Revalidation>) {
		this.entry = entry;
		this.#running = running.add(this);
		// The store is asked before the turn comes, because its list needs no app-server.
		this.loaded = this.#limit(this.#prepare());
		this.result = this.#run();
		this.ended = this.#finish();
	}

	/** `undefined` before an app-server was started. */
	get progress() {
		return this.#fetch?.progress?.();
	}

	async #run() {
		const { entry } = this;
		const startedAt = performance.now();
		try {
			await this.loaded;
			let list = this.#newEnoughList;
			if (!list) {
				await this.#limit(this.#takeTurn(), Infinity);
				list = await this.#limit(this.#lockAndFetch());
			}
			this.isSettled = true;
			// Not at each call again, where each fetch changes a file that it is made from.
			if (list !== entry.list) entry.failedAt = Date.now();
			if (list.models.length === 0)
				entry.fail(protocolError({ problem: 'the list of models is empty', phase: 'model/list' }));
			return list;
		} catch (reason) {
			const error = toCodexModelsError(reason);
			this.isSettled = true;
			entry.fail(error);
			entry.context.emit(entry.target, {
				type: 'failed',
				durationMs: performance.now() - startedAt,
				error,
			});
			// A store that was slow at first may have given a list meanwhile.
			const known = this.isRefresh ? undefined : entry.getServable();
			if (known) return known;
			throw reason;
		}
	}

	async #prepare() {
		const { context } = this.entry;
		const { command } = context.settings;
		if (typeof command === 'function') {
			const named = checkCommand(await callHost('command', command));
			this.controller.signal.throwIfAborted();
			context.command = named;
		}
		await this.entry.look();
		this.#stored = createStoredList(this.entry);
		await this.#load();
	}

	/** Takes the list of the store into the entry, where it is newer. */
	async #load() {
		const { entry } = this;
		const newerThan = Math.max(entry.context.clearedAt, entry.list?.fetchedAt ?? 0);
		const stored = await this.#stored?.load(newerThan);
		if (!stored?.inputs) return;
		const files = Object.keys(stored.inputs.files);
		const look = await withPatience(entry.lookAtInputs(files));
		// The login may have changed during the wait for a turn, a lock or the store.
		if (entry.isDropped || this.controller.signal.aborted || look?.login !== entry.login) return;
		// A list of another machine brings no files, and those of this machine count from now on.
		this.#loaded = entry.remember(
			{ ...stored, inputs: files.length > 0 ? stored.inputs : look },
			look,
		);
	}

	/**
	 * Waits until no earlier fetch for the target is under way, and few enough for the CODEX_HOME: two app-servers that refresh
	 * one rotating login token can log the user out (openai/codex #10332).
	 */
	async #takeTurn() {
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

	/** The list, if it spares the fetch: a fresh one, or for a refresh one that another process has fetched meanwhile. */
	get #newEnoughList() {
		const list = this.entry.getServable();
		if (!list) return undefined;
		const isOfNow = list === this.#loaded && list.fetchedAt >= this.#startedAt;
		return isOfNow || (!this.isRefresh && this.entry.isFresh()) ? list : undefined;
	}

	/** Fetches under the lock of the store, and decides whether the answer is remembered. */
	async #lockAndFetch() {
		const { entry } = this;
		const { signal } = this.controller;
		// Another process may have saved its list during the wait for the lock.
		if (await this.#stored?.lock(signal)) await this.#load();
		if (this.#newEnoughList) return this.#newEnoughList;

		const before = await withPatience(entry.lookAtInputs());
		signal.throwIfAborted();
		const startedAt = performance.now();
		// Another call of the function may have named another program during the waits.
		const { fetcher, command, emit } = entry.context;
		const fetch = fetcher.startFetch({
			target: entry.target,
			command,
			inputs: digest(before),
			signal,
			emit,
		});
		this.#fetch = fetch;
		const answer = await fetch.answer;
		const fetchedAt = Date.now();
		const after = await withPatience(entry.lookAtInputs(answer.files));
		const isStill = heldStill(before, after) && !entry.isDropped && !signal.aborted;
		const isMine = isStill && after?.login === entry.login;
		const list = makeModelList(answer, fetchedAt, isMine ? after : undefined);
		fetch.release?.(isStill && !list.isBuiltIn ? digest(after) : undefined);
		signal.throwIfAborted();
		if (list.isBuiltIn) {
			// Another process may have stored a better list meanwhile.
			await this.#load();
			if (this.#newEnoughList) return this.#newEnoughList;
			if (entry.getServable()?.isBuiltIn === false)
				throw fallbackError(list.warnings, this.progress?.stderr ?? '');
		}
		const models = list.models.length;
		emit(entry.target, {
			type: 'refreshed',
			durationMs: performance.now() - startedAt,
			models,
			attempts: fetch.attempts,
		});
		return isMine && !entry.isDropped && models > 0 ? entry.remember(list) : list;
	}

	/** All that comes behind the result, and that callers do not wait for. */
	async #finish() {
		const { entry } = this;
		const list = await this.result.catch(() => undefined);
		// A built-in list is not saved, because another process may reach the server.
		if (this.#fetch && list && list === entry.list && !list.isBuiltIn) {
			await this.#stored?.save(list);
			if (entry.isDropped) await this.#stored?.delete();
		}
		await this.#fetch?.gone;
		await this.#stored?.unlock();
		this.#running.delete(this);
	}

	/** The result of `work`, unless an abort comes first, or a time runs out, which aborts the fetch. */
	#limit<T>(work: Promise<T>, timeoutMs = this.entry.context.settings.fetchTimeoutMs) {
		const fallback = () => {
			const error = timeoutError('fetchTimeoutMs', timeoutMs, this.progress);
			this.controller.abort(error);
			throw error;
		};
		return pTimeout(work, {
			milliseconds: Math.max(1, timeoutMs),
			signal: this.controller.signal,
			fallback,
			customTimers: unrefTimers,
		});
	}
}
