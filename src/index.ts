export type { CodexModel, CodexModelSummary } from './api/codex-model.js';
export { toCodexModel, toSummary } from './api/codex-model.js';
export { CodexModelsError, type CodexModelsErrorCode, type FetchPhase } from './api/errors.js';
export type { CatalogEvent } from './api/events.js';
export type { CatalogSnapshot, CatalogWarning, CodexConfiguredModel } from './api/model-list.js';
export type {
	ClientInfo,
	CodexModelCatalogOptions,
	FetchModels,
	ListOptions,
	ModelListStore,
	TargetOptions,
} from './api/options.js';
export { CodexModelCatalog, type ModelCatalog } from './catalog.js';
export type { ListCodexModelsRequest, ListCodexModelsResponse } from './list-codex-models.js';
export { codexModels, listCodexModels } from './list-codex-models.js';
