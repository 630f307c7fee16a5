import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { hasPackage, installPackage } from '../../scripts/install-package.js';

const run = promisify(execFile);
const root = path.join(import.meta.dirname, '..', '..');

/** The compiler of that release, installed where git does not look: its `tsc` must not become the project's. */
async function installCompiler(version: string): Promise<string> {
	const folder = path.join(root, '.cache', 'typescript', version);
	await installPackage({
		folder,
		spec: `typescript@${version}`,
		isComplete: (candidate: string) => hasPackage(candidate, 'typescript', version),
	});
	return path.join(folder, 'node_modules', 'typescript', 'bin', 'tsc');
}

const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
const newest = path.join(path.dirname(manifest), 'bin', 'tsc');

const resolutions = { node16: 'node16', bundler: 'esnext' };

/** The complaints of a compiler about a file of this folder. */
async function compile(version: string, file: string, ...options: string[]): Promise<string> {
	const isNewest = version === 'the newest';
	const result = await run(process.execPath, [
		isNewest ? newest : await installCompiler(version),
		...(isNewest ? ['--ignoreConfig'] : []),
		...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'],
		...options,
		path.join(root, 'tests', 'types', file),
	]).catch((error: { stdout: string }) => error);
	return result.stdout;
}

for (const version of ['5.4', '5.9', 'the newest']) {
	for (const [moduleResolution, module] of Object.entries(resolutions)) {
		test(`the declarations hold for TypeScript ${version} with moduleResolution ${moduleResolution}`, async () => {
			const complaints = await compile(
				version,
				'usage.ts',
				...['--module', module, '--moduleResolution', moduleResolution],
				...['--lib', 'es2022', '--types', 'node'],
			);
			expect(complaints).toBe('');
		}, 120_000);
	}

	test(`the declarations need no types of Node for TypeScript ${version} with those of the DOM`, async () => {
		const complaints = await compile(
			version,
			'without-node.ts',
			...['--module', 'node16', '--lib', 'es2022,dom', '--typeRoots', 'none'],
		);
		expect(complaints).toBe('');
	}, 120_000);
}
