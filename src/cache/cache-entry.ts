import { type CodexModelsError, protocolError, toCodexModelsError } from '../core/errors.js';
import type { FetchTarget } from '../core/fetch.js';
import type { ModelList } from './model-list.js';
import { Revalidation, type RevalidationInput } from './revalidation.js';
import type { StoredList } from './stored-list.js';

/** One list of one account: the list, the failure of its last refresh, and its one revalidation. */
export class CacheEntry {
	readonly target: FetchTarget;
	/** Of the target and the account. */
	readonly cacheKey: string;
	/** The same list in the store; `undefined` without a store. */
	readonly stored: StoredList | undefined;
	/** Aborts when the list is forgotten: a result that comes later belongs to nobody. */
	readonly dropped = new AbortController();
	#list: ModelList | undefined;
	#revalidation: Revalidation | undefined;

	constructor(target: FetchTarget, cacheKey: string, stored: StoredList | undefined) {
		this.target = target;
		this.cacheKey = cacheKey;
		this.stored = stored;
	}

	/** The list, also where it is too old to be served. */
	get list(): ModelList | undefined {
		return this.#list;
	}

	/** The revalidation that callers may join. */
	get revalidation(): Revalidation | undefined {
		return this.#revalidation;
	}

	/** Starts a revalidation; the caller has looked for one to join. */
	startRevalidation(input: Omit<RevalidationInput, 'target' | 'stored' | 'dropped'>): Revalidation {
		const { target, stored, dropped } = this;
		const { emit } = input;
		const startedAt = performance.now();
		const getDurationMs = () => performance.now() - startedAt;
		// A list in the store that is as old as the known one is the known one.
		const minFetchedAt = Math.max(input.minFetchedAt, this.#list?.fetchedAt ?? Number.NEGATIVE_INFINITY);
		const revalidation = new Revalidation({ ...input, target, stored, dropped: dropped.signal, minFetchedAt });
		this.#revalidation = revalidation;
		revalidation.found.then((list) => {
			this.#list = list ?? this.#list;
		});
		revalidation.list.then(
			(list) => {
				this.#revalidation = undefined;
				const { attempts, isRememberable } = revalidation;
				if (list.size === 0) this.#fail(emptyListError());
				// Not by `fetchedAt`, because the clock may have been set back.
				else if (isRememberable) this.#list = list;
				if (attempts > 0) emit({ type: 'refreshed', durationMs: getDurationMs(), models: list.size, attempts });
			},
			(reason) => {
				this.#revalidation = undefined;
				const error = toCodexModelsError(reason);
				this.#fail(error);
				emit({ type: 'failed', durationMs: getDurationMs(), error });
			},
		);
		return revalidation;
	}

	#fail(error: CodexModelsError): void {
		if (this.#list) this.#list.failure = { error, at: Date.now() };
	}
}

const emptyListError = () => protocolError({ problem: 'the list of models is empty', phase: 'model/list', elapsedMs: 0 });
