import QuickLRU from 'quick-lru';
import { closedError, notStarted, timeoutError, withWait } from '../api/errors.js';
import type { Target } from '../api/fetch.js';
import type { ListOptions, TargetOptions } from '../api/options.js';
import type { CatalogSnapshot, SnapshotListener } from '../api/snapshot.js';
import { CacheEntry } from './cache-entry.js';
import { waitForCaller } from './caller-wait.js';
import type { CacheContext } from './context.js';
import { isCurrent, listFiles, lookAtInputs, withPatience } from './inputs.js';
import { Revalidation } from './revalidation.js';
import { createStoredList, type StoredList } from './stored-list.js';
import { createSubscriptions } from './subscriptions.js';

/** A target: the login at the last look at its files, the time of that look in epoch ms, and the entries by login. */
type KnownTarget = {
	login: string;
	lookedAt: number;
	look: Promise<true> | undefined;
	readonly entries: QuickLRU<string, CacheEntry>;
};

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/** How long a caller waits for a look, in milliseconds: with a remembered list, and without one. */
const patienceMs = { withList: 100, withoutList: 1_000 };
/** The login of files that cannot be looked at. Its lists are not remembered. */
const unknownLogin = 'unknown';
/** The logins between which a user may switch without a fetch. */
const maxLogins = 8;
/** Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0). */
const maxAppServers = 4;

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait.
 */
export class ModelCache {
	readonly #context: CacheContext;
	readonly #targets: QuickLRU<string, KnownTarget>;
	/** The revalidations of all targets, until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	readonly #subscriptions = createSubscriptions();
	readonly #closed = new AbortController();
	/** The time of the last `clear`, in epoch ms. */
	#clearedAt = Number.NEGATIVE_INFINITY;
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	constructor(context: CacheContext) {
		this.#context = context;
		this.#targets = new QuickLRU({ maxSize: context.settings.maxEntries });
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup(target: Target, options: ListOptions): CatalogSnapshot | undefined {
		this.#closed.signal.throwIfAborted();
		options.signal?.throwIfAborted();
		const known = this.#targets.get(target.key);
		return !options.refresh && known && isRecent(known) ? this.#serve(target, options) : undefined;
	}

	/** The list that is in memory when the files have been looked at, else the list of the store, else that of a fetch. */
	async getOrFetch(target: Target, options: ListOptions): Promise<CatalogSnapshot> {
		const { settings, emit } = this.#context;
		const { deadlineMs = settings.deadlineMs, refresh, includeHidden, signal } = options;
		// The caller may change the object of the options during the wait.
		const call = { refresh, includeHidden };
		const startedAt = performance.now();
		const getWaitedMs = () => performance.now() - startedAt;
		const onDeadline = () => {
			const known = refresh ? undefined : this.#serve(target, call);
			if (known) return known;
			const running = [...this.#running].find(({ entry }) => entry.target.key === target.key);
			const progress = running?.progress ?? notStarted;
			emit(target, { type: 'timed-out', timeoutMs: deadlineMs, phase: progress.phase });
			throw timeoutError({ limit: 'deadlineMs', timeoutMs: deadlineMs, ...progress });
		};
		const work = this.#findOrFetch(target, call, getWaitedMs);
		try {
			return await waitForCaller(work, deadlineMs, [signal, this.#closed.signal], onDeadline);
		} catch (error) {
			throw withWait(error, getWaitedMs());
		}
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: Target, options: TargetOptions): CatalogSnapshot | undefined {
		const entry = this.#peekEntry(target);
		const list = entry?.getServable(this.#context.command.latest);
		return list && entry?.snapshot(list, options);
	}

	subscribe(target: Target, listener: SnapshotListener, options: TargetOptions): () => void {
		if (this.#closed.signal.aborted) return () => {};
		return this.#subscriptions.add(target.key, listener, () => this.peek(target, options));
	}

	/** Forgets every list, and deletes it in the store, also where the answer of the store is still awaited. */
	clear(): void {
		this.#clearedAt = Date.now();
		const known = [...this.#targets.values()].flatMap(({ entries }) => [...entries.values()]);
		const entries = new Set([...known, ...[...this.#running].map(({ entry }) => entry)]);
		for (const { entries } of this.#targets.values()) entries.clear();
		for (const entry of entries) {
			entry.isDropped = true;
			const stored = this.#toStored(entry, this.#context.command.latest);
			this.#deletions = Promise.all([this.#deletions, stored?.delete()]);
			this.#subscriptions.notify(entry.target.key);
		}
	}

	/** Rejects every waiting call, and resolves when nothing is under way. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		for (const revalidation of this.#running) revalidation.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#targets.clear();
		await Promise.all([this.#deletions, ...[...this.#running].map(({ ended }) => ended)]);
	}

	async #findOrFetch(
		target: Target,
		options: ListOptions,
		getWaitedMs: () => number,
	): Promise<CatalogSnapshot> {
		const known = await this.#look(target);
		// A listener may have closed the catalog.
		this.#closed.signal.throwIfAborted();
		const served = options.refresh ? undefined : this.#serve(target, options);
		if (served) return served;

		const { login } = known;
		const entry = known.entries.get(login) ?? new CacheEntry(target, login, this.#context.settings);
		known.entries.set(login, entry);
		const revalidation = this.#revalidate(entry);
		if (options.refresh) revalidation.requireNewList();
		// A stale list of the store is served at once.
		const stored = options.refresh ? undefined : await revalidation.loaded;
		const list =
			(stored && entry.getServable(stored.inputs.command)) ?? (await revalidation.result);
		this.#context.emit(target, { type: 'miss', waitedMs: getWaitedMs() });
		return entry.snapshot(list, options);
	}

	/** Looks at the files of a target, once for all callers. A caller with a remembered list does not wait for long. */
	async #look(target: Target): Promise<KnownTarget> {
		const known = this.#targets.get(target.key) ?? {
			login: unknownLogin,
			lookedAt: 0,
			look: undefined,
			entries: new QuickLRU({ maxSize: maxLogins }),
		};
		this.#targets.set(target.key, known);
		if (isRecent(known)) return known;
		known.look ??= this.#lookNow(target, known);
		const hasList = known.entries.peek(known.login)?.list !== undefined;
		const limitMs = hasList ? patienceMs.withList : patienceMs.withoutList;
		const isDone = await withPatience(known.look, limitMs);
		// A look that does not come back is not waited for again before the next one is due.
		if (hasList && !isDone) known.lookedAt = Date.now();
		return known;
	}

	async #lookNow(target: Target, known: KnownTarget): Promise<true> {
		const { settings, command } = this.#context;
		const lookedAt = Date.now();
		const files = listFiles(known.entries.peek(known.login)?.list?.inputs);
		const seen = await lookAtInputs(target, settings, command.latest, files);
		Object.assign(known, { login: seen.login ?? known.login, lookedAt, look: undefined });
		const entry = known.entries.peek(known.login);
		if (entry?.list) entry.setCurrent(isCurrent(entry.list.inputs, seen));
		this.#subscriptions.notify(target.key);
		return true;
	}

	/** The list in memory that may be served. A stale list is revalidated in the background. */
	#serve(target: Target, options: ListOptions): CatalogSnapshot | undefined {
		const { command, emit } = this.#context;
		const entry = this.#peekEntry(target);
		const list = entry?.getServable(command.latest);
		if (!entry || !list) return undefined;
		const isFresh = entry.isFresh();
		if (!isFresh && !entry.isCoolingDown()) this.#revalidate(entry);
		emit(target, { type: isFresh ? 'hit' : 'stale', ageMs: Date.now() - list.fetchedAt });
		return entry.snapshot(list, options);
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(entry: CacheEntry): Revalidation {
		const running = [...this.#running].find((other) => other.entry === entry && !other.isSettled);
		if (running) return running;
		const revalidation = new Revalidation(entry, this.#context, {
			toStored: (command) => this.#toStored(entry, command),
			waitForTurn: (waiting) => this.#waitForTurn(waiting),
			onChange: () => this.#subscriptions.notify(entry.target.key),
			clearedAt: this.#clearedAt,
		});
		this.#running.add(revalidation);
		revalidation.ended.then(() => this.#running.delete(revalidation));
		return revalidation;
	}

	/**
	 * Resolves when no earlier fetch for the target is under way, and fewer than four for the CODEX_HOME: two app-servers that
	 * refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	async #waitForTurn(waiting: Revalidation): Promise<void> {
		const { key, home } = waiting.entry.target;
		const limit = this.#context.settings.fetchModels ? Number.POSITIVE_INFINITY : maxAppServers;
		while (!waiting.hasTurn) {
			const atWork = [...this.#running].filter(({ hasTurn }) => hasTurn);
			const ofHome = atWork.filter(({ entry }) => entry.target.home === home);
			const ofTarget = ofHome.filter(({ entry }) => entry.target.key === key);
			waiting.hasTurn = ofTarget.length === 0 && ofHome.length < limit;
			const awaited = ofTarget.length > 0 ? ofTarget : ofHome;
			if (!waiting.hasTurn) await Promise.race(awaited.map(({ ended }) => ended));
		}
	}

	#toStored(entry: CacheEntry, command: string): StoredList | undefined {
		const { settings, emit } = this.#context;
		const { store } = settings;
		return store && createStoredList(store, settings, entry, command, emit);
	}

	/** The entry of the login at the last look. */
	#peekEntry(target: Target): CacheEntry | undefined {
		const known = this.#targets.peek(target.key);
		return known?.entries.peek(known.login);
	}
}

function isRecent({ lookedAt }: KnownTarget): boolean {
	const ageMs = Date.now() - lookedAt;
	return ageMs >= 0 && ageMs < lookIntervalMs;
}
