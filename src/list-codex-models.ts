import type { CodexModelSummary } from './api/codex-model.js';
import type { ListOptions } from './api/options.js';
import { CodexModelCatalog } from './catalog.js';

/** The request of the function that `listCodexModels` replaces. */
export type ListCodexModelsRequest = { includeHidden?: boolean };

/** The response of the function that `listCodexModels` replaces. */
export type ListCodexModelsResponse = {
	success: boolean;
	models?: CodexModelSummary[];
	error?: string;
};

/** The catalog behind `listCodexModels`, with all defaults. */
export const codexModels = new CodexModelCatalog();

/**
 * The models that a user of the Codex CLI can pick: the caller's own copy, from memory where there is one.
 *
 * @param options - what `CodexModelCatalog.list` takes; `true` asks for the hidden models, too.
 * @throws the same as `CodexModelCatalog.list`.
 */
export function listCodexModels(options?: boolean | ListOptions): Promise<CodexModelSummary[]> {
	return codexModels.listSummaries(
		typeof options === 'boolean' ? { includeHidden: options } : options,
	);
}
