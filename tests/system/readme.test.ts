import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveSettings } from '../../src/api/settings.js';

const root = path.join(import.meta.dirname, '..', '..');
const { resolve } = createRequire(import.meta.url);
const typescript = path.join(path.dirname(resolve('typescript/package.json')), 'bin', 'tsc');
const vitest = path.join(path.dirname(resolve('vitest/package.json')), 'vitest.mjs');

/** The fenced blocks of some languages in a document. */
async function readBlocks(document: string, languages: RegExp) {
	const text = await readFile(path.join(root, document), 'utf8');
	return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, language = '', code = '']) =>
		languages.test(language) ? { language, code } : [],
	);
}

/** The name of a block's file is in a comment on its first line, where other blocks import it. */
async function readCode(document: string) {
	return (await readBlocks(document, /^tsx?$/)).map(({ language, code }, index) => {
		const isTest = code.includes("from 'vitest'");
		const said = /^\/\/ ([\w.-]+)\.ts\n/.exec(code)?.[1];
		const name = said ?? `${document.replace(/\W/g, '-')}-${index}${isTest ? '.test' : ''}`;
		// Node 20 and 22 do not parse `await using`, and a component of React needs a page.
		const isRun = language === 'ts' && (isTest || parsesUsing || !code.includes('await using'));
		return { document, index, code, name, file: `${name}.${language}`, isTest, isRun };
	});
}

const parsesUsing = Number.parseInt(process.versions.node, 10) >= 24;
const blocks = (await Promise.all(['README.md', 'docs/migrating.md'].map(readCode))).flat();

// Below the package, so that its own name leads to it.
let folder: string;

beforeAll(async () => {
	await mkdir(path.join(root, '.cache'), { recursive: true });
	folder = await mkdtemp(path.join(root, '.cache', 'readme-'));
	// Else vitest finds the one of this project.
	await writeFile(path.join(folder, 'vitest.config.js'), 'export default {};\n');
	for (const { file, code } of blocks) await writeFile(path.join(folder, file), code);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(args: string[], env: NodeJS.ProcessEnv = process.env, enough?: RegExp) {
	const child = spawn(process.execPath, args, {
		cwd: folder,
		env,
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let output = '';
	const collect = (chunk: Buffer) => {
		output += chunk;
		// A connection to a server of the example's keeps it running.
		if (enough?.test(output)) child.kill('SIGTERM');
	};
	child.stdout.on('data', collect);
	child.stderr.on('data', collect);
	const [exitCode] = await once(child, 'close');
	return { exitCode, output };
}

/** The complaints of the compiler about a file. */
async function compile(file: string, ...flags: string[]): Promise<string> {
	const { output } = await run([
		typescript,
		'--ignoreConfig',
		...['--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'esnext'],
		...['--lib', 'es2023,esnext.disposable', '--types', 'node', ...flags, file],
	]);
	return output;
}

test('there are code blocks to try', () => {
	expect(blocks.filter(({ document }) => document === 'README.md').length).toBeGreaterThanOrEqual(
		4,
	);
	expect(blocks.some(({ document }) => document === 'docs/migrating.md')).toBe(true);
});

for (const { document, index, code, name, file, isTest, isRun } of blocks) {
	test(`code block ${index + 1} of ${document} compiles and runs`, async () => {
		expect(await compile(file, ...(isTest ? ['--noEmit'] : []))).toBe('');
		if (!isRun) return;

		const home = path.join(folder, `${name}-home`);
		await mkdir(home);
		const env = {
			...process.env,
			CODEX_HOME: home,
			XDG_CACHE_HOME: home,
			PATH: [path.join(root, 'node_modules', '.bin'), process.env.PATH].join(path.delimiter),
		};
		const usesRedis = code.includes('redis://');
		const args = isTest ? [vitest, 'run', file] : [`${name}.js`];
		const ran = await run(args, env, usesRedis ? /isDefault: true/ : undefined);
		if (!usesRedis) expect(ran.exitCode, ran.output).toBe(0);
		// A block that lists shows a list, with or without a Redis; a block that only exports shows nothing.
		if (!isTest && code.includes('console.log'))
			expect(ran.output).toMatch(/isDefault: true|\* gpt-|models; known since \d+/);
	}, 60_000);
}

test('the module of docs/migrating.md has the types of the module that it replaces', async () => {
	const module = blocks.find(
		({ document, code }) => document === 'docs/migrating.md' && code.includes('reset'),
	);
	await writeFile(path.join(folder, 'host.ts'), module?.code ?? '');
	const replaced = path.join(root, 'tests', 'types', 'replaced-module.ts');
	const check = `
		import type * as replaced from ${JSON.stringify(replaced.replace(/\.ts$/, '.js'))};
		import * as host from './host.js';
		export const list: typeof replaced.listCodexModels = host.listCodexModels;
		export const there = (request: host.ListCodexModelsRequest): replaced.ListCodexModelsRequest => request;
		export const back = (response: host.ListCodexModelsResponse): replaced.ListCodexModelsResponse => response;
		export const both: (summary: replaced.CodexModelSummary) => host.CodexModelSummary = (summary) => summary;
	`;
	await writeFile(path.join(folder, 'check.ts'), check);
	expect(await compile('check.ts', '--noEmit')).toBe('');
}, 60_000);

test('the shell commands of the README are scripts of this package', async () => {
	const { scripts } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
	const commands = (await readBlocks('README.md', /^sh$/)).map(({ code }) => code).join('\n');
	const named = [...commands.matchAll(/npm (?:run (\S+)|(test))/g)].map(
		([, script, test]) => script ?? test,
	);
	expect(named).toEqual(['models', 'test']);
	for (const name of named) expect(scripts).toHaveProperty(name as string);
});

test('the options table of the README and the comments of the options have the defaults of the code', async () => {
	const inCode = Object.entries(resolveSettings()).filter(([, value]) => typeof value === 'number');
	expect(inCode).toHaveLength(8);
	const readNumbers = async (file: string, pattern: RegExp) => {
		const text = await readFile(path.join(root, file), 'utf8');
		const entries = [...text.matchAll(pattern)].map(
			({ groups: { name = '', value = '' } = {} }) => [name, Number(value.replaceAll('_', ''))],
		);
		return Object.fromEntries(entries);
	};
	const inTable = await readNumbers('README.md', /^\| `(?<name>\w+)` \| `(?<value>[\d_]+)` \|/gm);
	const comments = /@default (?<value>[\d_]+)\s*\*\/\n\t(?<name>\w+)/g;
	expect(inTable).toEqual(Object.fromEntries(inCode));
	expect(await readNumbers('src/api/options.ts', comments)).toEqual(Object.fromEntries(inCode));
});
