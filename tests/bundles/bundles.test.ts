import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { build, stop } from 'esbuild';
import { expect, inject, test } from 'vitest';
import { makeDirectory, realCodex } from '../harness.js';
import { installTool, makeConsumer, root } from './consumer.js';

const run = promisify(execFile);
const program = path.join(root, 'tests', 'bundles', 'program.ts');
const ownCodex = path.join(root, 'tests', 'bundles', 'own-codex.ts');

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

/** Compiles a program into one executable. */
async function compile(runtime: string, entry = program, ...options: string[]): Promise<Command> {
	const bun = inject('runtimes').find(({ name }) => name === runtime)?.file as string;
	const outfile = path.join(makeDirectory(), 'program');
	const args = ['build', '--compile', ...options, entry, '--outfile', outfile];
	await run(bun, args, { cwd: root });
	return [outfile];
}

/** Runs the source by tsx, against an installed copy of the package. */
async function installTsx(): Promise<Command> {
	const loader = path.join(await installTool('tsx', '4'), 'dist', 'esm', 'index.mjs');
	const folder = makeConsumer({ 'program.ts': readFileSync(program, 'utf8') });
	return [process.execPath, '--import', loader, path.join(folder, 'program.ts')];
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

test.each(['bun-1.3.14', 'bun'])('an executable of %s is its own scripted Codex', async (name) => {
	const [file] = await compile(name, ownCodex, '--minify');
	const { stdout } = await run(file, { cwd: path.dirname(file) });
	expect(JSON.parse(stdout)).toEqual({ ids: ['a'], starts: 1 });
});
