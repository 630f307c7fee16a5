export type { CodexConfiguredModel, CodexModel, CodexModelSummary } from './api/codex-model.js';
export { toSummary } from './api/codex-model.js';
export { CodexModelsError, type CodexModelsErrorCode, type FetchPhase } from './api/errors.js';
export type { CatalogEvent } from './api/events.js';
export type { ModelListStore } from './api/model-list-store.js';
export type {
	ClientInfo,
	CodexModelCatalogOptions,
	ListOptions,
	TargetOptions,
} from './api/options.js';
export type { CatalogSnapshot } from './cache/model-list.js';
export { CodexModelCatalog } from './catalog.js';
export type { ListCodexModelsRequest, ListCodexModelsResponse } from './list-codex-models.js';
export { codexModels, listCodexModels } from './list-codex-models.js';
