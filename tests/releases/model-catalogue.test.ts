import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { idsOf, makeDirectory, until } from '../harness.js';
import { serverModel } from './model-server.js';
import {
	decideCell,
	makeHome,
	makeReleaseCatalog,
	type Release,
	releases,
	untilListed,
} from './release-harness.js';
import { isAtLeast } from './versions.js';

const writeCatalogue = (file: string, slug: string) =>
	writeFileSync(file, JSON.stringify({ models: [serverModel(slug)] }));
const toConfig = (name: string) => `model_catalog_json = ${JSON.stringify(name)}\n`;

/** A test with each release that reads a catalogue; a file without a test would fail for an older one. */
function testCatalogue(title: string, run: (release: Release) => Promise<void>) {
	test.for(releases)(`$version: ${title}`, async (release, { skip }) => {
		skip(!isAtLeast(release.version, '0.105.0'), 'This release reads no catalogue.');
		decideCell(release, 'catalogue');
		await run(release);
	});
}

/** The ways in which `config.toml` can name the catalogue of a home that is the user's own, too. */
const namings: [how: string, toName: (file: string) => string][] = [
	['an absolute path', (file) => file],
	['a path below CODEX_HOME', (file) => path.basename(file)],
	["a path below the user's home", (file) => `~/${path.basename(file)}`],
];

for (const [how, toName] of namings) {
	testCatalogue(
		`a change of the catalogue that config.toml names by ${how} brings the new list`,
		async (release) => {
			const codexHome = makeDirectory();
			const file = path.join(codexHome, 'catalogue.json');
			writeCatalogue(file, 'first');
			writeFileSync(path.join(codexHome, 'config.toml'), toConfig(toName(file)));
			const env = { HOME: codexHome };
			const { catalog, events } = makeReleaseCatalog(release, { codexHome, env });
			expect(idsOf(await catalog.list())).toEqual(['first']);
			expect((await catalog.read()).isFresh).toBe(true);
			writeCatalogue(file, 'second-with-a-longer-name');
			await untilListed(catalog, ['second-with-a-longer-name']);
			expect((await catalog.read()).isFresh).toBe(true);
			expect(events.count('spawned')).toBe(2);
		},
	);
}

testCatalogue(
	"a change of a trusted project's configuration, and of the catalogue that it names, makes the list stale",
	async (release) => {
		const cwd = makeDirectory();
		const catalogue = path.join(cwd, 'catalogue.json');
		const config = path.join(cwd, '.codex', 'config.toml');
		mkdirSync(path.dirname(config));
		writeFileSync(path.join(cwd, '.git'), '');
		writeFileSync(config, `model = "first"\n${toConfig(catalogue)}`);
		writeCatalogue(catalogue, 'first');
		const trust = `[projects.${JSON.stringify(cwd)}]\ntrust_level = "trusted"\n`;
		const codexHome = makeHome({ 'config.toml': trust });
		const { catalog } = makeReleaseCatalog(release, { codexHome, cwd });
		expect(idsOf(await catalog.list())).toEqual(['first']);
		expect(catalog.peek()?.isFresh).toBe(true);
		writeCatalogue(catalogue, 'second');
		await untilListed(catalog, ['second']);
		const text = readFileSync(config, 'utf8').replace('model = "first"', 'model = "mine"');
		writeFileSync(config, text);
		await until('the configured model is the new one', () => {
			void catalog.list();
			return catalog.peek()?.configured.model === 'mine';
		});
	},
);

testCatalogue(
	'a missing catalogue gives a list with a warning, also from the store',
	async (release) => {
		const codexHome = makeHome({ 'config.toml': toConfig('catalogue.json') });
		const store = new Map();
		const { catalog } = makeReleaseCatalog(release, { codexHome, store });
		const warnings = [{ type: 'config-ignored', message: expect.stringContaining('efaults') }];
		const { models, ...first } = await catalog.read();
		expect(models.length).toBeGreaterThan(1);
		expect(first.warnings).toEqual(warnings);
		expect((await catalog.read()).warnings).toEqual(warnings);
		const { catalog: other, events } = makeReleaseCatalog(release, { codexHome, store });
		expect((await other.read()).warnings).toEqual(warnings);
		expect(events.count('spawned')).toBe(0);
	},
);

test.each(releases)(
	'$version: another CODEX_HOME than ~/.codex gets nothing of ~/.codex with the default cwd',
	async (release) => {
		decideCell(release, 'configured');
		const home = makeDirectory();
		const work = path.join(home, '.codex-work');
		for (const folder of [path.join(home, '.codex'), work]) mkdirSync(folder);
		writeFileSync(path.join(home, '.codex', 'config.toml'), 'model = "of-the-default-home"\n');
		const trust = `[projects.${JSON.stringify(home)}]\ntrust_level = "trusted"\n`;
		writeFileSync(path.join(work, 'config.toml'), trust);
		const { catalog } = makeReleaseCatalog(release, { codexHome: work, env: { HOME: home } });
		expect((await catalog.read()).configured.model).toBeNull();
	},
);
