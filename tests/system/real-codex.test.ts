import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { idsOf, makeCatalog, makeDirectory, realCodex } from '../harness.js';
import { serverModel } from '../releases/model-server.js';

// The suite with real releases compares the lists of Codex with those of a bare conversation.

/** A catalog of the real Codex, with a new CODEX_HOME that holds this configuration. */
function makeRealCatalog(options: CodexModelCatalogOptions = {}, config = '') {
	const codexHome = makeDirectory();
	writeFileSync(path.join(codexHome, 'config.toml'), config);
	return makeCatalog({ command: realCodex, codexHome, deadlineMs: 25_000, retries: 0, ...options });
}

/** The same with a catalogue of these models: the properties in which each differs from a plain one. */
function makeRealCatalogOf(entries: Record<string, unknown>[]) {
	const models = entries.map((entry, index) => ({
		...serverModel(`model-${index}`, index),
		...entry,
	}));
	const file = path.join(makeDirectory(), 'catalogue.json');
	writeFileSync(file, JSON.stringify({ models }));
	return makeRealCatalog({}, `model_catalog_json = ${JSON.stringify(file)}\n`);
}

test('the default arguments do not change the list', async () => {
	const { catalog } = makeRealCatalog();
	const plain = makeRealCatalog({ args: ['app-server'] });
	const models = await catalog.list({ includeHidden: true });
	expect(models.length).toBeGreaterThan(1);
	expect(models).toEqual(await plain.catalog.list({ includeHidden: true }));
});

test("a list of the user's own comes in its order, with its hidden models and its default", async () => {
	const { catalog } = makeRealCatalogOf([
		{ slug: 'last', priority: 9 },
		{ slug: 'hidden', priority: 1, visibility: 'hide' },
		{ slug: 'first', priority: 2 },
		{ slug: 'unlisted', priority: 3, visibility: 'none' },
	]);
	const visible = await catalog.list();
	expect(idsOf(visible)).toEqual(['first', 'last']);
	expect(visible.map(({ isDefault }) => isDefault)).toEqual([true, false]);
	const all = await catalog.list({ includeHidden: true });
	expect(idsOf(all)).toEqual(['hidden', 'first', 'unlisted', 'last']);
	expect(all.map(({ hidden }) => hidden)).toEqual([true, false, true, false]);
});

test('a name comes without the white space around it, and a description as it is', async () => {
	const texts = [
		'😀 emoji 👩‍👩‍👧',
		'two\nlines\r\n',
		'line\u2028separator',
		'\u2029 paragraph',
		'nul\u0000byte',
		'x'.repeat(200_000),
	];
	const entries = texts.map((text) => ({ display_name: text, description: text }));
	const models = await makeRealCatalogOf(entries).catalog.list();
	expect(models.map(({ displayName }) => displayName)).toEqual(texts.map((text) => text.trim()));
	expect(models.map(({ description }) => description)).toEqual(texts);
});

test('three thousand models come in order, and a slug that is there twice comes twice', async () => {
	const entries = Array.from({ length: 3_000 }, (_, index) => ({ slug: `model-${index % 2_999}` }));
	const models = await makeRealCatalogOf(entries).catalog.list();
	expect(idsOf(models)).toEqual(entries.map(({ slug }) => slug));
});
