import { isDeepStrictEqual } from 'node:util';
import type { CodexModel } from '../api/codex-model.js';
import type { ModelListAnswer } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import type { Inputs } from './inputs.js';

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
	const all = pick(list.views.all, last.views.all);
	return {
		...list,
		views: { all, visible: pick(list.views.visible, last.views.visible) },
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
