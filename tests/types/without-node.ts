// This file is compiled, not run, by types.test.ts: the declarations for a consumer without the types of Node.
import {
	type CatalogEvent,
	CodexModelCatalog,
	type CodexModelCatalogOptions,
	type CodexModelsError,
	type ListOptions,
} from 'codex-models';
import { fileStore } from 'codex-models/file-store';

type Exit = Extract<CatalogEvent, { type: 'exited' }>;

// A type that cannot be found takes every value.
// @ts-expect-error - the variables have names
export const env: CodexModelCatalogOptions['env'] = 5;
// @ts-expect-error - a signal is an object
export const signal: ListOptions['signal'] = 5;
// @ts-expect-error - the signal of a process is a name
export const ofError: CodexModelsError['signal'] = 5;
// @ts-expect-error - the signal of a process is a name
export const ofEvent: Exit['signal'] = 5;

export async function use(): Promise<string[]> {
	await using catalog = new CodexModelCatalog({ store: fileStore() });
	return (await catalog.list()).map(({ id }) => id);
}
