// Builds what `package.json` names: each `dist/x.js` of its exports and commands from `src/x.ts`.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';

const cwd = fileURLToPath(new URL('..', import.meta.url));
process.chdir(cwd);
const { version, bin, dependencies, exports } = JSON.parse(readFileSync('package.json', 'utf8'));

const options = {
	cwd,
	platform: 'node',
	transform: { target: 'node20.17', define: { PACKAGE_VERSION: JSON.stringify(version) } },
};

const toName = (file) => path.relative('dist', file).slice(0, -'.js'.length);
const toInput = (names) => Object.fromEntries(names.map((name) => [name, `src/${name}.ts`]));

/** The code keeps its doc comments and names, so that it reads well in an editor and in a stack. */
async function buildLibrary(names) {
	const bundle = await rolldown({
		...options,
		input: toInput(names),
		external: Object.keys(dependencies).map((name) => new RegExp(`^${name}(?:/|$)`)),
	});
	await bundle.write({
		dir: 'dist',
		// With a hash, for an entry never runs with the chunk of another version while the package is being replaced.
		chunkFileNames: 'shared-[hash].js',
		minifyInternalExports: false,
	});
}

/** A single file starts 12 ms sooner than one that loads the library and its dependencies (Node 20). */
async function buildCommandLine(names) {
	const bundle = await rolldown({ ...options, input: toInput(names) });
	const { output } = await bundle.write({
		dir: 'dist',
		// Names stay, private ones as well: a stack reads like the source.
		minify: { mangle: false },
		comments: { legal: true, annotation: false, jsdoc: false },
	});
	return output.flatMap(({ moduleIds }) => moduleIds);
}

/** The licences of the packages that the command line contains. */
function writeLicences(modules) {
	const folders = modules.flatMap(
		(file) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file) ?? [],
	);
	const texts = [...new Set(folders)].sort().map((folder) => {
		const { name, version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
		const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
		if (!file) throw new Error(`${name} has no file with its licence`);
		return `${name} ${version}\n\n${readFileSync(path.join(folder, file), 'utf8').trim()}\n`;
	});
	const separator = `\n${'-'.repeat(80)}\n\n`;
	writeFileSync(
		'dist/third-party-licenses.txt',
		`The command line contains these packages.\n${separator}${texts.join(separator)}`,
	);
}

/** One file for each entry, without what is `@internal`. A reference brings in the types of `await using`. */
async function buildDeclarations(name) {
	const bundle = await rollup({
		input: `src/${name}.ts`,
		plugins: [dts({ compilerOptions: { stripInternal: true } })],
	});
	await bundle.write({
		file: `dist/${name}.d.ts`,
		banner: '/// <reference lib="esnext.disposable" />',
	});
}

// The output of a source file that was deleted must not be published.
rmSync('dist', { recursive: true, force: true });
const entries = Object.values(exports).flatMap((entry) =>
	entry.default ? toName(entry.default) : [],
);
await buildLibrary(entries);
writeLicences(await buildCommandLine(Object.values(bin).map(toName)));
for (const entry of entries) await buildDeclarations(entry);
