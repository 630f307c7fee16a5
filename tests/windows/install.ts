import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { runScript } from '../releases/run-script.js';

/** The Windows that the tests run on. `missing` is why there is none. */
export type Machine = {
	missing?: string;
	/** The folder of the drive C:. */
	root: string;
	environment: Record<string, string>;
	/** The folder below the drive in which this run has the package and its own files. */
	run: string;
};

declare module 'vitest' {
	export interface ProvidedContext {
		windows: Machine;
	}
}

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Installs what the manifest of a folder names, and these packages, as npm does on Windows. */
export function installForWindows(folder: string, ...specs: string[]): void {
	const options = ['--os=win32', '--cpu=x64', '--ignore-scripts', '--no-audit', '--no-fund'];
	execFileSync('npm', ['install', ...options, '--no-package-lock', ...specs], {
		cwd: folder,
		stdio: ['ignore', 'ignore', 'pipe'],
	});
}

function installPackage(folder: string): void {
	const pack = ['pack', project, '--ignore-scripts', '--loglevel=error'];
	const archive = execFileSync('npm', pack, { cwd: folder, encoding: 'utf8' }).trim();
	writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
	installForWindows(folder, path.join(folder, archive));
}

/**
 * Keeps Windows booted. Without any program running, Wine ends its services, and the next test would start them and leave
 * them behind.
 */
function boot({ root, environment }: Machine): () => Promise<void> {
	const options = { env: { ...process.env, ...environment }, stdio: 'ignore' as const };
	const runNode = (...args: string[]) => ['C:\\node\\node.exe', ...args];
	const node = spawn('wine', runNode('-e', 'setInterval(() => {}, 60_000)'), options);
	const exited = new Promise((resolve) => node.once('close', resolve));
	const { status } = spawnSync('wine', runNode('--version'), options);
	if (status !== 0) throw new Error(`Node for Windows failed in ${root} (exit code ${status})`);
	return async () => {
		node.kill('SIGKILL');
		await exited;
		spawnSync('wineserver', ['-k'], options);
		spawnSync('wineserver', ['-w'], { ...options, timeout: 10_000 });
	};
}

export default async function install(
	vitest: TestProject,
): Promise<(() => Promise<void>) | undefined> {
	const machine = await runScript<Machine>('install-wine.js');
	if (machine.missing !== undefined) {
		console.error(`skipped: ${machine.missing}`);
		vitest.provide('windows', machine);
		return undefined;
	}
	// A run that was killed leaves its folder behind.
	for (const name of readdirSync(machine.root)) {
		if (name.startsWith('run-'))
			rmSync(path.join(machine.root, name), { recursive: true, force: true });
	}
	const run = mkdtempSync(path.join(machine.root, 'run-'));
	const shutDown = boot(machine);
	installPackage(run);
	copyFileSync(
		fileURLToPath(new URL('app-server.js', import.meta.url)),
		path.join(run, 'app-server.mjs'),
	);
	vitest.provide('windows', { ...machine, run });
	return async () => {
		await shutDown();
		rmSync(run, { recursive: true, force: true });
	};
}
