// This file is compiled, not run, by types.test.ts: the declarations as users of every supported TypeScript see them.
import {
	type CatalogEvent,
	type CatalogSnapshot,
	type CodexConfiguredModel,
	type CodexModel,
	CodexModelCatalog,
	type CodexModelCatalogOptions,
	type CodexModelSummary,
	CodexModelsError,
	codexModels,
	type ListCodexModelsRequest,
	type ListCodexModelsResponse,
	type ListOptions,
	listCodexModels,
	type ModelListStore,
	toSummary,
} from 'codex-models';
import { fileStore } from 'codex-models/file-store';
import { expectTypeOf } from 'expect-type';

// The type that the replaced module exported.
type OldSummary = {
	id: string;
	displayName: string;
	isDefault: boolean;
	defaultReasoningEffort?: string | null;
	defaultServiceTier?: string | null;
	supportedReasoningEfforts?: string[];
	serviceTiers?: string[];
};

expectTypeOf<CodexModelSummary>().toEqualTypeOf<OldSummary>();
expectTypeOf<CodexModelSummary[]>().toMatchTypeOf<OldSummary[]>();
expectTypeOf(listCodexModels()).toEqualTypeOf<Promise<CodexModelSummary[]>>();
expectTypeOf(listCodexModels(true)).toEqualTypeOf<Promise<CodexModelSummary[]>>();
expectTypeOf(
	listCodexModels({ deadlineMs: 5_000, refresh: true, signal: new AbortController().signal }),
).resolves.toEqualTypeOf<CodexModelSummary[]>();
expectTypeOf<ListCodexModelsRequest>().toEqualTypeOf<{ includeHidden?: boolean }>();
expectTypeOf<ListCodexModelsResponse>().toEqualTypeOf<{
	success: boolean;
	models?: CodexModelSummary[];
	error?: string;
}>();
expectTypeOf(codexModels).toEqualTypeOf<CodexModelCatalog>();
expectTypeOf(toSummary).toEqualTypeOf<(model: CodexModel) => CodexModelSummary>();

expectTypeOf(codexModels.list({ includeHidden: true })).toEqualTypeOf<Promise<CodexModel[]>>();
expectTypeOf(codexModels.peek()).toEqualTypeOf<CatalogSnapshot | undefined>();
expectTypeOf<CatalogSnapshot>().toEqualTypeOf<{
	models: CodexModel[];
	fetchedAt: number;
	isFresh: boolean;
	configured: CodexConfiguredModel;
	refreshError: CodexModelsError | null;
}>();
expectTypeOf(codexModels.read()).toEqualTypeOf<Promise<CatalogSnapshot>>();
expectTypeOf(codexModels.subscribe(() => {}, { includeHidden: true })).toEqualTypeOf<() => void>();
expectTypeOf<CodexConfiguredModel>().toEqualTypeOf<{
	model: string | null;
	modelProvider: string | null;
	reasoningEffort: string | null;
}>();
expectTypeOf(codexModels.close()).toEqualTypeOf<Promise<void>>();

// Options may be undefined by value: `exactOptionalPropertyTypes` asks no more of a caller than `undefined` does.
const options: CodexModelCatalogOptions = {
	command: process.env.MY_TOOL_CODEX_PATH,
	args: ['app-server'] as const,
	env: process.env,
	clientInfo: { name: 'my-tool', version: '1.0.0' },
	deadlineMs: undefined,
	store: fileStore(),
	onEvent(event) {
		expectTypeOf(event).toEqualTypeOf<CatalogEvent>();
		if (event.type === 'failed') expectTypeOf(event.error).toEqualTypeOf<CodexModelsError>();
		if (event.type === 'spawned') expectTypeOf(event.pid).toBeNumber();
	},
};
expectTypeOf(new CodexModelCatalog(options)).toEqualTypeOf<CodexModelCatalog>();
expectTypeOf<Map<string, unknown>>().toMatchTypeOf<ModelListStore>();
expectTypeOf<{ cwd: string; codexHome: string }>().toMatchTypeOf<ListOptions>();

export async function use(): Promise<string> {
	await using catalog = new CodexModelCatalog();
	try {
		const [model] = await catalog.list();
		return model?.supportedReasoningEfforts[0]?.effort ?? 'none';
	} catch (error) {
		if (!(error instanceof CodexModelsError)) throw error;
		expectTypeOf(error.code).toEqualTypeOf<
			| 'ERR_CODEX_NOT_FOUND'
			| 'ERR_CODEX_EXITED'
			| 'ERR_CODEX_TIMEOUT'
			| 'ERR_CODEX_RPC'
			| 'ERR_CODEX_PROTOCOL'
			| 'ERR_CODEX_CLOSED'
		>();
		expectTypeOf(error.hint).toEqualTypeOf<string | undefined>();
		return `${error.message} ${error.exitCode} ${error.phase} ${error.stderr} ${error.rpcCode} ${error.timeoutMs}`;
	}
}

// @ts-expect-error - a list is asked for with a boolean or an object
listCodexModels('hidden');
// @ts-expect-error - durations are numbers
new CodexModelCatalog({ deadlineMs: '5s' });
// @ts-expect-error - no such option
new CodexModelCatalog({ deadline: 5_000 });
