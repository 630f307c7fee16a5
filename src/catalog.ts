import pTimeout from 'p-timeout';
import QuickLRU from 'quick-lru';
import { closedError, timeoutError } from './errors.js';
import { type CatalogOccurrence, notify } from './events.js';
import { ModelListFetch } from './fetch.js';
import type { CodexModel, CodexModelSummary } from './model.js';
import { ModelList } from './model-list.js';
import {
	type CodexModelCatalogOptions,
	checkListOptions,
	findPlace,
	type ListOptions,
	type ListPlace,
	type ResolvedOptions,
	resolveCatalogOptions,
} from './options.js';

/** What a catalog remembers of a list. */
export type CatalogSnapshot = {
	/** The caller's own copy. */
	models: CodexModel[];
	/** When Codex answered, in epoch ms. */
	fetchedAt: number;
	/** Younger than `freshMs`. */
	isFresh: boolean;
};

/** A fetch that callers may join, and what becomes of it. */
type Flight = { fetch: ModelListFetch; list: Promise<ModelList> };

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
		listSummaries = (catalog, options) => catalog.#read(options, copySummaries);
	}

	readonly #options: ResolvedOptions;
	readonly #lists: QuickLRU<string, ModelList>;
	readonly #flights = new Map<string, Flight>();
	/** Every fetch that still has an app-server, by the list that it is for; `clear` and answers do not end those. */
	readonly #fetches = new Map<ModelListFetch, string>();
	#closing: Promise<void> | undefined;

	/**
	 * Starts nothing.
	 *
	 * @throws TypeError that names the option, its bounds and the value.
	 */
	constructor(options?: CodexModelCatalogOptions) {
		this.#options = resolveCatalogOptions(options);
		this.#lists = new QuickLRU({ maxSize: this.#options.maxEntries });
	}

	/**
	 * The models of one list, in Codex's order: the caller's own copy.
	 *
	 * @throws CodexModelsError when there is nothing to serve and no answer comes; told apart by `code`.
	 * @throws TypeError for an option that is none, by the promise.
	 * @throws `signal.reason` when the caller's signal aborts.
	 */
	list(options?: ListOptions): Promise<CodexModel[]> {
		return this.#read(options, copyModels);
	}

	/**
	 * What `list` would serve at once, or `undefined`; starts nothing.
	 *
	 * @throws TypeError for an option that is none.
	 */
	peek(options?: Pick<ListOptions, 'includeHidden' | 'cwd' | 'codexHome'>): CatalogSnapshot | undefined {
		if (options !== undefined) checkListOptions(options);
		const list = this.#lists.peek(toKey(findPlace(this.#options, options)));
		if (!list) return undefined;
		const { fetchedAt } = list;
		const ageMs = Date.now() - fetchedAt;
		if (!this.#isServable(ageMs)) return undefined;
		return {
			models: copyModels(list, options?.includeHidden ?? false),
			fetchedAt,
			isFresh: this.#isFresh(ageMs),
		};
	}

	/** Forgets every list. A fetch under way still answers those who wait for it, but is neither remembered nor joined. */
	clear(): void {
		this.#lists.clear();
		this.#flights.clear();
	}

	/**
	 * Ends everything: who waits, and who calls later, gets `ERR_CODEX_CLOSED`. Resolves when every app-server is gone;
	 * a host that awaits it is kept alive until then, 2.2 s at most.
	 */
	close(): Promise<void> {
		this.#closing ??= this.#endFetches();
		return this.#closing;
	}

	/** The same as `close`. */
	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	async #read<T>(
		options: ListOptions | undefined,
		copy: (list: ModelList, includeHidden: boolean) => T[],
	): Promise<T[]> {
		if (options !== undefined) checkListOptions(options);
		if (this.#closing) throw closedError();
		options?.signal?.throwIfAborted();
		const place = findPlace(this.#options, options);
		const key = toKey(place);
		const list =
			(options?.refresh ? undefined : this.#serve(key, place)) ?? (await this.#wait(key, place, options));
		return copy(list, options?.includeHidden ?? false);
	}

	/** The list in memory, if it may be served; when it is stale, a refresh runs behind it. */
	#serve(key: string, place: ListPlace): ModelList | undefined {
		const list = this.#lists.get(key);
		if (!list) return undefined;
		const now = Date.now();
		const ageMs = now - list.fetchedAt;
		if (this.#isFresh(ageMs)) {
			if (this.#options.onEvent) this.#report(place, { type: 'served-fresh', ageMs });
			return list;
		}
		if (!this.#isServable(ageMs)) return undefined;
		if (!this.#flights.has(key) && !this.#isCoolingDown(list, now)) this.#start(key, place);
		this.#report(place, { type: 'served-stale', ageMs });
		return list;
	}

	/** Joins the fetch under way, or starts one. */
	async #wait(key: string, place: ListPlace, options: ListOptions | undefined): Promise<ModelList> {
		const startedAt = performance.now();
		const { fetch, list } = this.#flights.get(key) ?? this.#start(key, place);
		const timeoutMs = options?.deadlineMs ?? this.#options.deadlineMs;
		fetch.hold();
		try {
			const result = await pTimeout(list, {
				milliseconds: Math.max(1, timeoutMs),
				...(options?.signal && { signal: options.signal }),
				fallback: () => {
					const { state } = fetch;
					this.#report(place, { type: 'timed-out', timeoutMs, phase: state.phase });
					throw timeoutError({ limit: 'deadlineMs', timeoutMs, ...state });
				},
			});
			this.#report(place, { type: 'waited', waitedMs: performance.now() - startedAt });
			return result;
		} finally {
			fetch.release();
		}
	}

	#start(key: string, place: ListPlace): Flight {
		const startedAt = performance.now();
		const predecessors = [...this.#fetches].filter(([, otherKey]) => otherKey === key);
		const fetch = new ModelListFetch(
			this.#options,
			place,
			Promise.all(predecessors.map(([other]) => other.over)),
			(occurrence) => this.#report(place, occurrence),
		);
		const flight = { fetch, list: fetch.models.then((models) => new ModelList(models, Date.now())) };
		this.#flights.set(key, flight);
		this.#fetches.set(fetch, key);
		fetch.gone.then(() => this.#fetches.delete(fetch));

		// By identity: after `clear` another flight, or none, stands under this key, and this one is nobody's business.
		const land = () => this.#flights.get(key) === flight && this.#flights.delete(key);
		const coolDown = () => {
			const known = this.#lists.peek(key);
			if (known) known.failedAt = Date.now();
		};
		flight.list.then(
			(list) => {
				if (land()) {
					if (list.size > 0) this.#remember(key, list);
					else coolDown();
				}
				const durationMs = performance.now() - startedAt;
				this.#report(place, { type: 'refreshed', durationMs, models: list.size, attempts: fetch.attempts });
			},
			(error) => {
				if (land()) coolDown();
				this.#report(place, { type: 'failed', durationMs: performance.now() - startedAt, error });
			},
		);
		return flight;
	}

	#remember(key: string, list: ModelList): void {
		this.#lists.set(key, list);
		// quick-lru keeps up to twice its `maxSize`, and its `size` does not say so (7.3.0).
		const excess = [...this.#lists.keys()].length - this.#options.maxEntries;
		if (excess > 0) this.#lists.evict(excess);
	}

	/** A clock that was set back makes a list older than it can tell, not fresh until the clock is there again. */
	#isFresh(ageMs: number): boolean {
		return ageMs >= 0 && ageMs < this.#options.freshMs;
	}

	#isServable(ageMs: number): boolean {
		return this.#isFresh(ageMs) || ageMs < this.#options.staleMs;
	}

	#isCoolingDown({ failedAt }: ModelList, now: number): boolean {
		return failedAt !== undefined && now >= failedAt && now - failedAt < this.#options.cooldownMs;
	}

	async #endFetches(): Promise<void> {
		this.clear();
		const error = closedError();
		// Nothing else keeps the host alive meanwhile, and a host that awaits this wants to hear of it.
		const hold = setInterval(() => {}, 1_000);
		try {
			await Promise.all(
				[...this.#fetches.keys()].map((fetch) => {
					fetch.end(error);
					return fetch.gone;
				}),
			);
		} finally {
			clearInterval(hold);
		}
	}

	#report(place: ListPlace, occurrence: CatalogOccurrence): void {
		const { onEvent } = this.#options;
		if (onEvent) notify(onEvent, { at: Date.now(), ...place, ...occurrence });
	}
}

const copyModels = (list: ModelList, includeHidden: boolean) => list.copyModels(includeHidden);
const copySummaries = (list: ModelList, includeHidden: boolean) => list.copySummaries(includeHidden);

/** Command and args are the catalog's, and so need not be told apart here. */
const toKey = ({ cwd, codexHome }: ListPlace) => `${cwd}\0${codexHome ?? ''}`;
