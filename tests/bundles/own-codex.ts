// A program that is its own scripted Codex, where it is compiled into one executable.
import { CodexModelCatalog } from 'codex-models';
import { modelEntry, scriptedCodex } from 'codex-models/testing';

const codex = await scriptedCodex({ models: [modelEntry({ id: 'a' })] });
const catalog = new CodexModelCatalog({ ...codex.options });
const ids = (await catalog.list()).map(({ id }) => id);
await catalog.close();
await codex.close();
console.log(JSON.stringify({ ids, starts: codex.starts }));
