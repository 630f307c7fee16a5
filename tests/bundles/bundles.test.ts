import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, stop } from 'esbuild';
import { expect, inject, test } from 'vitest';
import { hasPackage, installPackage } from '../../scripts/install-package.js';
import { makeDirectory, realCodex } from '../harness.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const program = path.join(root, 'tests', 'bundles', 'program.ts');

type Command = [file: string, ...args: string[]];

/** Bundles the program as one file, in a folder that has no `node_modules` above it. */
async function bundle(format: 'esm' | 'cjs'): Promise<Command> {
	const outfile = path.join(makeDirectory(), format === 'esm' ? 'program.mjs' : 'program.cjs');
	await build({
		entryPoints: [program],
		outfile,
		format,
		bundle: true,
		platform: 'node',
		target: 'node20.17',
		logLevel: 'error',
	});
	// Else the process behind `build` stays.
	await stop();
	return [process.execPath, outfile];
}

/** Compiles the program into one executable. */
async function compile(runtime: string): Promise<Command> {
	const bun = inject('runtimes').find(({ name }) => name === runtime)?.file as string;
	const outfile = path.join(makeDirectory(), 'program');
	await run(bun, ['build', '--compile', program, '--outfile', outfile], { cwd: root });
	return [outfile];
}

/** Runs the source by tsx, against an installed copy of the package. */
async function installTsx(): Promise<Command> {
	const version = '4';
	const folder = path.join(root, '.cache', 'tsx');
	await installPackage({
		folder,
		spec: `tsx@${version}`,
		isComplete: (at: string) => hasPackage(at, 'tsx', version),
	});
	const app = makeDirectory();
	const installed = path.join(app, 'node_modules', 'codex-models');
	mkdirSync(installed, { recursive: true });
	const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
	for (const part of ['dist', 'package.json'])
		cpSync(path.join(root, part), path.join(installed, part), { recursive: true });
	// p-retry needs is-network-error.
	for (const name of [...Object.keys(dependencies), 'is-network-error']) {
		cpSync(path.join(root, 'node_modules', name), path.join(app, 'node_modules', name), {
			recursive: true,
		});
	}
	cpSync(program, path.join(app, 'program.ts'));
	writeFileSync(path.join(app, 'package.json'), '{ "type": "module" }');
	const loader = path.join(folder, 'node_modules', 'tsx', 'dist', 'esm', 'index.mjs');
	return [process.execPath, '--import', loader, path.join(app, 'program.ts')];
}

type Report = { ids: string[]; started: string[]; failures: string[] };

async function runSix([file, ...args]: Command): Promise<Report[]> {
	const directory = makeDirectory();
	const codexHome = makeDirectory();
	const cwd = makeDirectory();
	const all = await Promise.all(
		Array.from({ length: 6 }, () => run(file, [...args, directory, realCodex, codexHome], { cwd })),
	);
	return all.map(({ stdout }) => JSON.parse(stdout));
}

test.each<[string, () => Promise<Command>]>([
	['an ESM bundle of esbuild', () => bundle('esm')],
	['a CommonJS bundle of esbuild', () => bundle('cjs')],
	['tsx', installTsx],
	['an executable of Bun 1.3.14', () => compile('bun-1.3.14')],
	['an executable of the newest Bun', () => compile('bun')],
])(
	'six processes of %s start one app-server, the program behind the launcher, and share its list',
	async (_way, make) => {
		const reports = await runSix(await make());
		expect(reports.flatMap(({ failures }) => failures)).toEqual([]);
		const started = reports.flatMap((report) => report.started);
		expect(started).toHaveLength(1);
		if (process.platform === 'linux') expect(path.basename(started[0] as string)).toBe('codex');
		expect(reports[0]?.ids.length).toBeGreaterThan(0);
		for (const { ids } of reports) expect(ids).toEqual(reports[0]?.ids);
	},
);
