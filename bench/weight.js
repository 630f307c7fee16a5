// 6. What it weighs.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { weighEntry } from './entry.js';
import { hand, interleave, makeDirectory, median, run, sizeOf } from './measure.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const entry = path.join(root, 'dist', 'index.js');

const weights = await weighEntry(entry);

// As a user installs it.
const folder = makeDirectory();
const npm = (args, cwd) =>
	run('npm', [...args, '--loglevel=error'], { cwd, shell: process.platform === 'win32' });
const [{ filename }] = JSON.parse(
	await npm(['pack', '--json', '--ignore-scripts', `--pack-destination=${folder}`], root),
);
writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
const quietly = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
await npm(['install', ...quietly, path.join(folder, filename)], folder);

const modules = path.join(folder, 'node_modules');
const packages = readdirSync(modules)
	.filter((name) => !name.startsWith('.'))
	.flatMap((name) =>
		name.startsWith('@') ? readdirSync(path.join(modules, name)).map((part) => `${name}/${part}`) : name,
	)
	.map((name) => ({ name, bytes: sizeOf(path.join(modules, name)) }))
	.sort((a, b) => b.bytes - a.bytes);

// The time of an import in a process that has just started.
const importTime = async (file) => {
	const source = `
		const startedAt = performance.now();
		await import(${JSON.stringify(pathToFileURL(file).href)});
		process.stdout.write(String(performance.now() - startedAt));`;
	return Number(await run(process.execPath, ['--input-type=module', '-e', source]));
};
const empty = path.join(folder, 'empty.mjs');
writeFileSync(empty, '');
const imports = await interleave(15, {
	entry: () => importTime(path.join(modules, 'codex-models', 'dist', 'index.js')),
	empty: () => importTime(empty),
});

hand({
	...weights,
	packages,
	installedBytes: packages.reduce((sum, { bytes }) => sum + bytes, 0),
	tarballBytes: readFileSync(path.join(folder, filename)).length,
	importMs: median(imports.entry),
	leastImportMs: Math.min(...imports.entry),
	emptyMs: median(imports.empty),
});
