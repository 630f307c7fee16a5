import path from 'node:path';
import { isObject, toObjects, toText } from './codex-model.js';

/** The choice of the user's configuration (`config.toml`, `-c` arguments); `null` where it names none. */
export type CodexConfiguredModel = Readonly<{
	/** The `id` or `model` of a listed model, or a name that is on no list. */
	model: string | null;
	modelProvider: string | null;
	reasoningEffort: string | null;
}>;

/** The configured model by Codex's own names or by ours; the rest of a configuration may hold secrets and is dropped here. */
export function toConfiguredModel(config: unknown): CodexConfiguredModel {
	const { model, ...rest } = isObject(config) ? config : {};
	return Object.freeze({
		model: toText(model),
		modelProvider: toText(rest.model_provider ?? rest.modelProvider),
		reasoningEffort: toText(rest.model_reasoning_effort ?? rest.reasoningEffort),
	});
}

/** The configured model and the files that a list was made from, by a `config/read` result with layers. */
export function readConfigAnswer(result: unknown) {
	const { config, layers } = isObject(result) ? result : {};
	const files = toObjects(layers).map(({ name, source }) => {
		// 0.66.0 has `name: 'user'` and `source: FILE` in place of an object.
		if (!isObject(name)) return source;
		const folder = toText(name.dotCodexFolder);
		return folder === null ? name.file : path.join(folder, 'config.toml');
	});
	// The catalogue of models that is in force.
	if (isObject(config)) files.push(config.model_catalog_json);
	const isFile = (file: unknown) => typeof file === 'string' && path.isAbsolute(file);
	return { configured: toConfiguredModel(config), files: files.filter(isFile) as string[] };
}
