// This file is compiled, not run, by types.test.ts: the declarations as users of every supported TypeScript see them.
import type * as api from 'codex-models';
import {
	CodexModelCatalog,
	CodexModelsError,
	codexModels,
	listCodexModels,
	toCodexModel,
	toSummary,
} from 'codex-models';
import { type FileStoreOptions, fileStore } from 'codex-models/file-store';
import { type CodexScript, modelEntry, scriptedCodex } from 'codex-models/testing';
import { expectTypeOf } from 'expect-type';
import type * as replaced from './replaced-module.js';

expectTypeOf<api.CodexModelSummary>().toEqualTypeOf<replaced.CodexModelSummary>();
expectTypeOf<api.ListCodexModelsRequest>().toEqualTypeOf<replaced.ListCodexModelsRequest>();
expectTypeOf<api.ListCodexModelsResponse>().toEqualTypeOf<replaced.ListCodexModelsResponse>();
expectTypeOf(listCodexModels).toMatchTypeOf<typeof replaced.listCodexModels>();
expectTypeOf(listCodexModels(true)).toEqualTypeOf<Promise<api.CodexModelSummary[]>>();
listCodexModels({ deadlineMs: 5_000, refresh: true, signal: AbortSignal.abort() });
expectTypeOf(codexModels).toEqualTypeOf<CodexModelCatalog>();
expectTypeOf(toSummary).toEqualTypeOf<(model: api.CodexModel) => api.CodexModelSummary>();
expectTypeOf(toCodexModel).toEqualTypeOf<(entry: unknown) => api.CodexModel | undefined>();

expectTypeOf(codexModels.list({ includeHidden: true })).resolves.toEqualTypeOf<
	readonly api.CodexModel[]
>();
expectTypeOf(codexModels.read()).resolves.toEqualTypeOf<api.CatalogSnapshot>();
expectTypeOf(codexModels.peek).parameter(0).toEqualTypeOf<api.TargetOptions | undefined>();
expectTypeOf(codexModels.peek()).toEqualTypeOf<api.CatalogSnapshot | undefined>();
const unsubscribe = codexModels.subscribe(
	(next) => expectTypeOf(next).toEqualTypeOf<api.CatalogSnapshot | undefined>(),
	{ includeHidden: true },
);
expectTypeOf(unsubscribe).toEqualTypeOf<() => void>();
expectTypeOf<api.CatalogSnapshot>().toEqualTypeOf<{
	readonly models: readonly api.CodexModel[];
	readonly fetchedAt: number;
	readonly isFresh: boolean;
	readonly configured: api.CodexConfiguredModel;
	readonly warnings: readonly api.CatalogWarning[];
	readonly refreshError: CodexModelsError | null;
}>();
expectTypeOf<api.CatalogWarning['type']>().toEqualTypeOf<'config-ignored' | 'built-in-list'>();
expectTypeOf<api.CodexConfiguredModel['model']>().toEqualTypeOf<string | null>();
expectTypeOf<api.CodexModel['supportedReasoningEfforts']>().toEqualTypeOf<
	readonly { readonly reasoningEffort: string; readonly description: string | null }[]
>();

// Options may be undefined by value: `exactOptionalPropertyTypes` asks no more of a caller than `undefined` does.
const clientInfo: api.ClientInfo = { name: 'my-tool', version: '1.0.0' };
const options: api.CodexModelCatalogOptions = {
	command: process.env.MY_TOOL_CODEX_PATH,
	args: ['app-server'] as const,
	env: process.env,
	clientInfo,
	deadlineMs: undefined,
	store: fileStore({ directory: undefined } satisfies FileStoreOptions),
	onEvent(event) {
		expectTypeOf(event).toEqualTypeOf<api.CatalogEvent>();
		if (event.type === 'failed') expectTypeOf(event.error).toEqualTypeOf<CodexModelsError>();
		if (event.type === 'spawned') expectTypeOf(event.pid).toBeNumber();
	},
};
expectTypeOf(new CodexModelCatalog(options)).toEqualTypeOf<CodexModelCatalog>();
expectTypeOf<Map<string, unknown>>().toMatchTypeOf<api.ModelListStore>();
expectTypeOf<{ cwd: string; codexHome: string }>().toMatchTypeOf<api.ListOptions>();

// A host that asks an app-server of its own.
const fetchModels: api.FetchModels = async ({ cwd, codexHome, signal: ended }) => {
	expectTypeOf(cwd).toBeString();
	expectTypeOf(codexHome).toEqualTypeOf<string | undefined>();
	ended.throwIfAborted();
	return { models: [modelEntry({ id: 'a' })], config: {}, warnings: [] };
};
new CodexModelCatalog({ fetchModels });

// A stand-in for a catalog, without a class.
const snapshot: api.CatalogSnapshot = {
	models: [modelEntry({ isDefault: true })],
	fetchedAt: 0,
	isFresh: true,
	configured: { model: null, modelProvider: null, reasoningEffort: null },
	warnings: [],
	refreshError: null,
};
export const standIn: api.ModelCatalog = {
	list: async () => snapshot.models,
	read: async () => snapshot,
	peek: () => snapshot,
	subscribe: () => () => {},
	clear() {},
	close: async () => {},
};
expectTypeOf<CodexModelCatalog>().toMatchTypeOf<api.ModelCatalog>();

const script: CodexScript = { models: [modelEntry()], delayMs: 1, error: { code: 1, message: '' } };
export async function useScript(): Promise<number> {
	await using codex = await scriptedCodex(script);
	await using catalog = new CodexModelCatalog({ ...codex.options });
	await catalog.list();
	await codex.script({ exitCode: 1, stderr: 'Error: no', hangs: false, config: { model: 'a' } });
	return codex.starts;
}

export async function use(): Promise<string> {
	try {
		const [model] = await codexModels.list();
		return model?.supportedReasoningEfforts[0]?.reasoningEffort ?? 'none';
	} catch (error) {
		if (!(error instanceof CodexModelsError)) throw error;
		expectTypeOf(error.code).toEqualTypeOf<api.CodexModelsErrorCode>();
		expectTypeOf(error.hint).toEqualTypeOf<string | undefined>();
		expectTypeOf(error.phase).toEqualTypeOf<api.FetchPhase | undefined>();
		expectTypeOf(error.toJSON()).toEqualTypeOf<Record<string, unknown>>();
		return `${error.message} ${error.exitCode} ${error.stderr} ${error.rpcCode} ${error.timeoutMs}`;
	}
}
type Kind =
	| 'NOT_FOUND'
	| 'EXITED'
	| 'TIMEOUT'
	| 'RPC'
	| 'PROTOCOL'
	| 'FALLBACK'
	| 'FETCH'
	| 'CLOSED';
expectTypeOf<api.CodexModelsErrorCode>().toEqualTypeOf<`ERR_CODEX_${Kind}`>();

// @ts-expect-error - a list is asked for with a boolean or an object
listCodexModels('hidden');
// @ts-expect-error - no such option
new CodexModelCatalog({ deadline: 5_000 });
// @ts-expect-error - snapshots are shared
snapshot.models.push(modelEntry());
// @ts-expect-error - snapshots are shared
if (snapshot.models[0]) snapshot.models[0].id = 'b';
// @ts-expect-error - no such property of a script
scriptedCodex({ delay: 5 });
