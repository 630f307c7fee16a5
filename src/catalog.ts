import pTimeout from 'p-timeout';
import QuickLRU from 'quick-lru';
import { AppServers } from './app-servers.js';
import { closedError, timeoutError } from './errors.js';
import { type CatalogOccurrence, notify } from './events.js';
import { ModelListFetch } from './fetch.js';
import type { CodexModel, CodexModelSummary } from './model.js';
import type { ModelList } from './model-list.js';
import {
	type CodexModelCatalogOptions,
	checkListOptions,
	findPlace,
	type ListOptions,
	type ListPlace,
	type ResolvedOptions,
	resolveCatalogOptions,
} from './options.js';
import { type Origin, OriginWatch } from './origin.js';
import type { StoredList } from './stored-list.js';

/** What a catalog remembers of a list. */
export type CatalogSnapshot = {
	/** The caller's own copy. */
	models: CodexModel[];
	/** When Codex answered, in epoch ms. */
	fetchedAt: number;
	/** `list` would serve it without a refresh behind it. */
	isFresh: boolean;
};

/** What the first look into a store takes: read while whoever made the catalog goes on. */
function loadAhead(): void {
	void import('./stored-list.js');
	void import('./program.js');
}

type Entry = { place: ListPlace; watch: OriginWatch; list: ModelList };

/** What a store had to say. */
type Loaded = { entry: Entry | undefined; isSilent: boolean };

/** For the drop-in, whose summaries are copied without a detour over whole models. */
export let listSummaries: (
	catalog: CodexModelCatalog,
	options: ListOptions | undefined,
) => Promise<CodexModelSummary[]>;

/**
 * The models that a Codex CLI offers, remembered: served from memory while fresh, served and refreshed behind the caller
 * while stale, else fetched by an app-server that all who wait share.
 *
 * @example
 * await using catalog = new CodexModelCatalog({ deadlineMs: 5_000 });
 * const models = await catalog.list();
 */
export class CodexModelCatalog implements AsyncDisposable {
	static {
		listSummaries = async (catalog, options) => {
			const list = catalog.#recall(options) ?? (await catalog.#obtain(options));
			return list.copySummaries(options?.includeHidden ?? false);
		};
	}

	readonly #options: ResolvedOptions;
	readonly #servers: AppServers;
	readonly #entries: QuickLRU<string, Entry>;
	readonly #watches: QuickLRU<string, OriginWatch>;
	/** What is being read from the store, by list and account. */
	readonly #loads = new Map<string, Promise<Loaded>>();
	/** The fetches that callers may join. */
	readonly #fetches = new Map<string, ModelListFetch>();
	/** Every fetch under way, also one that nobody may join any more, with its list's key. */
	readonly #running = new Map<ModelListFetch, string>();
	/** What is under way with the store, behind everyone. */
	readonly #behind = new Set<Promise<unknown>>();
	/** Counts the calls of `clear`: what was begun in another era is forgotten when it comes. */
	#era = 0;
	/** A stored list as old as this is forgotten, too; in epoch ms. */
	#clearedAt = Number.NEGATIVE_INFINITY;
	/** What was looked up last, for most calls are about the same list. */
	#lastPlace: ListPlace | undefined;
	#lastEntry: Entry | undefined;
	#closing: Promise<void> | undefined;

	/**
	 * Starts nothing.
	 *
	 * @throws TypeError that names the option, its bounds and the value.
	 */
	constructor(options?: CodexModelCatalogOptions) {
		this.#options = resolveCatalogOptions(options);
		this.#servers = new AppServers(this.#options);
		if (this.#options.store) loadAhead();
		this.#entries = new QuickLRU({ maxSize: this.#options.maxEntries });
		this.#watches = new QuickLRU({ maxSize: this.#options.maxEntries });
	}

	/**
	 * The models of one list, in Codex's order: the caller's own copy.
	 *
	 * @throws CodexModelsError when there is nothing to serve and no answer comes; told apart by `code`.
	 * @throws TypeError for an option that is none, by the promise.
	 * @throws `signal.reason` when the caller's signal aborts.
	 */
	async list(options?: ListOptions): Promise<CodexModel[]> {
		const list = this.#recall(options) ?? (await this.#obtain(options));
		return list.copyModels(options?.includeHidden ?? false);
	}

	/**
	 * What `list` would serve from memory, or `undefined`; starts nothing, and looks at no file.
	 *
	 * @throws TypeError for an option that is none.
	 */
	peek(options?: Pick<ListOptions, 'includeHidden' | 'cwd' | 'codexHome'>): CatalogSnapshot | undefined {
		if (options !== undefined) checkListOptions(options);
		const entry = this.#entries.peek(this.#findPlace(options).key);
		const now = Date.now();
		if (!entry || !this.#isServable(entry.list, now)) return undefined;
		const { list, watch } = entry;
		if (list.origin.account !== watch.origin.account) return undefined;
		return {
			models: list.copyModels(options?.includeHidden ?? false),
			fetchedAt: list.fetchedAt,
			isFresh: this.#isFresh(list, watch.origin, now),
		};
	}

	/**
	 * Forgets every list, in the store too. A fetch under way still answers those who wait for it, but is neither
	 * remembered nor joined.
	 */
	clear(): void {
		for (const { place, list } of this.#entries.values()) {
			const stored = this.#storedList(place, list.origin);
			if (stored) this.#keepBehind(stored.then((known) => known.delete()));
		}
		this.#era++;
		this.#clearedAt = Date.now();
		this.#forget();
	}

	/**
	 * Ends everything: who waits, and who calls later, gets `ERR_CODEX_CLOSED`. Resolves when every app-server is gone;
	 * a host that awaits it is kept alive until then, some two seconds at most.
	 */
	close(): Promise<void> {
		this.#closing ??= this.#endAll();
		return this.#closing;
	}

	/** The same as `close`. */
	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	/** What is served from memory, without as much as a promise: most calls are this one. */
	#recall(options: ListOptions | undefined): ModelList | undefined {
		if (options !== undefined) checkListOptions(options);
		this.#assertOpen();
		options?.signal?.throwIfAborted();
		if (options?.refresh) return undefined;
		const entry = this.#find(this.#findPlace(options));
		const now = Date.now();
		return entry && !entry.watch.isDue(now) ? this.#serve(entry, now) : undefined;
	}

	/** The same where files are to be looked at first; else what there is to wait for. */
	async #obtain(options: ListOptions | undefined): Promise<ModelList> {
		const place = this.#findPlace(options);
		const known = options?.refresh ? undefined : this.#find(place);
		if (known?.watch.isDue(Date.now())) {
			await known.watch.read();
			this.#assertOpen();
			options?.signal?.throwIfAborted();
			const entry = this.#find(place);
			const list = entry && this.#serve(entry, Date.now());
			if (list) return list;
		}
		return this.#wait(place, options);
	}

	/** The list in memory, if it may be served; when it is stale, a refresh runs behind it. */
	#serve({ place, watch, list }: Entry, now: number): ModelList | undefined {
		if (list.origin.account !== watch.origin.account) return undefined;
		if (this.#isFresh(list, watch.origin, now)) {
			if (this.#options.onEvent) this.#report(place, { type: 'served-fresh', ageMs: now - list.fetchedAt });
			return list;
		}
		if (!this.#isServable(list, now)) return undefined;
		if (!this.#isCoolingDown(list, now)) this.#join(place, watch);
		this.#report(place, { type: 'served-stale', ageMs: now - list.fetchedAt });
		return list;
	}

	/** The list that the store has, or that of a fetch: one under way, or a new one. */
	async #wait(place: ListPlace, options: ListOptions | undefined): Promise<ModelList> {
		const startedAt = performance.now();
		const timeoutMs = options?.deadlineMs ?? this.#options.deadlineMs;
		let fetch: ModelListFetch | undefined;
		const obtain = async () => {
			const watch = this.#watch(place);
			if (watch.isDue(Date.now())) await watch.read();
			this.#assertOpen();
			const { store } = this.#options;
			// Without a lock nobody waits for anybody, and what was not there just now still is not.
			let skipLoad = store?.lock === undefined;
			if (store && !options?.refresh) {
				const { entry, isSilent } = await this.#load(place, watch);
				this.#assertOpen();
				const list = entry && this.#serve(entry, Date.now());
				if (list) return list;
				skipLoad ||= isSilent;
			}
			fetch = this.#join(place, watch, { isRefresh: options?.refresh, skipLoad });
			return fetch.list;
		};
		// The timer of a deadline keeps the host alive while its caller waits; without a deadline, this does.
		const hold = timeoutMs === Number.POSITIVE_INFINITY ? setInterval(() => {}, 60_000) : undefined;
		try {
			const list = await pTimeout(obtain(), {
				milliseconds: Math.max(1, timeoutMs),
				...(options?.signal && { signal: options.signal }),
				fallback: () => {
					const state = fetch?.state ?? { phase: 'spawn', stderr: '', lastWords: '' };
					this.#report(place, { type: 'timed-out', timeoutMs, phase: state.phase });
					throw timeoutError({ limit: 'deadlineMs', timeoutMs, ...state });
				},
			});
			if (fetch) this.#report(place, { type: 'waited', waitedMs: performance.now() - startedAt });
			return list;
		} catch (error) {
			// Whatever it is; p-timeout puts a `DOMException` in the place of `null` (7.0.2).
			options?.signal?.throwIfAborted();
			throw error;
		} finally {
			clearInterval(hold);
		}
	}

	/** What the store has, remembered; all who ask at once share one look. */
	#load(place: ListPlace, watch: OriginWatch): Promise<Loaded> {
		const loadKey = `${place.key}\0${watch.origin.account}`;
		const underWay = this.#loads.get(loadKey);
		if (underWay) return underWay;
		const load = this.#readStore(place, watch).finally(() => {
			if (this.#loads.get(loadKey) === load) this.#loads.delete(loadKey);
		});
		this.#loads.set(loadKey, load);
		return load;
	}

	async #readStore(place: ListPlace, watch: OriginWatch): Promise<Loaded> {
		const era = this.#era;
		const stored = await (this.#storedList(place, watch.origin) as Promise<StoredList>);
		const list = await stored.load();
		const { isSilent } = stored;
		if (!list || era !== this.#era || list.fetchedAt <= this.#clearedAt)
			return { entry: undefined, isSilent };
		const known = this.#entries.peek(place.key);
		const isKnown =
			known?.list.origin.account === list.origin.account && known.list.fetchedAt >= list.fetchedAt;
		const entry = isKnown ? known : { place, watch, list };
		this.#remember(entry);
		return { entry, isSilent };
	}

	/** The fetch under way of this list and account, or a new one. */
	#join(
		place: ListPlace,
		watch: OriginWatch,
		{ isRefresh = false, skipLoad = false }: { isRefresh?: boolean | undefined; skipLoad?: boolean } = {},
	): ModelListFetch {
		const underWay = this.#fetches.get(place.key);
		const fetch = underWay?.account === watch.origin.account ? underWay : this.#start(place, watch, skipLoad);
		// What another process stored before now is a cache, too.
		if (isRefresh) fetch.notBefore = Date.now();
		return fetch;
	}

	#start(place: ListPlace, watch: OriginWatch, skipLoad: boolean): ModelListFetch {
		const { key } = place;
		const startedAt = performance.now();
		const era = this.#era;
		const predecessors = [...this.#running].filter(([, otherKey]) => otherKey === key);
		const fetch = new ModelListFetch({
			options: this.#options,
			servers: this.#servers,
			place,
			origin: watch.origin,
			readOrigin: () => watch.read(),
			stored: this.#storedList(place, watch.origin),
			skipLoad,
			isForgotten: () => era !== this.#era,
			isFresh: (list) => {
				// One as old as the one that is to be refreshed is that one: a list of another machine's has no configuration of
				// its own by which it could be told.
				const knownAt = this.#entries.peek(key)?.list.fetchedAt ?? this.#clearedAt;
				return list.fetchedAt > knownAt && this.#isFresh(list, watch.origin, Date.now());
			},
			predecessors: Promise.all(predecessors.map(([other]) => other.over)),
			report: (occurrence) => this.#report(place, occurrence),
		});
		this.#fetches.set(key, fetch);
		this.#running.set(fetch, key);
		fetch.over.then(() => this.#running.delete(fetch));
		this.#keepBehind(fetch.shared);

		const land = (list?: ModelList) => {
			// By identity: after `clear`, or for another account, there may be another fetch by now.
			if (this.#fetches.get(key) === fetch) this.#fetches.delete(key);
			// Nor is a list remembered that is of no use to the account of now.
			if (era !== this.#era || fetch.account !== watch.origin.account) return;
			const known = this.#entries.peek(key);
			if (list && list.size > 0) this.#remember({ place, watch, list });
			else if (known) known.list.failedAt = Date.now();
		};
		fetch.list.then(
			(list) => {
				land(list);
				const durationMs = performance.now() - startedAt;
				this.#report(place, { type: 'refreshed', durationMs, models: list.size, attempts: fetch.attempts });
			},
			(error) => {
				land();
				this.#report(place, { type: 'failed', durationMs: performance.now() - startedAt, error });
			},
		);
		return fetch;
	}

	/** What is remembered, which it is asked for anew by this. */
	#find({ key }: ListPlace): Entry | undefined {
		if (this.#lastEntry?.place.key !== key) this.#lastEntry = this.#entries.get(key);
		return this.#lastEntry;
	}

	#remember(entry: Entry): void {
		this.#lastEntry = undefined;
		this.#entries.set(entry.place.key, entry);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#entries.keys()].length - this.#options.maxEntries;
		if (excess > 0) this.#entries.evict(excess);
	}

	#watch(place: ListPlace): OriginWatch {
		const known = this.#watches.get(place.key);
		if (known) return known;
		const watch = new OriginWatch(this.#options, place);
		this.#watches.set(place.key, watch);
		return watch;
	}

	#findPlace(options: ListOptions | undefined): ListPlace {
		this.#lastPlace = findPlace(this.#options, options, this.#lastPlace);
		return this.#lastPlace;
	}

	/** Its code is loaded where there is a store. */
	#storedList(place: ListPlace, origin: Origin): Promise<StoredList> | undefined {
		const { store } = this.#options;
		if (!store) return undefined;
		return import('./stored-list.js').then(
			({ StoredList }) =>
				new StoredList(store, this.#options, place, origin, (occurrence) => this.#report(place, occurrence)),
		);
	}

	#isFresh({ fetchedAt, origin }: ModelList, { configuration }: Origin, now: number): boolean {
		// A clock that was set back leaves a list of unknown age: not fresh until the clock is there again.
		return (
			origin.configuration === configuration && now >= fetchedAt && now - fetchedAt < this.#options.freshMs
		);
	}

	#isServable({ fetchedAt }: ModelList, now: number): boolean {
		return now - fetchedAt < Math.max(this.#options.freshMs, this.#options.staleMs);
	}

	#isCoolingDown({ failedAt }: ModelList, now: number): boolean {
		return failedAt !== undefined && now >= failedAt && now - failedAt < this.#options.cooldownMs;
	}

	#assertOpen(): void {
		if (this.#closing) throw closedError();
	}

	#forget(): void {
		this.#lastEntry = undefined;
		this.#entries.clear();
		this.#loads.clear();
		this.#fetches.clear();
		this.#servers.dropAll();
	}

	/** Nobody waits for it but `close`. */
	#keepBehind(work: Promise<unknown>): void {
		this.#behind.add(work);
		work.finally(() => this.#behind.delete(work));
	}

	async #endAll(): Promise<void> {
		const loads = [...this.#loads.values()];
		const error = closedError();
		for (const fetch of this.#running.keys()) fetch.end(error);
		this.#forget();
		// Nothing else keeps the host alive meanwhile, and one that awaits this wants to hear of it.
		const hold = setInterval(() => {}, 60_000);
		try {
			await Promise.all([this.#servers.end(), ...loads, ...this.#behind]);
		} finally {
			clearInterval(hold);
		}
	}

	#report({ cwd, codexHome }: ListPlace, occurrence: CatalogOccurrence): void {
		const { onEvent } = this.#options;
		if (onEvent) notify(onEvent, { at: Date.now(), cwd, codexHome, ...occurrence });
	}
}
