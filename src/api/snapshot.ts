import type { CodexModel } from './codex-model.js';
import type { CodexModelsError } from './errors.js';
import type { CatalogWarning, CodexConfiguredModel } from './fetch.js';

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
