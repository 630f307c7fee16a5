import { isDeepStrictEqual } from 'node:util';
import type { CodexModel } from '../api/codex-model.js';
import { type CodexModelsError, toCodexModelsError } from '../api/errors.js';
import type { ModelListAnswer, Target } from '../api/fetch.js';
import type { TargetOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import type { CatalogSnapshot } from '../api/snapshot.js';
import { type Inputs, isCurrent } from './inputs.js';

/** An answer of Codex, and the inputs that it was made from. Immutable. */
export type ModelList = Pick<ModelListAnswer, 'configured' | 'warnings'> & {
	readonly all: readonly CodexModel[];
	/** The models that Codex's own picker shows. */
	readonly visible: readonly CodexModel[];
	/** In epoch ms. */
	readonly fetchedAt: number;
	/** `undefined` where they changed during the fetch, or could not be looked at. */
	readonly inputs: Inputs | undefined;
};

export function makeModelList(
	{ models, configured, warnings }: Omit<ModelListAnswer, 'files'>,
	fetchedAt: number,
	inputs: Inputs | undefined,
): ModelList {
	const all = Object.freeze([...models]);
	const visible = Object.freeze(all.filter(({ hidden }) => !hidden));
	return { all, visible, configured, warnings, fetchedAt, inputs };
}

/** Whether Codex could not ask its server, and answered with the models that are built into it. */
export const isBuiltIn = ({ warnings }: ModelList) =>
	warnings.some(({ type }) => type === 'built-in-list');

/** The list of one target and login: all of its state, and the one place that changes it. */
export class CacheEntry {
	readonly target: Target;
	/** The digest of the login that the list belongs to. */
	readonly login: string;
	/** Whether `clear` has removed this entry: the result of its revalidation is not remembered. */
	isDropped = false;
	readonly #settings: Settings;
	#list: ModelList | undefined;
	/** Whether the files that the list was made from were the same at the last look. */
	#isCurrent = true;
	/** The last failed refresh since the list was fetched, and its time in epoch ms. */
	#refreshError: CodexModelsError | null = null;
	#failedAt = Number.NaN;
	readonly #snapshots: { all?: CatalogSnapshot; visible?: CatalogSnapshot } = {};

	constructor(target: Target, login: string, settings: Settings) {
		this.target = target;
		this.login = login;
		this.#settings = settings;
	}

	/** The list, also after the time in which it may be served. */
	get list(): ModelList | undefined {
		return this.#list;
	}

	/** Takes a list, and returns it with the parts of the last one that are equal, so that `===` means that nothing is new. */
	remember(list: ModelList): ModelList {
		const last = this.#list;
		const share = <Name extends keyof ModelList>(name: Name) =>
			last && isDeepStrictEqual(list[name], last[name]) ? last[name] : list[name];
		this.#list = {
			...list,
			all: share('all'),
			visible: share('visible'),
			configured: share('configured'),
			warnings: share('warnings'),
		};
		this.#isCurrent = true;
		this.#refreshError = null;
		this.#failedAt = Number.NaN;
		return this.#list;
	}

	/** Takes the failure of a refresh. The same failure again is the same error, so that no subscriber hears of it twice. */
	fail(reason: unknown): void {
		const error = toCodexModelsError(reason);
		const last = this.#refreshError;
		const isSame = last?.code === error.code && withoutTimes(last) === withoutTimes(error);
		this.#refreshError = isSame ? last : error;
		this.#failedAt = Date.now();
	}

	/** Takes a look at the files of the list. */
	compare(look: Inputs): void {
		if (!this.#list?.inputs) return;
		// A list of another machine brings no files, and those of this machine count from now on.
		const isForeign = Object.keys(this.#list.inputs.files).length === 0;
		if (isForeign) this.#list = { ...this.#list, inputs: look };
		else this.#isCurrent = isCurrent(this.#list.inputs, look, this.#isCurrent);
	}

	/** The list, if it may be served to a caller whose program is `command`. */
	getServable(command: string): ModelList | undefined {
		const { maxAgeMs, staleWhileRevalidateMs } = this.#settings;
		const list = this.#list;
		if (list?.inputs?.command !== command) return undefined;
		return Date.now() - list.fetchedAt < maxAgeMs + staleWhileRevalidateMs ? list : undefined;
	}

	/** Whether the list is young enough not to ask Codex again, and nothing that it was made from has changed. */
	isFresh(): boolean {
		const { maxAgeMs, cooldownMs } = this.#settings;
		if (!this.#list || !this.#isCurrent) return false;
		const ageMs = Date.now() - this.#list.fetchedAt;
		const limitMs = isBuiltIn(this.#list) ? Math.min(maxAgeMs, cooldownMs) : maxAgeMs;
		// After the clock was set back the age is unknown, and the list is not fresh until the clock has caught up.
		return ageMs >= 0 && ageMs < limitMs;
	}

	/** Whether the last refresh failed so recently that the next one has to wait. */
	isCoolingDown(): boolean {
		const ageMs = Date.now() - this.#failedAt;
		return ageMs >= 0 && ageMs < this.#settings.cooldownMs;
	}

	/** The snapshot of the list, if that may be served to a caller whose program is `command`. */
	peek(command: string, options: TargetOptions): CatalogSnapshot | undefined {
		const list = this.getServable(command);
		return list && this.snapshot(list, options);
	}

	/** One object for each state and view. An answer that is not remembered gets one of its own. */
	snapshot(list: ModelList, { includeHidden }: TargetOptions): CatalogSnapshot {
		const view = includeHidden ? 'all' : 'visible';
		const { [view]: models, fetchedAt, configured, warnings } = list;
		const isOwn = list === this.#list;
		const isFresh = isOwn && this.isFresh();
		const refreshError = isOwn ? this.#refreshError : null;
		const next = { models, fetchedAt, isFresh, configured, warnings, refreshError };
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
const withoutTimes = ({ message }: CodexModelsError) => message.replaceAll(/\b\d+ ms\b/g, '');
