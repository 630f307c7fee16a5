import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeDirectory } from '../harness.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bundles a module of `src/` for processes that cannot run TypeScript; returns its URL. */
export function buildModule(name: string, ...more: string[]): string {
	const outfile = path.join(makeDirectory(), `${path.basename(name, '.ts')}.mjs`);
	const flags = '--bundle --format=esm --platform=node --target=node20 --log-level=warning';
	const define = '--define:PACKAGE_VERSION="0.0.0"';
	// The command, because the JavaScript interface of esbuild leaves a process behind.
	const esbuild = path.join(root, 'node_modules/.bin/esbuild');
	const args = [`src/${name}`, `--outfile=${outfile}`, ...flags.split(' '), define, ...more];
	execFileSync(esbuild, args, { cwd: root });
	return pathToFileURL(outfile).href;
}
