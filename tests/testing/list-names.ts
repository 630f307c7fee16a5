import type { CodexModelCatalog } from 'codex-models';

/** The code of a consumer, which `consumer-example.test.ts` tests. */
export const listNames = async (catalog: CodexModelCatalog) =>
	(await catalog.list()).map(({ displayName }) => displayName);
