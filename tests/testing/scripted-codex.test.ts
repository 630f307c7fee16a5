import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { CodexModelCatalog } from '../../src/catalog.js';
import { type CodexScript, modelEntry, scriptedCodex } from '../../src/testing/index.js';
import {
	afterTest,
	failureOf,
	findProcesses,
	idsOf,
	makeDirectory,
	realCodex,
	runModule,
	until,
} from '../harness.js';
import { buildModule } from '../store/build-module.js';

const one = { models: [modelEntry({ id: 'a' })] };

/** A scripted Codex, and catalogs that start it; all of them end with the test. */
async function start(script?: CodexScript) {
	const codex = await scriptedCodex(script);
	afterTest(() => codex.close());
	const openCatalog = (options: object = {}) => {
		const catalog = new CodexModelCatalog({ ...codex.options, ...options });
		afterTest(() => catalog.close());
		return catalog;
	};
	return { codex, openCatalog, catalog: openCatalog() };
}

/** The answers to the requests, each on a line of its own, and the exit code after the end of input. */
async function converse(command: string, args: string[], env: object, requests: object[]) {
	const child = spawn(command, args, { env: { ...process.env, ...env }, cwd: '/' });
	const exited = once(child, 'exit');
	const answers: Record<string, unknown>[] = [];
	child.stdin.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
	const awaited = requests.filter((request) => 'id' in request).length;
	let text = '';
	for await (const chunk of child.stdout.setEncoding('utf8')) {
		text += chunk;
		const messages = text.split('\n').slice(0, -1);
		answers.splice(0, answers.length, ...messages.map((line) => JSON.parse(line)));
		if (answers.filter(({ id }) => id !== undefined).length === awaited) child.stdin.end();
	}
	const [exitCode] = await exited;
	return { answers, exitCode };
}

test('modelEntry has every property that the real Codex sends, and takes those of the caller', async () => {
	const requests = [
		{ id: 1, method: 'initialize', params: { clientInfo: { name: 'test', version: '1.0.0' } } },
		{ method: 'initialized' },
		{ id: 2, method: 'model/list', params: { includeHidden: true } },
	];
	const env = { CODEX_HOME: makeDirectory() };
	const args = ['app-server', '-c', 'features.plugins=false'];
	const { answers } = await converse(realCodex, args, env, requests);
	const list = answers.find(({ id }) => id === 2) as { result: { data: [object] } };
	expect(Object.keys(modelEntry()).sort()).toEqual(Object.keys(list.result.data[0]).sort());

	expect(modelEntry({ id: 'a' })).toMatchObject({ id: 'a', model: 'a', displayName: 'a' });
	const other = modelEntry({ id: 'a', displayName: 'A', isDefault: true, brandNew: [1] });
	expect(other).toMatchObject({ model: 'a', displayName: 'A', isDefault: true, brandNew: [1] });
});

test('a scripted Codex lists its models to a catalog, and tells the configured one', async () => {
	const hidden = modelEntry({ id: 'b', hidden: true });
	const { catalog, codex } = await start({
		models: [...one.models, hidden],
		config: { model: 'mine', model_reasoning_effort: 'high' },
	});
	expect(idsOf([...(await catalog.list())])).toEqual(['a']);
	const { models, configured } = await catalog.read({ includeHidden: true });
	expect(idsOf([...models])).toEqual(['a', 'b']);
	expect(configured).toMatchObject({ model: 'mine', reasoningEffort: 'high' });
	expect(codex.starts).toBe(1);
});

test('a scripted Codex has a new home without a login, and no options of the host', async () => {
	vi.stubEnv('NODE_OPTIONS', '--require ./a-loader-that-is-not-there.cjs');
	const { catalog, codex } = await start(one);
	const other = await start();
	expect(codex.options.codexHome).not.toBe(other.codex.options.codexHome);
	expect(readdirSync(codex.options.codexHome)).not.toContain('auth.json');
	expect(await catalog.list()).toHaveLength(1);
	expect(await other.catalog.list()).toEqual([]);
});

test('a new script is for later starts: who runs keeps its own', async () => {
	const { codex, openCatalog, catalog } = await start({ hangs: true });
	const hung = failureOf(catalog.list());
	await until('the first one is started', () => codex.starts === 1);
	await codex.script(one);
	expect(await openCatalog().list()).toHaveLength(1);
	expect(codex.starts).toBe(2);
	await catalog.close();
	expect(await hung).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
});

test('a list comes after its delay', async () => {
	const { catalog } = await start({ ...one, delayMs: 300 });
	const startedAt = performance.now();
	expect(await catalog.list()).toHaveLength(1);
	// A timer may be early by a millisecond.
	expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299);
});

test('a list that hangs ends at the deadline of the caller', async () => {
	const { catalog } = await start({ ...one, hangs: true });
	expect(await failureOf(catalog.list({ deadlineMs: 300 }))).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
	});
});

test.each([0, 3])(
	'an exit with code %i comes in place of the list, after the words',
	async (exitCode) => {
		const { catalog } = await start({ ...one, exitCode, stderr: 'Error: no' });
		expect(await failureOf(catalog.list())).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode,
			stderr: 'Error: no',
		});
	},
);

test('an error comes in place of the list', async () => {
	const { catalog } = await start({ ...one, error: { code: -32600, message: 'not today' } });
	const failure = await failureOf(catalog.list());
	expect(failure).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -32600 });
	expect(failure.message).toContain('not today');
});

test.each<[string, unknown]>([
	['models', 'a'],
	['config', []],
	['delayMs', -1],
	['hangs', 1],
	['exitCode', '1'],
	['stderr', 1],
	['error', 'no'],
	['exitcode', 1],
])(
	'a script with a wrong %s is a TypeError that names it, and leaves no folder',
	async (name, value) => {
		const temporary = makeDirectory();
		vi.stubEnv('TMPDIR', temporary);
		const wrong = { [name]: value };
		const named = new RegExp(`"${name}"`);
		const failure = await failureOf(scriptedCodex(wrong));
		expect(failure).toBeInstanceOf(TypeError);
		expect(failure.message).toMatch(named);
		expect(readdirSync(temporary)).toEqual([]);
		const { codex, catalog } = await start(one);
		expect(await failureOf(codex.script(wrong))).toBeInstanceOf(TypeError);
		expect(await catalog.list()).toHaveLength(1);
	},
);

test('the disposal ends what a catalog left running, and removes the folder', async () => {
	const { codex, catalog } = await start({ hangs: true });
	const hung = failureOf(catalog.list());
	await until('it is started', () => codex.starts === 1);
	const [pid] = findProcesses();
	await codex[Symbol.asyncDispose]();
	expect(findProcesses()).not.toContain(pid);
	expect(existsSync(codex.options.codexHome)).toBe(false);
	expect(codex.starts).toBe(1);
	await codex.close();
	expect(await hung).toMatchObject({ code: 'ERR_CODEX_EXITED' });
});

test('a scripted Codex echoes ids, refuses other requests, and ends with its input', async () => {
	const { options } = (await start({ ...one, hangs: true })).codex;
	const { answers, exitCode } = await converse(options.command, options.args, options.env, [
		{ id: 'x', method: 'initialize' },
		{ method: 'initialized' },
		{ id: 0, method: 'thread/start' },
	]);
	expect(answers.map(({ id, error }) => [id, (error as { code: number })?.code])).toEqual([
		['x', undefined],
		[0, -32601],
	]);
	expect(exitCode).toBe(0);
});

test('a bundle that is minified brings the program along', async () => {
	const host = runModule(`
		import { CodexModelCatalog } from ${JSON.stringify(buildModule('index.ts'))};
		import { scriptedCodex } from ${JSON.stringify(buildModule('testing/index.ts', '--minify'))};
		const codex = await scriptedCodex(${JSON.stringify(one)});
		const catalog = new CodexModelCatalog({ ...codex.options });
		console.log(await catalog.list().then((models) => models.length, String));
		await catalog.close();
		await codex.close();
	`);
	expect(await host.done).toMatchObject({ stdout: '1\n', stderr: '', exitCode: 0 });
});
