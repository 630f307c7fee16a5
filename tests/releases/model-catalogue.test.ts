import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { idsOf, makeDirectory, until } from '../harness.js';
import { decideCell, makeHome, makeReleaseCatalog, releases } from './release-harness.js';
import { isAtLeast } from './versions.js';

/** A catalogue of one model, as `model_catalog_json` names it. */
const makeCatalogue = (slug: string) =>
	JSON.stringify({
		models: [
			{
				slug,
				display_name: slug,
				description: 'd',
				supported_reasoning_levels: [{ effort: 'low', description: 'l' }],
				default_reasoning_level: 'low',
				shell_type: 'shell_command',
				visibility: 'list',
				supported_in_api: true,
				priority: 1,
				base_instructions: 'b',
				supports_reasoning_summaries: false,
				support_verbosity: false,
				truncation_policy: { mode: 'bytes', limit: 10_000 },
				supports_parallel_tool_calls: false,
				experimental_supported_tools: [],
			},
		],
	});

/** The ways in which `config.toml` can name the catalogue of a home, and of a user's home. */
const namings: [how: string, toName: (file: string) => string][] = [
	['an absolute path', (file) => file],
	['a path below CODEX_HOME', (file) => path.basename(file)],
	["a path below the user's home", (file) => `~/${path.basename(file)}`],
];

const readers = releases.filter(({ version }) => isAtLeast(version, '0.105.0'));

test.each(
	readers.flatMap((release) =>
		namings.map(([how, toName]) => ({ version: release.version, release, how, toName })),
	),
)(
	'$version: a change of the catalogue that config.toml names by $how makes the list stale, and the next list is the new one',
	async ({ release, toName }) => {
		decideCell(release, 'catalogue');
		const codexHome = makeDirectory();
		const file = path.join(codexHome, 'catalogue.json');
		writeFileSync(file, makeCatalogue('first'));
		writeFileSync(
			path.join(codexHome, 'config.toml'),
			`model_catalog_json = ${JSON.stringify(toName(file))}\n`,
		);
		const { catalog, events } = makeReleaseCatalog(release, {
			codexHome,
			env: { HOME: codexHome },
		});
		expect(idsOf(await catalog.list())).toEqual(['first']);
		expect((await catalog.read()).isFresh).toBe(true);

		writeFileSync(file, makeCatalogue('second-with-a-longer-name'));
		// The files are looked at once a second.
		await until('the list is stale', () => {
			void catalog.list();
			return events.count('stale') > 0;
		});
		await events.nth('refreshed', 2);
		const { models, isFresh } = await catalog.read();
		expect(idsOf(models)).toEqual(['second-with-a-longer-name']);
		expect(isFresh).toBe(true);
		expect(events.count('spawned')).toBe(2);
	},
);

test.each(readers)(
	'$version: a catalogue that is missing at first is listed when it comes',
	async (release) => {
		decideCell(release, 'catalogue');
		const codexHome = makeHome({ 'config.toml': 'model_catalog_json = "catalogue.json"\n' });
		const { catalog, events } = makeReleaseCatalog(release, { codexHome });
		const builtIn = await catalog.list();
		expect(builtIn.length).toBeGreaterThan(1);
		writeFileSync(path.join(codexHome, 'catalogue.json'), makeCatalogue('mine'));
		await until('the list is stale', () => {
			void catalog.list();
			return events.count('stale') > 0;
		});
		await events.nth('refreshed', 2);
		expect(idsOf(await catalog.list())).toEqual(['mine']);
	},
);
