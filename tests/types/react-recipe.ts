// This file is compiled, not run: a catalog is an external store of React, without a copy beside it.
import { type CatalogSnapshot, CodexModelCatalog } from 'codex-models';
import { expectTypeOf } from 'expect-type';
import { useSyncExternalStore } from 'react';

const catalog = new CodexModelCatalog();
const subscribe = (changed: () => void) => catalog.subscribe(changed);
export const useCodexModels = () => useSyncExternalStore(subscribe, () => catalog.peek());

expectTypeOf(useCodexModels).returns.toEqualTypeOf<CatalogSnapshot | undefined>();
