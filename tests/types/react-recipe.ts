// The React recipe of the README, and the type of its result.
import { CodexModelCatalog } from 'codex-models';
import { expectTypeOf } from 'expect-type';
import { useSyncExternalStore } from 'react';

const catalog = new CodexModelCatalog();
catalog.read().catch(console.error); // the first fetch: `subscribe` and `peek` start none
const subscribe = (changed: () => void) => catalog.subscribe(changed);
export const useCodexModels = () => useSyncExternalStore(subscribe, () => catalog.peek());

expectTypeOf(useCodexModels).returns.toEqualTypeOf<ReturnType<CodexModelCatalog['peek']>>();
