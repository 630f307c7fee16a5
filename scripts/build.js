// Builds `dist`: declarations by tsc, the library and the bundled command line by esbuild.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

// The output of a source file that was deleted must not be published.
rmSync(`${root}/dist`, { recursive: true, force: true });

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
	cwd: root,
	stdio: 'inherit',
});

const options = {
	absWorkingDir: root,
	bundle: true,
	platform: 'node',
	format: 'esm',
	target: 'node20.17',
	logLevel: 'warning',
	outdir: 'dist',
	outbase: 'src',
	define: { PACKAGE_VERSION: JSON.stringify(version) },
};
await build({
	...options,
	entryPoints: ['src/index.ts', 'src/store/file-store.ts', 'src/testing/index.ts'],
	splitting: true,
	packages: 'external',
});
await build({ ...options, entryPoints: ['src/cli/command-line.ts'] });
