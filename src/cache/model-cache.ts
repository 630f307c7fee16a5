import QuickLRU from 'quick-lru';
import { closedError, notStarted, timeoutError, withWait } from '../api/errors.js';
import type { CatalogEventPayload, EmitEvent } from '../api/events.js';
import type { StartFetch, Target } from '../api/fetch.js';
import type { ListOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { CacheEntry } from './cache-entry.js';
import { waitForCaller } from './caller-wait.js';
import { isCurrent, listFiles, lookAtInputs, withPatience } from './inputs.js';
import type { CatalogSnapshot } from './model-list.js';
import { Revalidation } from './revalidation.js';
import { StoredList } from './stored-list.js';
import { type SnapshotListener, Subscriptions } from './subscriptions.js';

/** The program of the app-servers: what is known of it, and the function of the host that names it before each fetch. */
export type CommandSource = { latest: string; resolve(): Promise<string> };

type CacheInput = {
	settings: Settings;
	command: CommandSource;
	startFetch: StartFetch;
	emitEvent: EmitEvent;
};

/** The last look at the files of a target: the login that was there, and the look under way. `at` is in epoch ms. */
type LastLook = {
	login: string | undefined;
	at: number;
	pending?: Promise<unknown>;
	isSlow: boolean;
};

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/** How long a caller waits for a look, in milliseconds: with a remembered list, and without one. */
const patienceMs = { withList: 100, withoutList: 1_000 };
/** The login of files that cannot be looked at. Its lists are not remembered. */
const unknownLogin = 'unknown';
/** Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0). */
const maxAppServers = 4;

/**
 * The lists of a catalog: served from memory while fresh, served and revalidated in the background while stale, else fetched
 * once for all who wait.
 */
export class ModelCache {
	readonly #input: CacheInput;
	readonly #looks: QuickLRU<string, LastLook>;
	/** The entries that have a list. */
	readonly #entries: QuickLRU<string, CacheEntry>;
	/** The revalidations of all targets, until their app-server is gone, their list saved and their lock released. */
	readonly #running = new Set<Revalidation>();
	readonly #subscriptions = new Subscriptions();
	readonly #closed = new AbortController();
	/** The time of the last `clear`, in epoch ms. */
	#clearedAt = Number.NEGATIVE_INFINITY;
	/** The deletions in the store that `clear` started. */
	#deletions: Promise<unknown> = Promise.resolve();

	constructor(input: CacheInput) {
		this.#input = input;
		const { maxEntries: maxSize } = input.settings;
		this.#looks = new QuickLRU({ maxSize });
		this.#entries = new QuickLRU({ maxSize });
	}

	/** The list in memory, without a promise: most calls end here. A stale list is revalidated in the background. */
	lookup(target: Target, options: ListOptions | undefined): CatalogSnapshot | undefined {
		this.#closed.signal.throwIfAborted();
		options?.signal?.throwIfAborted();
		if (options?.refresh) return undefined;
		const now = Date.now();
		const look = this.#looks.get(target.key);
		if (!look || !(look.isSlow || isRecent(look, now))) return undefined;
		return this.#serve(target, look.login, options?.includeHidden, now);
	}

	/** The list that is in memory when the files have been looked at, else the list of the store, else that of a fetch. */
	async getOrFetch(target: Target, options: ListOptions = {}): Promise<CatalogSnapshot> {
		const { settings, emitEvent } = this.#input;
		const { deadlineMs = settings.deadlineMs, refresh = false, includeHidden, signal } = options;
		const startedAt = performance.now();
		const getWaitedMs = () => performance.now() - startedAt;
		const onDeadline = () => {
			const known = refresh
				? undefined
				: this.#serve(target, this.#getLogin(target), includeHidden);
			if (known) return known;
			const running = [...this.#running].find(({ entry }) => entry.target.key === target.key);
			const progress = running?.progress ?? notStarted;
			emitEvent?.(target, { type: 'timed-out', timeoutMs: deadlineMs, phase: progress.phase });
			throw timeoutError({ limit: 'deadlineMs', timeoutMs: deadlineMs, ...progress });
		};
		const work = this.#findOrFetch(target, refresh, includeHidden, getWaitedMs);
		try {
			return await waitForCaller(work, deadlineMs, [signal, this.#closed.signal], onDeadline);
		} catch (error) {
			throw withWait(error, getWaitedMs());
		}
	}

	/** The snapshot that `lookup` would serve; starts nothing and looks at no file. */
	peek(target: Target, includeHidden: boolean | undefined): CatalogSnapshot | undefined {
		const entry = this.#peekEntry(target);
		const now = Date.now();
		const list = entry?.getServable(now, this.#input.command.latest);
		return list && entry?.snapshot(list, now, includeHidden === true);
	}

	subscribe(target: Target, includeHidden: boolean | undefined, listener: SnapshotListener) {
		if (this.#closed.signal.aborted) return () => {};
		const peek = () => this.peek(target, includeHidden);
		return this.#subscriptions.add(target.key, { peek, listener, seen: peek() });
	}

	/** Forgets every list, and deletes it in the store, also where the answer of the store is still awaited. */
	clear(): void {
		this.#clearedAt = Date.now();
		const running = [...this.#running].map(({ entry }) => entry);
		const entries = new Set([...this.#entries.values(), ...running]);
		this.#entries.clear();
		for (const entry of entries) {
			entry.isDropped = true;
			const stored = this.#toStored(entry, this.#input.command.latest);
			this.#deletions = Promise.all([this.#deletions, stored?.delete()]);
		}
		this.#subscriptions.notifyAll();
	}

	/** Rejects every waiting call, and resolves when nothing is under way. */
	async close(): Promise<void> {
		const error = closedError();
		this.#closed.abort(error);
		for (const revalidation of this.#running) revalidation.abort(error);
		this.#subscriptions.clear();
		// The entries are not dropped, because a list that is being saved may stay in the store.
		this.#entries.clear();
		await Promise.all([this.#deletions, ...[...this.#running].map(({ ended }) => ended)]);
	}

	async #findOrFetch(
		target: Target,
		refresh: boolean,
		includeHidden: boolean | undefined,
		getWaitedMs: () => number,
	): Promise<CatalogSnapshot> {
		await this.#look(target);
		// A listener may have closed the catalog.
		this.#closed.signal.throwIfAborted();
		const login = this.#getLogin(target);
		const served = refresh ? undefined : this.#serve(target, login, includeHidden);
		if (served) return served;

		const revalidation = this.#revalidate(this.#getEntry(target, login));
		if (refresh) revalidation.requireNewList();
		const { entry, result } = revalidation;
		const loaded = refresh ? undefined : await Promise.race([revalidation.loaded, result]);
		const known = loaded && entry.getServable(Date.now(), loaded.inputs.command);
		const list = known ?? (await result);
		this.#input.emitEvent?.(target, { type: 'miss', waitedMs: getWaitedMs() });
		return entry.snapshot(list, Date.now(), includeHidden === true);
	}

	/** Looks at the files of a target, once for all callers. A caller with a remembered list does not wait for long. */
	async #look(target: Target): Promise<void> {
		const look = this.#looks.get(target.key) ?? { login: undefined, at: 0, isSlow: false };
		this.#looks.set(target.key, look);
		if (isRecent(look, Date.now())) return;
		look.pending ??= this.#lookNow(target, look);
		const hasList = this.peek(target, true) !== undefined;
		const limitMs = hasList ? patienceMs.withList : patienceMs.withoutList;
		const isDone = await withPatience(
			look.pending.then(() => true),
			limitMs,
		);
		if (!isDone) look.isSlow = true;
	}

	async #lookNow(target: Target, look: LastLook): Promise<void> {
		const { settings, command } = this.#input;
		const at = Date.now();
		const known = this.#peekEntry(target)?.list;
		const seen = await lookAtInputs(target, settings, command.latest, listFiles(known?.inputs));
		look.login = seen.login ?? look.login;
		look.at = at;
		look.isSlow = false;
		look.pending = undefined;
		const entry = this.#peekEntry(target);
		if (entry?.list) entry.setCurrent(isCurrent(entry.list.inputs, seen));
		this.#subscriptions.notify(target.key);
	}

	/** The list in memory that may be served. A stale list is revalidated in the background. */
	#serve(
		target: Target,
		login: string | undefined,
		includeHidden: boolean | undefined,
		now = Date.now(),
	): CatalogSnapshot | undefined {
		const entry = login === undefined ? undefined : this.#entries.get(toKey(target, login));
		const list = entry?.getServable(now, this.#input.command.latest);
		if (!entry || !list) return undefined;
		const isFresh = entry.isFresh(now);
		if (!isFresh && !entry.isCoolingDown(now)) this.#revalidate(entry);
		const { emitEvent } = this.#input;
		emitEvent?.(target, { type: isFresh ? 'hit' : 'stale', ageMs: now - list.fetchedAt });
		return entry.snapshot(list, now, includeHidden === true);
	}

	/** Joins the revalidation under way, or starts one. */
	#revalidate(entry: CacheEntry): Revalidation {
		if (entry.revalidation) return entry.revalidation;
		const { settings, startFetch, command, emitEvent } = this.#input;
		const revalidation = new Revalidation(entry, {
			settings,
			startFetch,
			resolveCommand: command.resolve,
			toStored: (...parts) => this.#toStored(...parts),
			clearedAt: () => this.#clearedAt,
			waitForTurn: (waiting) => this.#waitForTurn(waiting),
			onChange: (changed) => this.#onChange(changed),
			emit: (payload) => emitEvent?.(entry.target, payload),
		});
		entry.revalidation = revalidation;
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
		const limit = this.#input.settings.fetchModels ? Number.POSITIVE_INFINITY : maxAppServers;
		for (;;) {
			const others = [...this.#running].filter((other) => other !== waiting);
			const earlier = others.filter(({ entry, hasTurn }) => hasTurn && entry.target.key === key);
			const atWork = others.filter(({ entry, hasTurn }) => hasTurn && entry.target.home === home);
			const awaited = earlier.length > 0 ? earlier : atWork;
			if (earlier.length === 0 && atWork.length < limit) {
				waiting.hasTurn = true;
				return;
			}
			await Promise.race(awaited.map(({ ended }) => ended));
		}
	}

	/** Remembers the entry if it has a list, and tells the subscribers. */
	#onChange(entry: CacheEntry): void {
		if (this.#closed.signal.aborted) return;
		if (entry.list && !entry.isDropped) this.#entries.set(entry.key, entry);
		this.#subscriptions.notify(entry.target.key);
	}

	#toStored(entry: CacheEntry, command: string): StoredList | undefined {
		const { settings, emitEvent } = this.#input;
		const emit = (payload: CatalogEventPayload) => emitEvent?.(entry.target, payload);
		return settings.store && new StoredList(settings.store, settings, entry, command, emit);
	}

	/** The entry that has a list or a revalidation, else a new one. */
	#getEntry(target: Target, login = unknownLogin): CacheEntry {
		const key = toKey(target, login);
		const running = [...this.#running].find(({ entry }) => entry.key === key && !entry.isDropped);
		const entry = running?.entry ?? this.#entries.get(key);
		return entry ?? new CacheEntry(key, target, login, this.#input.settings);
	}

	#peekEntry(target: Target): CacheEntry | undefined {
		const login = this.#getLogin(target);
		return login === undefined ? undefined : this.#entries.peek(toKey(target, login));
	}

	/** The login at the last look. */
	#getLogin(target: Target): string | undefined {
		return this.#looks.peek(target.key)?.login;
	}
}

const toKey = (target: Target, login: string) => `${target.key}\0${login}`;

const isRecent = ({ at }: LastLook, now: number) => now >= at && now - at < lookIntervalMs;
