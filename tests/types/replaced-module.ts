// This file is compiled, not run: the exports of the module that docs/migrating.md replaces.

export type CodexModelSummary = {
	id: string;
	displayName: string;
	isDefault: boolean;
	defaultReasoningEffort?: string | null;
	defaultServiceTier?: string | null;
	supportedReasoningEfforts?: string[];
	serviceTiers?: string[];
};

export interface ListCodexModelsRequest {
	includeHidden?: boolean;
}

export interface ListCodexModelsResponse {
	success: boolean;
	models?: CodexModelSummary[];
	error?: string;
}

export declare function listCodexModels(includeHidden?: boolean): Promise<CodexModelSummary[]>;
