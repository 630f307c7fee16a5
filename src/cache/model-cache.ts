import { closedError, notStarted, timeoutError, withWait } from '../api/errors.js';
import type { Target } from '../api/fetch.js';
import type { ListOptions, TargetOptions } from '../api/options.js';
import type { CatalogSnapshot, SnapshotListener } from '../api/snapshot.js';
import { CacheEntry } from './cache-entry.js';
import { waitForCaller } from './caller-wait.js';
import type { CacheContext } from './context.js';
import { KnownTargets } from './known-targets.js';
import { Revalidation } from './revalidation.js';
import { createStoredList } from './stored-list.js';
import { Subscriptions } from './subscriptions.js';
import { createTurns } from './turns.js';

/** A call that waits, and the revalidation that it waits for. */
type Call = ListOptions & { revalidation?: Revalidation };

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait.
 */
export class ModelCache {
	readonly #context: CacheContext;
	readonly #targets: KnownTargets;
	/** The revalidations until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	readonly #waitForTurn: ReturnType<typeof createTurns>;
	readonly #subscriptions = new Subscriptions();
	readonly #closed = new AbortController();
	/** The time of the last `clear`, in epoch ms. */
	#clearedAt = Number.NEGATIVE_INFINITY;
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	constructor(context: CacheContext) {
		this.#context = context;
		this.#targets = new KnownTargets(context, ({ key }) => this.#subscriptions.notify(key));
		this.#waitForTurn = createTurns(context.settings);
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup(target: Target, options: ListOptions): CatalogSnapshot | undefined {
		this.#closed.signal.throwIfAborted();
		options.signal?.throwIfAborted();
		const isRecent = !options.refresh && this.#targets.isRecent(target);
		return isRecent ? this.#serve(target, options) : undefined;
	}

	/** The list that is in memory when the files have been looked at, else the list of the store, else that of a fetch. */
	async getOrFetch(target: Target, options: ListOptions): Promise<CatalogSnapshot> {
		const { settings, emit } = this.#context;
		// A copy, because the caller may change the object during the wait.
		const call: Call = { ...options };
		const { deadlineMs = settings.deadlineMs, signal, refresh } = call;
		const startedAt = performance.now();
		const getWaitedMs = () => performance.now() - startedAt;
		const onDeadline = () => {
			const snapshot = refresh ? undefined : this.#serve(target, call);
			if (snapshot) return { snapshot, isMiss: false };
			const progress = call.revalidation?.progress ?? notStarted;
			emit(target, { type: 'timed-out', timeoutMs: deadlineMs, phase: progress.phase });
			throw timeoutError({ limit: 'deadlineMs', timeoutMs: deadlineMs, ...progress });
		};
		const work = this.#findOrFetch(target, call);
		const signals = [this.#closed.signal, ...(signal ? [signal] : [])];
		try {
			const { snapshot, isMiss } = await waitForCaller(work, deadlineMs, signals, onDeadline);
			if (isMiss) emit(target, { type: 'miss', waitedMs: getWaitedMs() });
			return snapshot;
		} catch (error) {
			throw withWait(error, getWaitedMs());
		}
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: Target, options: TargetOptions): CatalogSnapshot | undefined {
		return this.#targets.getEntry(target)?.peek(this.#context.command.latest, options);
	}

	subscribe(target: Target, listener: SnapshotListener, options: TargetOptions): () => void {
		const peek = () => this.peek(target, options);
		const subscription = { target: target.key, listener, peek, seen: peek() };
		this.#subscriptions.add(subscription);
		return () => this.#subscriptions.delete(subscription);
	}

	/** Forgets every list, and deletes it in the store, also where the answer of the store is still awaited. */
	clear(): void {
		const { command } = this.#context;
		this.#clearedAt = Date.now();
		const running = [...this.#running].map(({ entry }) => entry);
		for (const entry of new Set([...this.#targets.takeEntries(), ...running])) {
			entry.isDropped = true;
			const stored = createStoredList(entry, command.latest, this.#context);
			this.#deletions = Promise.all([this.#deletions, stored?.delete()]);
			this.#subscriptions.notify(entry.target.key);
		}
	}

	/** Rejects every waiting call, and resolves when nothing is under way. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#targets.takeEntries();
		for (const revalidation of this.#running) revalidation.abort(error);
		await Promise.all([this.#deletions, ...[...this.#running].map(({ ended }) => ended)]);
	}

	async #findOrFetch(target: Target, call: Call) {
		const login = await this.#targets.look(target);
		// A listener may have closed the catalog.
		this.#closed.signal.throwIfAborted();
		const served = call.refresh ? undefined : this.#serve(target, call);
		if (served) return { snapshot: served, isMiss: false };

		const revalidation = this.#revalidate(target, login);
		const { entry } = revalidation;
		call.revalidation = revalidation;
		if (call.refresh) {
			revalidation.isRefresh = true;
		} else {
			// A stale list of the store is served at once.
			await revalidation.loaded;
			const stored = entry.peek(this.#context.command.latest, call);
			if (stored) return { snapshot: stored, isMiss: true };
		}
		return { snapshot: entry.snapshot(await revalidation.result, call), isMiss: true };
	}

	/** The list in memory that may be served. A stale list is revalidated in the background. */
	#serve(target: Target, options: ListOptions): CatalogSnapshot | undefined {
		const { command, emit } = this.#context;
		const entry = this.#targets.getEntry(target);
		const snapshot = entry?.peek(command.latest, options);
		if (!entry || !snapshot) return undefined;
		const { isFresh, fetchedAt } = snapshot;
		if (!isFresh && !entry.isCoolingDown()) this.#revalidate(target, entry.login);
		emit(target, { type: isFresh ? 'hit' : 'stale', ageMs: Date.now() - fetchedAt });
		return snapshot;
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(target: Target, login: string): Revalidation {
		// A target that was forgotten for others may still have one under way.
		const running = [...this.#running].find(
			({ entry, isSettled }) =>
				!isSettled && !entry.isDropped && entry.login === login && entry.target.key === target.key,
		);
		if (running) return running;
		const known = this.#targets.getEntry(target, login);
		const entry = known ?? new CacheEntry(target, login, this.#context.settings);
		const revalidation = new Revalidation(entry, this.#context, {
			waitForTurn: this.#waitForTurn,
			onChange: () => this.#onChange(entry),
			clearedAt: this.#clearedAt,
		});
		this.#running.add(revalidation);
		revalidation.ended.then(() => this.#running.delete(revalidation));
		return revalidation;
	}

	/** Remembers the entry if it has a list, and tells the subscribers. */
	#onChange(entry: CacheEntry): void {
		if (this.#closed.signal.aborted) return;
		this.#targets.addEntry(entry);
		this.#subscriptions.notify(entry.target.key);
	}
}
