import { isDeepStrictEqual } from 'node:util';
import { type CodexModelsError, protocolError, toCodexModelsError } from '../api/errors.js';
import type { Target } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import {
	type CatalogSnapshot,
	isServable,
	isYoung,
	type ModelList,
	shareParts,
} from './model-list.js';
import type { Revalidation } from './revalidation.js';

type State = {
	/** The list, also after the time in which it may be served. */
	readonly list?: ModelList;
	/** Whether the files that the list was made from were the same at the last look. */
	readonly isCurrent: boolean;
	/** The last failed refresh since the list was fetched, and its time in epoch ms. */
	readonly failure?: { readonly error: CodexModelsError; readonly at: number } | undefined;
};

/** The list of one target and login: all of its state, and the one place that changes it. */
export class CacheEntry {
	readonly key: string;
	readonly target: Target;
	/** The digest of the login that the list belongs to. */
	readonly login: string;
	/** The revalidation that callers may join. */
	revalidation: Revalidation | undefined;
	/** Whether `clear` has removed this entry: the result of its revalidation is not remembered. */
	isDropped = false;

	readonly #settings: Settings;
	#state: State = { isCurrent: true };
	#snapshots: { all?: CatalogSnapshot; visible?: CatalogSnapshot } = {};

	constructor(key: string, target: Target, login: string, settings: Settings) {
		this.key = key;
		this.target = target;
		this.login = login;
		this.#settings = settings;
	}

	get list(): ModelList | undefined {
		return this.#state.list;
	}

	/** Takes a list that is to be remembered; returns the list with the parts of the last one that are equal. */
	remember(list: ModelList, isCurrent = true): ModelList {
		const shared = shareParts(list, this.#state.list);
		this.#state = { list: shared, isCurrent };
		return shared;
	}

	/** Takes the failure of a refresh. The same failure again is the same error, so that nobody is told of it twice. */
	fail(reason: unknown): void {
		const error = toCodexModelsError(reason);
		const last = this.#state.failure?.error;
		const failure = { error: last && isSameFailure(last, error) ? last : error, at: Date.now() };
		this.#state = { ...this.#state, failure };
	}

	/** Takes the result of a look at the files. */
	setCurrent(isCurrent: boolean): void {
		this.#state = { ...this.#state, isCurrent };
	}

	/** The list, if it may be served to a caller whose program is `command`. */
	getServable(now: number, command: string): ModelList | undefined {
		const { list } = this.#state;
		return list?.inputs.command === command && isServable(list, now, this.#settings)
			? list
			: undefined;
	}

	/** Whether the list is young, and nothing that it was made from has changed. */
	isFresh(now: number): boolean {
		const { list, isCurrent } = this.#state;
		return list !== undefined && isCurrent && isYoung(list, now, this.#settings);
	}

	/** Whether the last refresh failed so recently that the next one has to wait. */
	isCoolingDown(now: number): boolean {
		const { failure } = this.#state;
		return (
			failure !== undefined && now >= failure.at && now - failure.at < this.#settings.cooldownMs
		);
	}

	/** One object for each state and view. An answer that is not remembered gets one of its own. */
	snapshot(list: ModelList, now: number, includeHidden: boolean): CatalogSnapshot {
		const isOwn = list === this.#state.list;
		const view = includeHidden ? 'all' : 'visible';
		const isFresh = isOwn && this.isFresh(now);
		const refreshError = (isOwn && this.#state.failure?.error) || null;
		const last = this.#snapshots[view];
		const { fetchedAt, configured, warnings } = list;
		const models = list.views[view];
		if (
			last?.models === models &&
			last.fetchedAt === fetchedAt &&
			last.isFresh === isFresh &&
			last.configured === configured &&
			last.warnings === warnings &&
			last.refreshError === refreshError
		)
			return last;
		const next = Object.freeze({ models, fetchedAt, isFresh, configured, warnings, refreshError });
		if (isOwn) this.#snapshots[view] = next;
		return next;
	}
}

/** Two failures of one kind differ in the time that they took. */
function isSameFailure(one: CodexModelsError, other: CodexModelsError): boolean {
	const [first, second] = [one, other].map((error) => ({
		...error.toJSON(),
		message: error.message.replaceAll(/\b\d+ ms\b/g, ''),
	}));
	return isDeepStrictEqual(first, second);
}

/** The failure of a refresh that brought no models. */
export const emptyListError = () =>
	protocolError({ problem: 'the list of models is empty', phase: 'model/list' });
