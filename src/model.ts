/** A model, as Codex describes it, in names that stay the same from release to release. */
export type CodexModel = {
	/** What a picker stores. */
	id: string;
	/** The name that is sent to the model provider; mostly the same as `id`. */
	model: string;
	displayName: string;
	description: string | null;
	/** Not for a picker's first page. */
	hidden: boolean;
	isDefault: boolean;
	/** The `id` of the model that Codex proposes instead. */
	upgrade: string | null;
	/** `effort` is a free string: new ones come with new models. */
	reasoningEfforts: { effort: string; description: string | null }[];
	defaultReasoningEffort: string | null;
	serviceTiers: { id: string; name: string | null; description: string | null }[];
	defaultServiceTier: string | null;
	/** Such as `'text'` and `'image'`; empty where the release does not say. */
	inputModalities: string[];
};

/** What `listCodexModels` returns for a model: these seven properties and no others. */
export type CodexModelSummary = {
	id: string;
	displayName: string;
	isDefault: boolean;
	defaultReasoningEffort?: string | null;
	defaultServiceTier?: string | null;
	/** In Codex's order; `undefined` where the model has none. */
	supportedReasoningEfforts?: string[];
	/** Search tokens in lower case: each tier's id and name, each once; `undefined` where the model has none. */
	serviceTiers?: string[];
};

/** The string without the white space around it; `null` for a blank one and for all that is no string. */
function text(value: unknown): string | null {
	return typeof value === 'string' ? value.trim() || null : null;
}

/** The objects of an array; none where it is no array. */
function objects(value: unknown): Record<string, unknown>[] {
	return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : [];
}

/**
 * The models of one `data` array of a `model/list` result, of any release from 0.66.0 on. An entry without an id is left
 * out; any other property may be missing, of another type or unknown, and fails nothing.
 */
export function parseModels(data: readonly unknown[]): CodexModel[] {
	return objects(data).flatMap((entry) => {
		const id = text(entry.id) ?? text(entry.model);
		if (id === null) return [];
		return {
			id,
			model: text(entry.model) ?? id,
			displayName: text(entry.displayName) ?? id,
			description: text(entry.description),
			hidden: entry.hidden === true,
			isDefault: entry.isDefault === true,
			upgrade: text(entry.upgrade),
			reasoningEfforts: objects(entry.supportedReasoningEfforts).flatMap((item) => {
				const effort = text(item.reasoningEffort);
				return effort === null ? [] : { effort, description: text(item.description) };
			}),
			defaultReasoningEffort: text(entry.defaultReasoningEffort),
			serviceTiers: objects(entry.serviceTiers).flatMap((item) => {
				const name = text(item.name);
				const tier = text(item.id) ?? name;
				return tier === null ? [] : { id: tier, name, description: text(item.description) };
			}),
			defaultServiceTier: text(entry.defaultServiceTier),
			inputModalities: Array.isArray(entry.inputModalities)
				? entry.inputModalities.flatMap((modality) => text(modality) ?? [])
				: [],
		};
	});
}

/** Whether this is a model as `parseModels` makes them, for those that come back from a store. */
export function isCodexModel(value: unknown): value is CodexModel {
	const isText = (part: unknown) => typeof part === 'string';
	const isTextOrNull = (part: unknown) => part === null || isText(part);
	const isArrayOf = (part: unknown, isItem: (item: Record<string, unknown>) => boolean) =>
		Array.isArray(part) && objects(part).length === part.length && objects(part).every(isItem);
	const [model] = objects([value]);
	return (
		model !== undefined &&
		[model.id, model.model, model.displayName].every((part) => text(part) !== null) &&
		typeof model.hidden === 'boolean' &&
		typeof model.isDefault === 'boolean' &&
		[model.description, model.upgrade, model.defaultReasoningEffort, model.defaultServiceTier].every(
			isTextOrNull,
		) &&
		isArrayOf(model.reasoningEfforts, (item) => isText(item.effort) && isTextOrNull(item.description)) &&
		isArrayOf(
			model.serviceTiers,
			(item) => isText(item.id) && isTextOrNull(item.name) && isTextOrNull(item.description),
		) &&
		Array.isArray(model.inputModalities) &&
		model.inputModalities.every(isText)
	);
}

/** The model as `listCodexModels` shows it; shares nothing with its argument. */
export function toSummary(model: CodexModel): CodexModelSummary {
	const efforts = model.reasoningEfforts.flatMap(({ effort }) => text(effort) ?? []);
	const tokens = model.serviceTiers.flatMap(({ id, name }) => [text(id) ?? [], text(name) ?? []].flat());
	return {
		id: model.id,
		displayName: model.displayName,
		isDefault: model.isDefault,
		defaultReasoningEffort: model.defaultReasoningEffort,
		defaultServiceTier: model.defaultServiceTier,
		supportedReasoningEfforts: efforts.length > 0 ? efforts : undefined,
		serviceTiers: tokens.length > 0 ? [...new Set(tokens.map((token) => token.toLowerCase()))] : undefined,
	};
}

// The copies name every property: a literal with `slice` is 20 to 50 times as fast as `structuredClone` or a spread
// with a property added (measured on Node 20), and the copy is most of what a hit costs.

export function copySummary(summary: CodexModelSummary): CodexModelSummary {
	return {
		id: summary.id,
		displayName: summary.displayName,
		isDefault: summary.isDefault,
		defaultReasoningEffort: summary.defaultReasoningEffort,
		defaultServiceTier: summary.defaultServiceTier,
		supportedReasoningEfforts: copyTexts(summary.supportedReasoningEfforts),
		serviceTiers: copyTexts(summary.serviceTiers),
	};
}

/** Half of what `slice` takes where there are as few as models have: up to 6 efforts (Codex 0.169.0). */
function copyTexts(texts: string[] | undefined): string[] | undefined {
	if (texts === undefined) return undefined;
	switch (texts.length) {
		case 1:
			return [texts[0]] as string[];
		case 2:
			return [texts[0], texts[1]] as string[];
		case 3:
			return [texts[0], texts[1], texts[2]] as string[];
		case 4:
			return [texts[0], texts[1], texts[2], texts[3]] as string[];
		case 5:
			return [texts[0], texts[1], texts[2], texts[3], texts[4]] as string[];
		case 6:
			return [texts[0], texts[1], texts[2], texts[3], texts[4], texts[5]] as string[];
		default:
			return texts.slice();
	}
}

export function copyModel(model: CodexModel): CodexModel {
	return {
		id: model.id,
		model: model.model,
		displayName: model.displayName,
		description: model.description,
		hidden: model.hidden,
		isDefault: model.isDefault,
		upgrade: model.upgrade,
		reasoningEfforts: model.reasoningEfforts.map(({ effort, description }) => ({ effort, description })),
		defaultReasoningEffort: model.defaultReasoningEffort,
		serviceTiers: model.serviceTiers.map(({ id, name, description }) => ({ id, name, description })),
		defaultServiceTier: model.defaultServiceTier,
		inputModalities: model.inputModalities.slice(),
	};
}
