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

const newest = path.join(
	path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
	'bin',
	'tsc',
);

const resolutions = [
	['node16', 'node16'],
	['bundler', 'esnext'],
] as const;

for (const version of ['5.4', '5.9', 'the newest']) {
	for (const [moduleResolution, module] of resolutions) {
		test(`the declarations hold for TypeScript ${version} with moduleResolution ${moduleResolution}`, async () => {
			const isNewest = version === 'the newest';
			const result = await run(process.execPath, [
				isNewest ? newest : await installCompiler(version),
				...(isNewest ? ['--ignoreConfig'] : []),
				...['--noEmit', '--strict', '--exactOptionalPropertyTypes'],
				...['--module', module, '--moduleResolution', moduleResolution],
				...['--target', 'es2022', '--lib', 'es2022,esnext.disposable', '--types', 'node'],
				path.join(root, 'tests', 'types', 'usage.ts'),
			]).catch((error: { stdout: string }) => error);
			expect(result.stdout).toBe('');
		}, 120_000);
	}
}
