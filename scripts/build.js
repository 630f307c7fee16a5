// Builds what `package.json` names: each `dist/x.js` of its exports and commands from `src/x.ts`.
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';

const cwd = fileURLToPath(new URL('..', import.meta.url));
process.chdir(cwd);
const { version, bin, dependencies, exports } = JSON.parse(readFileSync('package.json', 'utf8'));

const toName = (file) => path.relative('dist', file).slice(0, -'.js'.length);

/**
 * The code keeps its doc comments and names, so that it reads well in an editor and in a stack. The command line shares the
 * files of the library: one file for all that it loads starts 12 ms sooner (Node 20), and takes 100 kB.
 */
async function buildCode(names) {
	const bundle = await rolldown({
		cwd,
		platform: 'node',
		transform: { target: 'node20.17', define: { PACKAGE_VERSION: JSON.stringify(version) } },
		input: Object.fromEntries(names.map((name) => [name, `src/${name}.ts`])),
		external: Object.keys(dependencies).map((name) => new RegExp(`^${name}(?:/|$)`)),
	});
	await bundle.write({
		dir: 'dist',
		// With a hash, for an entry never runs with the chunk of another version while the package is being replaced.
		chunkFileNames: 'shared-[hash].js',
		minifyInternalExports: false,
	});
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
await buildCode([...entries, ...Object.values(bin).map(toName)]);
for (const entry of entries) await buildDeclarations(entry);
