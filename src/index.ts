export type { CatalogSnapshot } from './cache/model-list.js';
export { CodexModelCatalog } from './catalog.js';
export {
	type CodexConfiguredModel,
	type CodexModel,
	type CodexModelSummary,
	toSummary,
} from './core/codex-model.js';
export { CodexModelsError, type CodexModelsErrorCode, type FetchPhase } from './core/errors.js';
export type { CatalogEvent } from './core/events.js';
export type { ModelListStore } from './core/model-list-store.js';
export type { ClientInfo, CodexModelCatalogOptions, ListOptions, TargetOptions } from './core/options.js';
export {
	codexModels,
	type ListCodexModelsRequest,
	type ListCodexModelsResponse,
	listCodexModels,
} from './list-codex-models.js';
