import { protocolError, toCodexModelsError } from '../core/errors.js';
import type { FetchTarget } from '../core/fetch.js';
import type { ModelList } from './model-list.js';
import { Revalidation, type RevalidationInput } from './revalidation.js';
import type { StoredList, StoreLookup } from './stored-list.js';

/** One list of one account, the failure of its last refresh, and its one revalidation. */
export class CacheEntry {
	readonly target: FetchTarget;
	readonly account: string;
	readonly #dropped = new AbortController();
	#list: ModelList | undefined;
	#revalidation: Revalidation | undefined;
	#storeLookup: Promise<StoreLookup> | undefined;

	constructor(target: FetchTarget, account: string) {
		this.target = target;
		this.account = account;
	}

	/** The list, also where it is too old to be served. */
	get list(): ModelList | undefined {
		return this.#list;
	}

	/** The revalidation that callers may join. */
	get revalidation(): Revalidation | undefined {
		return this.#revalidation;
	}

	/** Aborts when the list is forgotten: a result that comes later belongs to nobody. */
	get dropped(): AbortSignal {
		return this.#dropped.signal;
	}

	/** Whether a lookup or a revalidation is under way. */
	get isBusy(): boolean {
		return this.#revalidation !== undefined || this.#storeLookup !== undefined;
	}

	/** Takes the list of the store, if it is newer; all who ask at once share one lookup. */
	lookUpInStore(stored: StoredList, minFetchedAt: number): Promise<StoreLookup> {
		this.#storeLookup ??= stored.load(Math.max(minFetchedAt, this.#fetchedAt)).then((lookup) => {
			this.#storeLookup = undefined;
			// A fetch may have brought a newer one meanwhile.
			if (lookup.list && lookup.list.fetchedAt >= this.#fetchedAt) this.#list = lookup.list;
			return lookup;
		});
		return this.#storeLookup;
	}

	/** Starts a revalidation; the caller has looked for one to join. */
	startRevalidation(input: Omit<RevalidationInput, 'target' | 'dropped'>): Revalidation {
		const { target, dropped } = this;
		// A list as old as the known one is the known one.
		const minFetchedAt = Math.max(input.minFetchedAt, this.#fetchedAt);
		const revalidation = new Revalidation({ ...input, target, dropped, minFetchedAt });
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

	drop(): void {
		this.#dropped.abort();
	}

	get #fetchedAt(): number {
		return this.#list?.fetchedAt ?? Number.NEGATIVE_INFINITY;
	}

	#fail(error: unknown): void {
		if (this.#list) this.#list.failure = { error: toCodexModelsError(error), at: Date.now() };
	}
}

const emptyListError = () => protocolError({ problem: 'the list of models is empty', phase: 'model/list', elapsedMs: 0 });
