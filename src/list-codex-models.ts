import { type CodexModel, type CodexModelSummary, toSummary } from './api/codex-model.js';
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

/** The summaries of the last list, which most calls get again. */
let last: { models?: readonly CodexModel[]; summaries: CodexModelSummary[] } = { summaries: [] };

/**
 * The models that a user of the Codex CLI can pick: the caller's own copy, from memory where there is one.
 *
 * @param options - what `CodexModelCatalog.list` takes; `true` asks for the hidden models, too.
 * @throws the same as `CodexModelCatalog.list`.
 */
export async function listCodexModels(
	options?: boolean | ListOptions,
): Promise<CodexModelSummary[]> {
	const models = await codexModels.list(
		typeof options === 'boolean' ? { includeHidden: options } : options,
	);
	if (last.models !== models) last = { models, summaries: models.map(toSummary) };
	return last.summaries.map(copySummary);
}

/** A literal that names every property is 20 to 50 times as fast as `structuredClone`, and most of the cost of a hit (Node 20). */
const copySummary = (summary: CodexModelSummary): CodexModelSummary => ({
	id: summary.id,
	displayName: summary.displayName,
	isDefault: summary.isDefault,
	defaultReasoningEffort: summary.defaultReasoningEffort,
	defaultServiceTier: summary.defaultServiceTier,
	supportedReasoningEfforts: summary.supportedReasoningEfforts?.slice(),
	serviceTiers: summary.serviceTiers?.slice(),
});
