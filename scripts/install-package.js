import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

const npmOptions = [
	'--no-audit',
	'--no-fund',
	'--no-package-lock',
	'--no-save',
	'--ignore-scripts',
	'--include=optional',
	'--loglevel=error',
	'--fetch-retry-mintimeout=1000',
	'--fetch-retry-maxtimeout=5000',
];

/**
 * Installs a package for the tests into `folder`, with npm; a complete one is kept. npm writes into a folder beside it, which
 * is renamed at the end: no process sees half a package, and two that install at once do not disturb each other.
 *
 * @param {{ folder: string; spec: string; isComplete(folder: string): Promise<boolean> }} options
 */
export async function installPackage({ folder, spec, isComplete }) {
	if (await isComplete(folder)) return;
	await mkdir(path.dirname(folder), { recursive: true });
	const staging = await mkdtemp(path.join(path.dirname(folder), '.installing-'));
	try {
		console.error(`Installing ${spec} for the tests …`);
		await writeFile(path.join(staging, 'package.json'), '{ "private": true }\n');
		await runNpm(['install', ...npmOptions, `--prefix=${staging}`, spec], staging, spec);
		if (!(await isComplete(staging))) {
			throw new Error(`npm installed ${spec}, but not what this platform needs of it.`);
		}
		await publish(staging, folder, isComplete);
	} finally {
		await rm(staging, { recursive: true, force: true });
	}
}

/** Renames the staging folder, unless another process has published its own first. */
async function publish(staging, folder, isComplete) {
	for (let attempt = 1; ; attempt++) {
		try {
			return await rename(staging, folder);
		} catch (error) {
			if (await isComplete(folder)) return;
			if (attempt === 3) throw error;
			// The folder holds an incomplete package.
			await rm(folder, { recursive: true, force: true });
		}
	}
}

async function runNpm(args, cwd, spec) {
	const child = spawn('npm', args, {
		cwd,
		stdio: ['ignore', 'ignore', 'pipe'],
		shell: process.platform === 'win32',
	});
	let words = '';
	child.stderr.setEncoding('utf8').on('data', (chunk) => {
		words += chunk;
	});
	const exitCode = await new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
	if (exitCode === 0) return;
	throw new Error(
		`npm could not install ${spec} (exit code ${exitCode}). These tests need the npm registry once, or what they have installed under .cache before. npm said:\n${words.trim().slice(-2_000)}`,
	);
}

/** Whether a package of that version, or of its line, is there. */
export async function hasPackage(folder, name, version) {
	try {
		const file = path.join(folder, 'node_modules', name, 'package.json');
		const found = JSON.parse(await readFile(file, 'utf8')).version;
		return found === version || found.startsWith(`${version}.`) || found.startsWith(`${version}-`);
	} catch {
		return false;
	}
}

/** Two at a time: the registry and the disk are the limit. Waits for all, so that nothing runs on after a failure. */
export async function installAll(installs) {
	const queue = [...installs];
	const failures = [];
	const work = async () => {
		for (let install = queue.shift(); install; install = queue.shift()) {
			await installPackage(install).catch((error) => failures.push(error.message));
		}
	};
	await Promise.all([work(), work()]);
	if (failures.length === 0) return;
	console.error(failures.join('\n\n'));
	process.exit(1);
}
