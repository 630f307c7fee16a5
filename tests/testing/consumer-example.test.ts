import { CodexModelCatalog } from 'codex-models';
import { modelEntry, scriptedCodex } from 'codex-models/testing';
import { expect, test } from 'vitest';
import { listNames } from './list-names.js'; // yours

test('the picker shows the names of the models', async () => {
	await using codex = await scriptedCodex({ models: [modelEntry({ id: 'a', displayName: 'A' })] });
	await using catalog = new CodexModelCatalog({ ...codex.options });
	expect(await listNames(catalog)).toEqual(['A']);
});
