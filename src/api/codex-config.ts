import path from 'node:path';
import { deepFreeze, isObject, toText } from './codex-model.js';

/** The choice of the user's configuration (`config.toml`, `-c` arguments); `null` where it names none. */
export type CodexConfiguredModel = {
	/** The `id` or `model` of a listed model, or a name that is on no list. */
	readonly model: string | null;
	readonly modelProvider: string | null;
	readonly reasoningEffort: string | null;
};

/** The configured model of a `config/read` result; the rest of it may hold secrets and is dropped here. */
export function toConfiguredModel(result: unknown): CodexConfiguredModel {
	const config = isObject(result) && isObject(result.config) ? result.config : {};
	return deepFreeze({
		model: toText(config.model),
		modelProvider: toText(config.model_provider),
		reasoningEffort: toText(config.model_reasoning_effort),
	});
}

/** The files that a `config/read` result with layers was made from, and the catalogue of models that it names. */
export function listConfigFiles(result: unknown): string[] {
	if (!isObject(result)) return [];
	const layers = Array.isArray(result.layers) ? result.layers.filter(isObject) : [];
	const files = layers.map(({ name, source }) => {
		// 0.66.0 has `name: 'user'` and `source: FILE` in place of an object.
		if (!isObject(name)) return source;
		const folder = toText(name.dotCodexFolder);
		return folder === null ? name.file : path.join(folder, 'config.toml');
	});
	const catalog = isObject(result.config) ? result.config.model_catalog_json : undefined;
	return [...files, catalog].filter(
		(file) => typeof file === 'string' && path.isAbsolute(file),
	) as string[];
}
