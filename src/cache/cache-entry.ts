import { isDeepStrictEqual } from 'node:util';
import type QuickLRU from 'quick-lru';
import type { CodexModel } from '../api/codex-model.js';
import type { CodexModelsError } from '../api/errors.js';
import type { EmitEvent } from '../api/events.js';
import type { CatalogSnapshot, Fetcher, ModelListAnswer, Target } from '../api/model-list.js';
import type { TargetOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { withPatience } from '../system/timers.js';
import { type Inputs, isCurrent, lookAtInputs } from './inputs.js';

/** An answer of Codex, and the inputs that it was made from. Immutable. */
export type ModelList = ModelListAnswer & {
	/** The models that Codex's own picker shows. */
	readonly visible: readonly CodexModel[];
	/** Whether Codex could not ask its server, and answered with the models that are built into it. */
	readonly isBuiltIn: boolean;
	/** In epoch ms. */
	readonly fetchedAt: number;
	/** `undefined` where they changed during the fetch, or could not be looked at: such a list is not remembered. */
	readonly inputs: Inputs | undefined;
};

export function makeModelList(
	answer: ModelListAnswer,
	fetchedAt: number,
	inputs: Inputs | undefined,
): ModelList {
	const visible = Object.freeze(answer.models.filter(({ hidden }) => !hidden));
	const isBuiltIn = answer.warnings.some(({ type }) => type === 'built-in-list');
	return { ...answer, visible, isBuiltIn, fetchedAt, inputs };
}

/** All that a cache, its entries and their revalidations share. */
export type CacheContext = {
	readonly settings: Settings;
	readonly fetcher: Fetcher;
	readonly emit: EmitEvent;
	/** The program of the app-servers, of a function the last that it named; '' before, and with `fetchModels`. */
	command: string;
	/** The time of the last `clear`, in epoch ms: an older list in the store counts as deleted. */
	clearedAt: number;
	/**
	 * The entries that have a list, by the keys of their targets: a dropped one until another takes its place. By their own keys
	 * those of logins that are over: a login that comes back gets its list.
	 */
	readonly entries: QuickLRU<string, CacheEntry>;
	/** Is called after each look at the inputs of an entry, and after each change of it. */
	onChange(entry: CacheEntry): void;
};

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/** How long a caller with a list waits for a look, in milliseconds. */
const patienceMs = 100;

/** The list of one target and login, and all of its state. */
export class CacheEntry {
	readonly target: Target;
	readonly context: CacheContext;
	/** The digest of the login that the list belongs to; `undefined` until it has been read. */
	login?: string;
	/** Whether the list was cleared, or its login is over: the result of a revalidation is not remembered. */
	isDropped = false;
	/** The list, also after the time in which it may be served. */
	list?: ModelList;
	/** Whether the files that the list was made from were the same at the last look. */
	#isCurrent = true;
	/** The time of the last look at the files in epoch ms, and the look under way. */
	#lookedAt = NaN;
	#looking?: Promise<Inputs>;
	/** The last failed refresh since the list was fetched. */
	#refreshError: CodexModelsError | null = null;
	/** The time of the last refresh whose list was not remembered, in epoch ms. */
	failedAt = NaN;
	/** One object for each view, until something in it changes. */
	#snapshots: { models?: CatalogSnapshot; visible?: CatalogSnapshot } = {};

	constructor(target: Target, context: CacheContext) {
		this.target = target;
		this.context = context;
	}

	/** The list, if it may be served. `now` is in epoch ms, here and below, because asking for the time costs a tenth of a hit. */
	getServable(now = Date.now()): ModelList | undefined {
		const { settings, command } = this.context;
		const { list } = this;
		if (this.isDropped || list?.inputs?.command !== command) return undefined;
		const ageMs = now - list.fetchedAt;
		return ageMs < settings.maxAgeMs + settings.staleWhileRevalidateMs ? list : undefined;
	}

	/** Whether the list is young enough not to ask Codex again, and nothing that it was made from has changed. */
	isFresh(now = Date.now()): boolean {
		const { maxAgeMs, cooldownMs } = this.context.settings;
		if (!this.list || !this.#isCurrent) return false;
		const limitMs = this.list.isBuiltIn ? Math.min(maxAgeMs, cooldownMs) : maxAgeMs;
		return isWithin(limitMs, this.list.fetchedAt, now);
	}

	/** Whether the last refresh brought no list so recently that the next one has to wait. */
	isCoolingDown(now: number): boolean {
		return isWithin(this.context.settings.cooldownMs, this.failedAt, now);
	}

	/** Whether it is not yet time for another look. */
	isLookedAt(now = Date.now()): boolean {
		return isWithin(lookIntervalMs, this.#lookedAt, now);
	}

	/** Looks at the files, once for all callers. A caller with a list does not wait for long. */
	async look(): Promise<void> {
		if (this.isLookedAt()) return;
		this.#looking ??= this.#lookAndCompare();
		const seen = await withPatience(this.#looking, this.list && patienceMs);
		// A look that does not come back is not waited for again before the next one is due.
		if (this.list && !seen) this.#lookedAt = Date.now();
	}

	/** Compares with what there is now. Another login drops the list, and one that comes back finds its own. */
	async #lookAndCompare() {
		const { entries, onChange } = this.context;
		let seen = await this.lookAtInputs();
		const isFirst = this.login === undefined;
		this.login ??= seen.login;
		// Tells the lists of logins apart.
		const key = `${this.target.key}\0${this.login}`;
		if (isFirst) this.list = entries.get(key)?.list;
		// The list may name further files.
		if (isFirst && this.list) seen = await this.lookAtInputs();
		this.#looking = undefined;
		this.#lookedAt = seen.at;
		const { login = this.login } = seen;
		if (this.login !== login && !this.isDropped) {
			this.isDropped = true;
			if (this.list) entries.set(key, this);
		}
		if (this.list) this.#isCurrent = isCurrent(this.list.inputs, seen, this.#isCurrent);
		onChange(this);
		return seen;
	}

	/** Looks at all that a list would be made from now. Where Codex names no file, those that it named before still count. */
	lookAtInputs(named: readonly string[] = []): Promise<Inputs> {
		const { command, settings } = this.context;
		const files = named.length > 0 ? named : Object.keys(this.list?.inputs?.files ?? {});
		return lookAtInputs(this.target, command, settings.env, files);
	}

	/**
	 * Takes a list, and a look at its files that came later. Returns the list with the parts of the last one that are equal, so
	 * that `===` means that nothing is new.
	 */
	remember(list: ModelList, look?: Inputs): ModelList {
		this.#isCurrent = !look || isCurrent(list.inputs, look, true);
		let shared = list;
		for (const part of ['models', 'visible', 'configured', 'warnings'] as const) {
			const known = this.list?.[part];
			if (isDeepStrictEqual(known, list[part])) shared = { ...shared, [part]: known };
		}
		this.list = shared;
		this.#refreshError = null;
		this.failedAt = NaN;
		this.#snapshots = {};
		this.context.onChange(this);
		return shared;
	}

	/** Takes the failure of a refresh. The same failure again is the same error, so that no subscriber hears of it twice. */
	fail(error: CodexModelsError): void {
		const last = this.#refreshError;
		this.#refreshError = last && withoutTimes(last) === withoutTimes(error) ? last : error;
		this.failedAt = Date.now();
		this.context.onChange(this);
	}

	/** The snapshot of the list, if that may be served. */
	peek(options: TargetOptions, now = Date.now()): CatalogSnapshot | undefined {
		const list = this.getServable(now);
		return list && this.snapshot(list, options, now);
	}

	/** The snapshot of the list, or of an answer that is not remembered. */
	snapshot(list: ModelList, { includeHidden }: TargetOptions, now?: number): CatalogSnapshot {
		const view = includeHidden ? 'models' : 'visible';
		const isOwn = list === this.list;
		const isFresh = isOwn && this.isFresh(now);
		const refreshError = isOwn ? this.#refreshError : null;
		const last = isOwn ? this.#snapshots[view] : undefined;
		if (last?.isFresh === isFresh && last.refreshError === refreshError) return last;
		const { [view]: models, fetchedAt, configured, warnings } = list;
		const next = { models, fetchedAt, isFresh, configured, warnings, refreshError };
		if (isOwn) this.#snapshots[view] = next;
		return Object.freeze(next);
	}
}

/** After the clock was set back the age is unknown, and nothing counts as young until the clock has caught up. */
function isWithin(limitMs: number, since: number, now: number) {
	const ageMs = now - since;
	return ageMs >= 0 && ageMs < limitMs;
}

/** Two failures of one kind differ in the time that they took. */
const withoutTimes = ({ message }: CodexModelsError) => message.replaceAll(/\b\d+ ms\b/g, '');
