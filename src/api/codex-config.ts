import path from 'node:path';
import { isObject, toObject, toObjects, toText } from './codex-model.js';

/** The choice of the user's configuration (`config.toml`, `-c` arguments); `null` where it names none. */
export type CodexConfiguredModel = Readonly<{
	/** The `id` or `model` of a listed model, or a name that is on no list. */
	model: string | null;
	modelProvider: string | null;
	reasoningEffort: string | null;
}>;

/** The configured model and the files that a list was made from, by a `config/read` result with layers. */
export function readConfigAnswer(result: unknown) {
	const { config, layers } = toObject(result);
	const files = toObjects(layers).map(({ name, source }) => {
		// 0.66.0 has `name: 'user'` and `source: FILE` in place of an object.
		if (!isObject(name)) return source;
		const folder = toText(name.dotCodexFolder);
		return folder === null ? name.file : path.join(folder, 'config.toml');
	});
	const known = toObject(config);
	// The catalogue of models that is in force.
	files.push(known.model_catalog_json);
	// By Codex's own names or, from a store, by ours. The rest of a configuration may hold secrets and is dropped here.
	const configured: CodexConfiguredModel = Object.freeze({
		model: toText(known.model),
		modelProvider: toText(known.model_provider ?? known.modelProvider),
		reasoningEffort: toText(known.model_reasoning_effort ?? known.reasoningEffort),
	});
	const isFile = (file: unknown) => typeof file === 'string' && path.isAbsolute(file);
	return { configured, files: files.filter(isFile) as string[] };
}
