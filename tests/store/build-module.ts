import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeDirectory } from '../harness.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bundles a module of `src/` for processes that cannot run TypeScript; returns its URL. */
export function buildModule(name: string): string {
	const outfile = path.join(makeDirectory(), `${path.basename(name, '.ts')}.mjs`);
	const define = '--define:PACKAGE_VERSION="0.0.0"';
	const flags = [
		'--bundle',
		'--format=esm',
		'--platform=node',
		'--target=node20',
		'--log-level=warning',
		define,
	];
	// The command, because the JavaScript interface of esbuild leaves a process behind.
	execFileSync(
		path.join(root, 'node_modules/.bin/esbuild'),
		[`src/${name}`, `--outfile=${outfile}`, ...flags],
		{
			cwd: root,
		},
	);
	return pathToFileURL(outfile).href;
}
