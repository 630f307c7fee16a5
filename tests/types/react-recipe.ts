// The React recipe of the README, and the type of its result.
import { type CatalogSnapshot, CodexModelCatalog } from 'codex-models';
import { expectTypeOf } from 'expect-type';
import { useSyncExternalStore } from 'react';

const catalog = new CodexModelCatalog();
let state: { snapshot?: CatalogSnapshot; error?: Error } = {}; // The same object until a change, as React demands.
const getState = () => state;
const subscribe = (onChange: () => void) => {
	const update = (next: typeof state) => {
		state = next;
		onChange();
	};
	catalog.read().then(
		(snapshot) => update({ snapshot }),
		(error) => update({ error }),
	);
	return catalog.subscribe((snapshot) => update({ snapshot }));
};
export const useCodexModels = () => useSyncExternalStore(subscribe, getState);

expectTypeOf(useCodexModels).returns.toEqualTypeOf<{ snapshot?: CatalogSnapshot; error?: Error }>();
expectTypeOf(useCodexModels().snapshot?.configured.model).toEqualTypeOf<
	string | null | undefined
>();
