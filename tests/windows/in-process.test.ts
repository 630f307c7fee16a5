import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { installForWindows } from './install.js';
import { exclude, include } from './portable-tests.js';
import { drive, runNode, toWindows } from './wine.js';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Keeps the modules for the next run. */
const folder = path.join(drive, 'in-process');

/** Installs what the tests import, built for Windows, unless the folder has the same versions. */
function installModules(): void {
	const manifest = readFileSync(path.join(project, 'package.json'), 'utf8');
	const { dependencies, devDependencies } = JSON.parse(manifest);
	const { vitest, 'fast-check': fastCheck } = devDependencies;
	const all = JSON.stringify({ ...dependencies, vitest, 'fast-check': fastCheck });
	const keyFile = path.join(folder, 'complete');
	if (existsSync(keyFile) && readFileSync(keyFile, 'utf8') === all) return;
	rmSync(folder, { recursive: true, force: true });
	mkdirSync(folder, { recursive: true });
	writeFileSync(path.join(folder, 'package.json'), `{ "private": true, "dependencies": ${all} }`);
	installForWindows(folder);
	writeFileSync(keyFile, all);
}

test('the tests without processes pass on Node for Windows', { timeout: 300_000 }, async () => {
	installModules();
	for (const name of ['src', 'tests', 'package.json', 'tsconfig.json']) {
		rmSync(path.join(folder, name), { recursive: true, force: true });
		cpSync(path.join(project, name), path.join(folder, name), { recursive: true });
	}
	// Under Wine 8 a process of vitest's pool sometimes fails to start (spawn UNKNOWN): threads take its place.
	const define = { PACKAGE_VERSION: '"0.0.0"' };
	const config = {
		define,
		test: {
			include,
			exclude,
			setupFiles: ['tests/setup.ts'],
			pool: 'threads',
			maxWorkers: 2,
			testTimeout: 60_000,
		},
	};
	writeFileSync(
		path.join(folder, 'vitest.config.mjs'),
		`export default ${JSON.stringify(config)};\n`,
	);

	const vitest = `${toWindows(folder)}\\node_modules\\vitest\\vitest.mjs`;
	const { exitCode, output } = await runNode([vitest, 'run', '--no-color'], {
		cwd: folder,
		limitMs: 280_000,
	});

	// The report of the inner run is all that tells a failure.
	if (exitCode !== 0) throw new Error(output);
	expect(output).toMatch(/Tests +\d+ passed/);
});
