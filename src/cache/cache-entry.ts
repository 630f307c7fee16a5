import { isDeepStrictEqual } from 'node:util';
import type { CodexModel } from '../api/codex-model.js';
import { type CodexModelsError, toCodexModelsError } from '../api/errors.js';
import type { ModelListAnswer, Target } from '../api/fetch.js';
import type { TargetOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import type { CatalogSnapshot } from '../api/snapshot.js';
import { type Inputs, isCurrent, type Look, toInputs } from './inputs.js';

/** What Codex answered, and what the answer was made from. Immutable. */
export type ModelList = Omit<ModelListAnswer, 'models' | 'files'> & {
	/** All models, and those that Codex's own picker shows. */
	readonly views: Record<View, readonly CodexModel[]>;
	/** In epoch ms. */
	readonly fetchedAt: number;
	readonly inputs: Inputs;
};

export type View = 'all' | 'visible';

export function makeModelList(
	{ models, configured, warnings }: Omit<ModelListAnswer, 'files'>,
	fetchedAt: number,
	inputs: Inputs,
): ModelList {
	const all = Object.freeze([...models]);
	const visible = Object.freeze(all.filter(({ hidden }) => !hidden));
	return { views: { all, visible }, configured, warnings, fetchedAt, inputs };
}

/** The list with the parts of `last` that are equal, so that `===` means that nothing is new. */
export function shareParts(list: ModelList, last: ModelList | undefined): ModelList {
	if (!last) return list;
	const pick = <T>(part: T, old: T) => (isDeepStrictEqual(part, old) ? old : part);
	const { all, visible } = list.views;
	return {
		...list,
		views: { all: pick(all, last.views.all), visible: pick(visible, last.views.visible) },
		configured: pick(list.configured, last.configured),
		warnings: pick(list.warnings, last.warnings),
	};
}

/** Whether Codex could not ask its server, and answered with the models that are built into it. */
export const isBuiltIn = ({ warnings }: ModelList) =>
	warnings.some(({ type }) => type === 'built-in-list');

/** Whether the list is young enough not to ask Codex again. */
export function isYoung(list: ModelList, { maxAgeMs, cooldownMs }: Settings): boolean {
	const ageMs = Date.now() - list.fetchedAt;
	// After the clock was set back the age is unknown, and the list is not fresh until the clock has caught up.
	return ageMs >= 0 && ageMs < (isBuiltIn(list) ? Math.min(maxAgeMs, cooldownMs) : maxAgeMs);
}

type State = {
	/** The list, also after the time in which it may be served. */
	readonly list?: ModelList;
	/** Whether the files that the list was made from were the same at the last look. */
	readonly isCurrent: boolean;
	/** The last failed refresh since the list was fetched, and its time in epoch ms. */
	readonly failure?: { readonly error: CodexModelsError; readonly at: number };
};

/** The list of one target and login: all of its state, and the one place that changes it. */
export class CacheEntry {
	readonly target: Target;
	/** The digest of the login that the list belongs to. */
	readonly login: string;
	/** Whether `clear` has removed this entry: the result of its revalidation is not remembered. */
	isDropped = false;
	readonly #settings: Settings;
	#state: State = { isCurrent: true };
	readonly #snapshots: Partial<Record<View, CatalogSnapshot>> = {};

	constructor(target: Target, login: string, settings: Settings) {
		this.target = target;
		this.login = login;
		this.#settings = settings;
	}

	get list(): ModelList | undefined {
		return this.#state.list;
	}

	/** Takes a list that is to be remembered; returns it with the parts of the last one that are equal. */
	remember(list: ModelList): ModelList {
		const shared = shareParts(list, this.list);
		this.#state = { list: shared, isCurrent: true };
		return shared;
	}

	/** Takes the failure of a refresh. The same failure again is the same error, so that no subscriber hears of it twice. */
	fail(reason: unknown): void {
		const error = toCodexModelsError(reason);
		const last = this.#state.failure?.error;
		const isSame = last && isDeepStrictEqual(withoutTimes(last), withoutTimes(error));
		this.#state = { ...this.#state, failure: { error: isSame ? last : error, at: Date.now() } };
	}

	/** Takes a look at the files of the list. */
	compare(look: Look): void {
		const { list, isCurrent: wasCurrent } = this.#state;
		if (!list) return;
		// A list of another machine brings no files, and those of this machine count from now on.
		const isForeign = Object.keys(list.inputs.files).length === 0;
		const known = isForeign ? { ...list, inputs: toInputs(this.target, look) } : list;
		const isSame = isCurrent(known.inputs, look, wasCurrent);
		this.#state = { ...this.#state, list: known, isCurrent: isSame };
	}

	/** The list, if it may be served to a caller whose program is `command`. */
	getServable(command: string): ModelList | undefined {
		const { maxAgeMs, staleWhileRevalidateMs } = this.#settings;
		const { list } = this;
		if (list === undefined || list.inputs.command !== command) return undefined;
		return Date.now() - list.fetchedAt < maxAgeMs + staleWhileRevalidateMs ? list : undefined;
	}

	/** Whether the list is young, and nothing that it was made from has changed. */
	isFresh(): boolean {
		const { list, isCurrent } = this.#state;
		return list !== undefined && isCurrent && isYoung(list, this.#settings);
	}

	/** Whether the last refresh failed so recently that the next one has to wait. */
	isCoolingDown(): boolean {
		const ageMs = Date.now() - (this.#state.failure?.at ?? Number.NaN);
		return ageMs >= 0 && ageMs < this.#settings.cooldownMs;
	}

	/** One object for each state and view. An answer that is not remembered gets one of its own. */
	snapshot(list: ModelList, { includeHidden }: TargetOptions): CatalogSnapshot {
		const view = includeHidden ? 'all' : 'visible';
		const { views, fetchedAt, configured, warnings } = list;
		const isOwn = list === this.list;
		const isFresh = isOwn && this.isFresh();
		const refreshError = (isOwn && this.#state.failure?.error) || null;
		const next = { models: views[view], fetchedAt, isFresh, configured, warnings, refreshError };
		const last = this.#snapshots[view];
		const isSame = last?.fetchedAt === fetchedAt && last.isFresh === isFresh;
		if (last && isSame && hasSameContent(last, next)) return last;
		if (isOwn) this.#snapshots[view] = next;
		return Object.freeze(next);
	}
}

/** Whether two snapshots differ in their age alone. Equal parts of two lists are one object. */
export const hasSameContent = (one?: CatalogSnapshot, other?: CatalogSnapshot) =>
	one?.models === other?.models &&
	one?.configured === other?.configured &&
	one?.warnings === other?.warnings &&
	one?.refreshError === other?.refreshError;

/** Two failures of one kind differ in the time that they took. */
const withoutTimes = (error: CodexModelsError) => ({
	...error,
	message: error.message.replaceAll(/\b\d+ ms\b/g, ''),
});
