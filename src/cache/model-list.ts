import { isDeepStrictEqual } from 'node:util';
import type { CodexConfiguredModel } from '../api/codex-config.js';
import { type CodexModel, deepFreeze, isObject } from '../api/codex-model.js';
import type { CodexModelsError } from '../api/errors.js';
import type { CatalogWarning, ModelListAnswer } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { sanitizeLine } from '../system/sanitize.js';
import type { Inputs } from './inputs.js';

/**
 * A list of models, and where it stands. Shared by all callers and deep-frozen, `refreshError` excepted: the same object until
 * something in it changes.
 */
export type CatalogSnapshot = {
	readonly models: readonly CodexModel[];
	/** The time at which Codex answered, in epoch ms. */
	readonly fetchedAt: number;
	/** Whether the list is younger than `maxAgeMs`, and nothing that it was made from has changed. */
	readonly isFresh: boolean;
	/** The choice of the user's configuration; three `null`s where Codex does not tell. */
	readonly configured: CodexConfiguredModel;
	/** What Codex said that makes this list another one than the user expects. */
	readonly warnings: readonly CatalogWarning[];
	/** The reason why the last refresh after `fetchedAt` failed; `null` if none did. */
	readonly refreshError: CodexModelsError | null;
};

/** What Codex answered, and what the answer was made from. Immutable. */
export type ModelList = {
	/** All models, and those that Codex's own picker shows. */
	readonly views: { readonly all: readonly CodexModel[]; readonly visible: readonly CodexModel[] };
	readonly configured: CodexConfiguredModel;
	readonly warnings: readonly CatalogWarning[];
	/** In epoch ms. */
	readonly fetchedAt: number;
	readonly inputs: Inputs;
};

type Answer = Omit<ModelListAnswer, 'files'>;

export function makeModelList(answer: Answer, fetchedAt: number, inputs: Inputs): ModelList {
	const all = Object.freeze([...answer.models]);
	const visible = Object.freeze(all.filter((model) => !model.hidden));
	const { configured, warnings } = answer;
	return { views: { all, visible }, configured, warnings: deepFreeze(warnings), fetchedAt, inputs };
}

/** The list with the parts of `last` that are equal, so that `===` means that nothing is new. */
export function shareParts(list: ModelList, last: ModelList | undefined): ModelList {
	if (!last) return list;
	const pick = <T>(part: T, old: T) => (isDeepStrictEqual(part, old) ? old : part);
	return {
		...list,
		views: pick(list.views, last.views),
		configured: pick(list.configured, last.configured),
		warnings: pick(list.warnings, last.warnings),
	};
}

/** Whether Codex could not ask its server, and answered with the models that are built into it. */
export const isBuiltIn = ({ warnings }: Pick<ModelList, 'warnings'>) =>
	warnings.some(({ type }) => type === 'built-in-list');

/** Whether the list is young enough not to ask Codex again. */
export function isYoung(list: ModelList, now: number, settings: Settings): boolean {
	const { maxAgeMs, cooldownMs } = settings;
	const limitMs = isBuiltIn(list) ? Math.min(maxAgeMs, cooldownMs) : maxAgeMs;
	// After the clock was set back the age is unknown, and the list is not fresh until the clock has caught up.
	return now >= list.fetchedAt && now - list.fetchedAt < limitMs;
}

/** Whether the list may be served at all, fresh or stale. */
export const isServable = ({ fetchedAt }: ModelList, now: number, settings: Settings) =>
	now - fetchedAt < settings.maxAgeMs + settings.staleWhileRevalidateMs;

const maxWarningLength = 1_000;

/** The warnings of a host or a store. */
export const toWarnings = (value: unknown): CatalogWarning[] =>
	(Array.isArray(value) ? value : []).flatMap((item): CatalogWarning[] => {
		if (!isObject(item) || typeof item.message !== 'string') return [];
		if (item.type !== 'config-ignored' && item.type !== 'built-in-list') return [];
		return [{ type: item.type, message: sanitizeLine(item.message, maxWarningLength) }];
	});
