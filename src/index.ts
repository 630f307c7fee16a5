export { type CatalogSnapshot, CodexModelCatalog } from './catalog.js';
export { CodexModelsError, type CodexModelsErrorCode, type FetchPhase } from './errors.js';
export type { CatalogEvent } from './events.js';
export {
	codexModels,
	type ListCodexModelsRequest,
	type ListCodexModelsResponse,
	listCodexModels,
} from './list-codex-models.js';
export { type CodexModel, type CodexModelSummary, toSummary } from './model.js';
export type { ClientInfo, CodexModelCatalogOptions, ListOptions } from './options.js';
export type { ModelListStore } from './store.js';
