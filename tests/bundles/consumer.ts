import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasPackage, installPackage } from '../../scripts/install-package.js';
import { makeDirectory } from '../harness.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A new ESM project with these files, in which the package is installed. */
export function makeConsumer(files: Record<string, string>): string {
	const folder = makeDirectory();
	const installed = path.join(folder, 'node_modules', 'codex-models');
	mkdirSync(installed, { recursive: true });
	for (const part of ['dist', 'package.json'])
		cpSync(path.join(root, part), path.join(installed, part), { recursive: true });
	const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
	// p-retry needs is-network-error.
	for (const name of [...Object.keys(dependencies), 'is-network-error']) {
		cpSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name), {
			recursive: true,
		});
	}
	const all = { 'package.json': '{ "type": "module" }', ...files };
	for (const [name, text] of Object.entries(all)) writeFileSync(path.join(folder, name), text);
	return folder;
}

/** Installs a tool that later runs find, too; returns the folder of its package. */
export async function installTool(name: string, version: string): Promise<string> {
	const folder = path.join(root, '.cache', name);
	await installPackage({
		folder,
		spec: `${name}@${version}`,
		isComplete: (at: string) => hasPackage(at, name, version),
	});
	return path.join(folder, 'node_modules', name);
}
