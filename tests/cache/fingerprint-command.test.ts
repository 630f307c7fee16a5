import { chmodSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { CommandSource, resolveSettings } from '../../src/api/settings.js';
import { readFingerprint } from '../../src/cache/fingerprint.js';
import { makeDirectory } from './cache-harness.js';

/** The functions that read the fingerprint of a directory of its own, which is the CODEX_HOME, too. */
function makeReader(options: CodexModelCatalogOptions = {}) {
	const directory = makeDirectory();
	const settings = resolveSettings(options);
	const command = new CommandSource(settings.command);
	const target = { cwd: '/', isDefaultCwd: true, codexHome: directory, key: '' };
	const read = () => readFingerprint(target, settings, command);
	return {
		directory,
		command,
		readCommand: async () => (await read()).command,
		readConfiguration: async () => (await read()).configuration,
	};
}

function writeProgram(...parts: string[]): string {
	const file = path.join(...parts);
	mkdirSync(path.dirname(file), { recursive: true });
	writeFileSync(file, '#!/bin/sh\n');
	chmodSync(file, 0o755);
	utimesSync(file, 2, 2);
	return file;
}

const replacements: [
	change: string,
	replace: (link: string, one: string, other: string) => void,
][] = [
	[
		'another target',
		(link, _, other) => {
			rmSync(link);
			symlinkSync(other, link);
		},
	],
	['another size', (_, one) => writeFileSync(one, '# more\n', { flag: 'a' })],
	['another time', (_, one) => utimesSync(one, 1, 1)],
	['no file', (link) => rmSync(link)],
	['no permission', (_, one) => chmodSync(one, 0o644)],
];

test.each(replacements)('a command on PATH with %s is another command', async (_, replace) => {
	const folder = makeDirectory();
	const one = writeProgram(folder, 'one', 'codex');
	const other = writeProgram(folder, 'other', 'codex');
	const link = path.join(folder, 'codex');
	symlinkSync(one, link);
	const { readCommand } = makeReader({ env: { PATH: folder } });
	const first = await readCommand();
	expect(first).toMatch(/^[\da-f]{32}$/);
	expect(await readCommand()).toBe(first);
	replace(link, one, other);
	expect(await readCommand()).not.toBe(first);
});

test('a program that comes earlier on PATH is another command', async () => {
	const [first, second] = [makeDirectory(), makeDirectory()];
	writeProgram(second, 'codex');
	const { readCommand } = makeReader();
	vi.stubEnv('PATH', `${first}${path.delimiter}${second}`);
	const before = await readCommand();
	writeProgram(first, 'codex');
	expect(await readCommand()).not.toBe(before);
});

test('a command that is not there is "none", and no failure', async () => {
	const missing = makeReader({ command: '/nowhere/at/all' });
	expect(await missing.readCommand()).toBe('none');
	const unknown = makeReader({ env: { PATH: '' } });
	expect(await unknown.readCommand()).toBe('none');
});

test('a command that is a function is unknown until it was called, and then the file that it returned', async () => {
	const file = writeProgram(makeDirectory(), 'codex');
	const { command, readCommand } = makeReader({ command: async () => file });
	expect(await readCommand()).toBeNull();
	await command.resolve();
	const first = await readCommand();
	expect(first).toBe(await makeReader({ command: file }).readCommand());
	utimesSync(file, 1, 1);
	expect(await readCommand()).not.toBe(first);
});

test('a change of the file that model_catalog_json names is another configuration', async () => {
	const { directory, readConfiguration } = makeReader();
	const catalogue = path.join(directory, 'models.json');
	const configure = (file: string) =>
		writeFileSync(
			path.join(directory, 'config.toml'),
			`model_catalog_json = ${JSON.stringify(file)}\n`,
		);
	configure('models.json');
	const without = await readConfiguration();
	writeFileSync(catalogue, '{}');
	const first = await readConfiguration();
	expect(first).not.toBe(without);
	expect(await readConfiguration()).toBe(first);
	writeFileSync(catalogue, '{"models":[]}');
	const second = await readConfiguration();
	expect(second).not.toBe(first);
	rmSync(catalogue);
	expect(await readConfiguration()).toBe(without);
	// An absolute path counts as it is.
	const elsewhere = path.join(makeDirectory(), 'models.json');
	configure(elsewhere);
	const absolute = await readConfiguration();
	writeFileSync(elsewhere, '{}');
	expect(await readConfiguration()).not.toBe(absolute);
});

test('the model catalogue of the chosen profile counts, else that of the whole configuration', async () => {
	const { directory, readConfiguration } = makeReader();
	const write = (name: string, text: string) => writeFileSync(path.join(directory, name), text);
	const changes = async (name: string) => {
		write(name, 'a');
		const before = await readConfiguration();
		write(name, 'ab');
		return (await readConfiguration()) !== before;
	};
	const profiles = '[profiles.one]\nmodel_catalog_json = "one.json"\n[profiles.two]\n';
	write('config.toml', `model_catalog_json = "all.json"\nprofile = "one"\n${profiles}`);
	expect([await changes('one.json'), await changes('all.json')]).toEqual([true, false]);
	for (const profile of ['two', 'three']) {
		write('config.toml', `model_catalog_json = "all.json"\nprofile = "${profile}"\n${profiles}`);
		expect([await changes('one.json'), await changes('all.json')]).toEqual([false, true]);
	}
});

test.each([
	'model_catalog_json = 7',
	'model_catalog_json = ""',
	'model_catalog_json = "/nowhere/at/all"',
	'[x',
])('a config.toml of %s is no failure', async (text) => {
	const { directory, readConfiguration } = makeReader();
	writeFileSync(path.join(directory, 'config.toml'), text);
	const first = await readConfiguration();
	expect(first).toMatch(/^[\da-f]{32}$/);
	expect(await readConfiguration()).toBe(first);
});

test('looks at one home at the same time agree', async () => {
	const { directory, readConfiguration } = makeReader();
	const file = path.join(directory, 'config.toml');
	for (let version = 0; version < 20; version++) {
		writeFileSync(file, `# ${'x'.repeat(version)}\n`);
		await Promise.all(Array.from({ length: 5 }, readConfiguration));
		const settled = await readConfiguration();
		expect(await Promise.all(Array.from({ length: 3 }, readConfiguration))).toEqual([
			settled,
			settled,
			settled,
		]);
	}
});
