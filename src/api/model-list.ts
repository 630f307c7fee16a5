import path from 'node:path';
import { sanitizeLine } from '../system/sanitize.js';
import {
	type CodexModel,
	isObject,
	type Properties,
	toCodexModel,
	toObject,
	toObjects,
	toText,
} from './codex-model.js';
import type { CodexModelsError, FetchProgress } from './errors.js';
import type { EmitEvent } from './events.js';

/** The subject of a call. */
export type Target = Readonly<{
	/** Tells the targets of one catalog apart. */
	key: string;
	/** An absolute path. */
	cwd: string;
	/** The CODEX_HOME to set; `undefined`: Codex's own default. */
	codexHome: string | undefined;
	/** The CODEX_HOME in force, an absolute path. */
	home: string;
}>;

/** The choice of the user's configuration (`config.toml`, `-c` arguments); `null` where it names none. */
export type CodexConfiguredModel = Readonly<{
	/** The `id` or `model` of a listed model, or a name that is on no list. */
	model: string | null;
	modelProvider: string | null;
	reasoningEffort: string | null;
}>;

/** Words of Codex that make a list another one than the user expects. */
export type CatalogWarning = Readonly<{
	/**
	 * `config-ignored`: Codex could not read the configuration and used its defaults. `built-in-list`: Codex could not ask
	 * its server and answered with the models that are built into the program.
	 */
	type: 'config-ignored' | 'built-in-list';
	/** One line of text, sanitized. */
	message: string;
}>;

/** The longest text of a warning, in characters; those of Codex 0.169.0 have 300. */
export const maxWarningLength = 1_000;

function toWarning({ type, message }: Properties): CatalogWarning | [] {
	if (type !== 'config-ignored' && type !== 'built-in-list') return [];
	return Object.freeze({ type, message: sanitizeLine(String(message), maxWarningLength) });
}

/** Immutable. */
export type ModelListAnswer = {
	models: readonly CodexModel[];
	configured: CodexConfiguredModel;
	warnings: readonly CatalogWarning[];
	/** The configuration files that Codex names, and its catalogue of models. */
	files: readonly string[];
};

/**
 * A list of models, and where it stands. Shared by all callers and deep-frozen, `refreshError` excepted: the same object until
 * something in it changes.
 */
export type CatalogSnapshot = Readonly<{
	models: readonly CodexModel[];
	/** The time at which Codex answered, in epoch ms. */
	fetchedAt: number;
	/** Whether the list is younger than `maxAgeMs`, and nothing that it was made from has changed. */
	isFresh: boolean;
	/** The choice of the user's configuration; three `null`s where Codex does not tell. */
	configured: CodexConfiguredModel;
	/** Words of Codex that make this list another one than the user expects. */
	warnings: readonly CatalogWarning[];
	/** The reason why the last refresh after `fetchedAt` failed; `null` if none did. */
	refreshError: CodexModelsError | null;
}>;

/** Gets what `peek` gives now. */
export type SnapshotListener = (snapshot: CatalogSnapshot | undefined) => void;

/** Reads the entries of `model/list`, the result of `config/read`, and warnings, which may come from a host or a store. */
export function readAnswer(
	answer: Partial<Record<'models' | 'config' | 'warnings', unknown>>,
): ModelListAnswer {
	const { config, layers } = toObject(answer.config);
	const known = toObject(config);
	const files = toObjects(layers).map(({ name, source }) => {
		// 0.66.0 has `name: 'user'` and `source: FILE` in place of an object.
		if (!isObject(name)) return source;
		const folder = toText(name.dotCodexFolder);
		return folder === null ? name.file : path.join(folder, 'config.toml');
	});
	// The catalogue of models that is in force.
	files.push(known.model_catalog_json);
	return {
		models: Object.freeze(toObjects(answer.models).flatMap((entry) => toCodexModel(entry) ?? [])),
		// By Codex's own names or, from a store, by ours. The rest of a configuration may hold secrets and is dropped here.
		configured: Object.freeze({
			model: toText(known.model),
			modelProvider: toText(known.model_provider ?? known.modelProvider),
			reasoningEffort: toText(known.model_reasoning_effort ?? known.reasoningEffort),
		}),
		warnings: Object.freeze(toObjects(answer.warnings).flatMap(toWarning)),
		files: files.filter((file) => typeof file === 'string').filter(path.isAbsolute),
	};
}

export type FetchRequest = {
	target: Target;
	command: string;
	/** Tells what the list will be made from: a kept app-server that was started from something else is not asked. */
	inputs: string;
	/** Ends the fetch, and its app-server without patience. */
	signal: AbortSignal;
	emit: EmitEvent;
};

/** One fetch under way: attempts with an app-server each, one after the other; or one call of a function of the host. */
export type Fetch = {
	/** Rejects with a `CodexModelsError`, or with the reason of an abort. */
	answer: Promise<ModelListAnswer>;
	attempts: number;
	/** `undefined` before an app-server was started. */
	progress?(): FetchProgress | undefined;
	/** Ends the app-server, or keeps the one that has answered for a fetch from the same `inputs`. */
	release?(inputs?: string): void;
	/** Resolves when no app-server of this fetch is left that has not answered. */
	gone?: Promise<unknown>;
};

/** Fetches lists of models, and owns the app-servers for it. */
export type Fetcher = {
	/** The number of fetches that may be under way for one CODEX_HOME. */
	readonly maxAtOnce: number;
	startFetch(request: FetchRequest): Fetch;
	/** Ends the app-servers that are kept for a next fetch. */
	evictIdle?(): void;
	/** Ends every app-server fast; resolves when all are gone. */
	close?(): Promise<void>;
};
