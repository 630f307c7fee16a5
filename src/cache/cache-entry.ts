import { protocolError, toCodexModelsError } from '../core/errors.js';
import type { FetchTarget, Fingerprint } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';
import type { ModelList } from './model-list.js';
import { Revalidation, type RevalidationInput } from './revalidation.js';
import type { StoredList, StoreLookup } from './stored-list.js';

/** The key of an entry: the target and the account. */
export type CacheKey = string;

export const toCacheKey = ({ key }: FetchTarget, account: string): CacheKey => `${key}\0${account}`;

/** One list of one account: its age, the failure of its last refresh, and its one revalidation. */
export class CacheEntry {
	readonly target: FetchTarget;
	readonly account: string;
	readonly #settings: Settings;
	readonly #dropped = new AbortController();
	#list: ModelList | undefined;
	#revalidation: Revalidation | undefined;
	#storeLookup: Promise<StoreLookup> | undefined;

	constructor(target: FetchTarget, account: string, settings: Settings) {
		this.target = target;
		this.account = account;
		this.#settings = settings;
	}

	get key(): CacheKey {
		return toCacheKey(this.target, this.account);
	}

	/** The list, also where it is too old to be served. */
	get list(): ModelList | undefined {
		return this.#list;
	}

	/** The revalidation that callers may join. */
	get revalidation(): Revalidation | undefined {
		return this.#revalidation;
	}

	get isDropped(): boolean {
		return this.#dropped.signal.aborted;
	}

	/** Whether somebody waits for something here. */
	get isBusy(): boolean {
		return this.#revalidation !== undefined || this.#storeLookup !== undefined;
	}

	state(fingerprint: Fingerprint, now: number): 'missing' | 'fresh' | 'stale' {
		const list = this.#list;
		if (list?.isFresh(fingerprint, now, this.#settings)) return 'fresh';
		return list?.isServable(now, this.#settings) ? 'stale' : 'missing';
	}

	/** Takes the list of the store, if it is newer; all who ask at once share one lookup. */
	lookUpInStore(stored: StoredList, minFetchedAt: number): Promise<StoreLookup> {
		this.#storeLookup ??= stored.load(Math.max(minFetchedAt, this.#list?.fetchedAt ?? minFetchedAt)).then((lookup) => {
			this.#storeLookup = undefined;
			// A fetch may have brought a newer one meanwhile.
			const knownAt = this.#list?.fetchedAt ?? Number.NEGATIVE_INFINITY;
			if (lookup.list && lookup.list.fetchedAt >= knownAt) this.#list = lookup.list;
			return lookup;
		});
		return this.#storeLookup;
	}

	/** Joins the revalidation under way, or starts one. */
	revalidate(
		input: Omit<RevalidationInput, 'target' | 'settings' | 'dropped'>,
		options: { requireNewList: boolean },
	): Revalidation {
		const revalidation = this.#revalidation ?? this.#startRevalidation(input);
		if (options.requireNewList) revalidation.requireNewList();
		return revalidation;
	}

	/** Forgets the list; a revalidation under way answers those who wait for it, and is not remembered. */
	drop(): void {
		this.#dropped.abort();
	}

	#startRevalidation(input: Omit<RevalidationInput, 'target' | 'settings' | 'dropped'>): Revalidation {
		const known = this.#list;
		const revalidation = new Revalidation({
			...input,
			target: this.target,
			settings: this.#settings,
			dropped: this.#dropped.signal,
			// A list as old as the known one is the known one.
			minFetchedAt: Math.max(input.minFetchedAt, known?.fetchedAt ?? input.minFetchedAt),
		});
		this.#revalidation = revalidation;
		revalidation.list.then(
			(list) => {
				this.#revalidation = undefined;
				if (list.size === 0) this.#fail(emptyListError());
				// Not by `fetchedAt`, because the clock may have been set back.
				else if (revalidation.isRememberable) this.#list = list;
			},
			(error) => {
				this.#revalidation = undefined;
				this.#fail(error);
			},
		);
		return revalidation;
	}

	#fail(error: unknown): void {
		if (this.#list) this.#list.failure = { error: toCodexModelsError(error), at: Date.now() };
	}
}

const emptyListError = () => protocolError({ problem: 'the list of models is empty', phase: 'model/list', elapsedMs: 0 });
