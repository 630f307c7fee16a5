import type { CodexConfiguredModel, CodexModel } from './codex-model.js';
import type { FetchProgress } from './errors.js';
import type { Emit } from './events.js';

/** The list that a fetch is about; `key` tells the targets of one catalog apart. */
export type FetchTarget = {
	/** An absolute path. */
	readonly cwd: string;
	/** Whether `cwd` is the default: another directory may take its place if it cannot be entered. */
	readonly isDefaultCwd: boolean;
	/** The CODEX_HOME to set; `undefined`: Codex's own default. */
	readonly codexHome: string | undefined;
	readonly key: string;
};

/** Hashes of the inputs of a list, as far as files tell. */
export type Fingerprint = {
	/** The login that the list belongs to. */
	readonly account: string;
	/** `config.toml`, and the model catalogue that it names. */
	readonly configuration: string;
	/** The file of the command; `null` while a command that is a function was not called yet. */
	readonly command: string | null;
};

export type ModelListAnswer = { models: CodexModel[]; configured: CodexConfiguredModel };

/** One fetch under way: attempts with an app-server each, one after the other. */
export type Fetch = {
	/** Rejects with a `CodexModelsError`, or with the reason of an abort. */
	readonly answer: Promise<ModelListAnswer>;
	/** Settles after `answer`: after a failure when the last app-server and its process group are gone, else at once. */
	readonly nextMayStart: Promise<void>;
	readonly attempts: number;
	progress(): FetchProgress;
};

/** Starts a fetch. `signal` ends it, and its app-server without patience. */
export type FetchModels = (
	target: FetchTarget,
	context: { fingerprint: Fingerprint; signal: AbortSignal; emit: Emit },
) => Fetch;
