import { type CodexConfiguredModel, type CodexModel, isObject, toText } from './codex-model.js';

/** The objects of an array; none where the value is no array. */
const objects = (value: unknown): Record<string, unknown>[] =>
	Array.isArray(value) ? value.filter(isObject) : [];

/**
 * The models of one `data` array of a `model/list` result, of any release from 0.66.0 on. An entry without an id is left
 * out; any other property may be missing, of another type or unknown, and fails nothing.
 */
export function parseModels(
	data: readonly unknown[],
	effortName: 'reasoningEffort' | 'effort' = 'reasoningEffort',
): CodexModel[] {
	return objects(data).flatMap((entry) => {
		const id = toText(entry.id) ?? toText(entry.model);
		if (id === null) return [];
		return {
			id,
			model: toText(entry.model) ?? id,
			displayName: toText(entry.displayName) ?? id,
			description: toText(entry.description),
			hidden: entry.hidden === true,
			isDefault: entry.isDefault === true,
			upgrade: toText(entry.upgrade),
			supportedReasoningEfforts: objects(entry.supportedReasoningEfforts).flatMap((item) => {
				const effort = toText(item[effortName]);
				return effort === null ? [] : { effort, description: toText(item.description) };
			}),
			defaultReasoningEffort: toText(entry.defaultReasoningEffort),
			serviceTiers: objects(entry.serviceTiers).flatMap((item) => {
				const name = toText(item.name);
				const id = toText(item.id) ?? name;
				return id === null ? [] : { id, name, description: toText(item.description) };
			}),
			defaultServiceTier: toText(entry.defaultServiceTier),
			inputModalities: Array.isArray(entry.inputModalities)
				? entry.inputModalities.flatMap((modality) => toText(modality) ?? [])
				: [],
		};
	});
}

/** The three values of a `config/read` result that are kept; the rest of it may hold secrets and is dropped here. */
export function parseConfiguredModel(result: unknown): CodexConfiguredModel {
	const config = isObject(result) && isObject(result.config) ? result.config : {};
	const { model, model_provider: modelProvider, model_reasoning_effort: reasoningEffort } = config;
	return {
		model: toText(model),
		modelProvider: toText(modelProvider),
		reasoningEffort: toText(reasoningEffort),
	};
}
