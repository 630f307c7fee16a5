import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { MisuseError } from '../../src/api/errors.js';
import { makeLog, makeScript } from '../app-server/shell-server.js';
import { afterTest, failureOf, makeDirectory } from '../harness.js';
import { buildModule } from '../store/build-module.js';
import { makeFetcher } from './fetch-harness.js';

const isLinux = process.platform === 'linux';
const options = ['command', 'args', 'cwd', 'env', 'store', 'retries', 'refresh', 'signal', 'hint'];
const expectNoOption = (message: string) =>
	expect(message).not.toMatch(new RegExp(`\\b(?:${options.join('|')})\\b`));

test('a command that is not there is ERR_CODEX_NOT_FOUND, is not tried again, and starts nothing', async () => {
	const { start, events } = makeFetcher([{}], { command: 'codex-that-is-not-there' });
	const error = await failureOf(start().answer);
	expect(error).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'codex-that-is-not-there',
		cause: { code: 'ENOENT' },
		hint: expect.stringContaining('"command"'),
	});
	expect(error.message).toMatch(
		/spawn, after \d+ ms.*"codex-that-is-not-there".*npm install -g @openai\/codex/,
	);
	expectNoOption(error.message);
	expect(events).toEqual([]);
});

test('a command that may not be run, is a directory or wants an interpreter is ERR_CODEX_NOT_FOUND with its reason', async () => {
	const directory = makeDirectory();
	const plain = path.join(directory, 'plain');
	writeFileSync(plain, '#!/bin/sh\n');
	const interpreted = path.join(directory, 'interpreted');
	writeFileSync(interpreted, '#!/nowhere/node\n');
	chmodSync(interpreted, 0o755);
	for (const [command, code, words] of [
		[plain, 'EACCES', 'may not be run'],
		[directory, 'EACCES', 'may not be run'],
		[path.join(plain, 'below'), 'ENOENT', 'was not found'],
		[interpreted, 'ENOENT', 'interpreter'],
	] as const) {
		const { start, ofType } = makeFetcher([{}], { command, args: ['sk-0123456789abcdef'] });
		const error = await failureOf(start().answer);
		expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command, cause: { code } });
		expect(error.message).toContain(words);
		expectNoOption(error.message);
		expect(JSON.stringify([error.message, error.cause])).not.toContain('0123456789');
		expect(ofType('retried')).toEqual([]);
	}
});

test('a command is searched on the PATH of its environment, and shown as it was given', async () => {
	const folder = makeDirectory();
	writeFileSync(path.join(folder, 'my-codex'), '#!/bin/sh\nexit 9\n');
	chmodSync(path.join(folder, 'my-codex'), 0o755);
	const { start } = makeFetcher([{}], {
		command: 'my-codex',
		args: ['app-server'],
		env: { PATH: folder },
	});
	const error = await failureOf(start().answer);
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 9 });
	expect(error.message).toContain('run "my-codex app-server"');
});

test('a chosen folder that cannot be entered is ERR_CODEX_NOT_FOUND, and the message names it', async () => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, '');
	for (const [cwd, code] of [
		[`${file}.gone`, 'ENOENT'],
		[file, 'ENOTDIR'],
	]) {
		const { start, starts } = makeFetcher([{}]);
		const error = await failureOf(start({ target: { cwd } }).answer);
		expect(error).toMatchObject({
			code: 'ERR_CODEX_NOT_FOUND',
			command: '/bin/sh',
			cause: { code },
		});
		expect(error.message).toContain(`folder "${cwd}"`);
		expect(error.message).not.toContain('npm install');
		expectNoOption(error.message);
		expect(starts()).toBe(0);
	}
});

test('a default folder that cannot be entered gives way to the root', async () => {
	const { list, log } = makeFetcher([{}]);
	const target = { cwd: path.join(makeDirectory(), 'gone'), isDefaultCwd: true };
	expect(await list({ target })).toEqual(['a']);
	expect(log.messages().find(({ method }) => method === 'config/read').params.cwd).toBe('/');
});

test('the CODEX_HOME of a target and the variables of the settings reach the app-server', async () => {
	const { start } = makeFetcher([{ start: 'echo "$CODEX_HOME $A $HOME." >&2; exit 1' }], {
		env: { A: 'b', HOME: undefined },
	});
	const error = await failureOf(start({ target: { codexHome: '/c' } }).answer);
	expect(error.stderr).toBe('/c b .');
});

test('a look-up function is called once for each fetch, and a path of it starts from the current directory', async () => {
	const command = vi.fn(async () => path.relative('', '/bin/sh'));
	const { list } = makeFetcher([{ start: '[ $s = 1 ] && exit 1' }], { command });
	expect(await list()).toEqual(['a']);
	expect(await list()).toEqual(['a']);
	expect(command).toHaveBeenCalledTimes(2);
});

test('a look-up function that throws or rejects is ERR_CODEX_NOT_FOUND with its error', async () => {
	const cause = new Error('of the function');
	for (const command of [
		() => Promise.reject(cause),
		() => {
			throw cause;
		},
	]) {
		const { start, events } = makeFetcher([{}], { command });
		const error = await failureOf(start().answer);
		expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command: 'codex', cause });
		expect(error.message).toContain('could not be looked up (of the function).');
		expectNoOption(error.message);
		expect(events).toEqual([]);
	}
	const fickle = vi.fn().mockReturnValueOnce('/bin/sh').mockRejectedValue(cause);
	const { list, start } = makeFetcher([{}], { command: fickle });
	await list();
	expect(await failureOf(start().answer)).toMatchObject({ command: '/bin/sh', cause });
});

test('a look-up function that returns no command is a TypeError, which names the option', async () => {
	for (const value of [undefined, '', ' ', 7, 'a\0b']) {
		const { start, starts } = makeFetcher([{}], { command: () => value as string });
		const error = await failureOf(start().answer);
		expect(error).toBeInstanceOf(MisuseError);
		expect(error.message).toContain('"command"');
		expect(starts()).toBe(0);
	}
});

test('an abort ends the wait for a look-up function that never returns, and what it returns later starts nothing', async () => {
	let resolve: (command: string) => void = () => {};
	const command = () =>
		new Promise<string>((settle) => {
			resolve = settle;
		});
	const controller = new AbortController();
	const { start, starts, events } = makeFetcher([{}], { command });
	const fetch = start({ signal: controller.signal });
	await new Promise((settle) => setImmediate(settle));
	controller.abort();
	expect(await failureOf(fetch.answer)).toMatchObject({ name: 'AbortError' });
	await fetch.nextMayStart;
	resolve('/bin/sh');
	await new Promise((settle) => setTimeout(settle, 50));
	expect([starts(), events]).toEqual([0, []]);
});

test('a failure that is no error of the system becomes ERR_CODEX_EXITED with its cause', async () => {
	const { start } = makeFetcher([{}], { args: ['x'.repeat(4_000_000)], retries: 0 });
	const error = await failureOf(start().answer);
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		phase: 'spawn',
		exitCode: null,
		cause: { code: 'E2BIG' },
	});
	expectNoOption(error.message);
});

test('a command that vanishes between two fetches fails the second, and one that is back lists again', async () => {
	const command = path.join(makeDirectory(), 'codex');
	const write = () => {
		writeFileSync(command, '#!/bin/sh\nexec /bin/sh "$@"\n');
		chmodSync(command, 0o755);
	};
	write();
	const { list, start } = makeFetcher([{}], { command });
	expect(await list()).toEqual(['a']);
	rmSync(command);
	mkdirSync(command);
	expect(await failureOf(start().answer)).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		cause: { code: 'EACCES' },
	});
	rmSync(command, { recursive: true });
	write();
	expect(await list()).toEqual(['a']);
});

/** Fails with few file descriptors left, or with no process more, and lists when that is over. */
const hostSource = `
	import { closeSync, openSync } from 'node:fs';
	const { createFetcher } = await import(process.argv[2]);
	const settings = { retries: 0, keepAliveMs: 0, env: {}, args: ['-c', process.argv[3]], clientInfo: { name: 'a', version: '1' } };
	const fetcher = createFetcher(settings, { latest: '/bin/sh', resolve: async () => '/bin/sh' });
	const target = { cwd: '/', isDefaultCwd: true, codexHome: undefined, key: 'k' };
	const fetch = async () => {
		const signal = new AbortController().signal;
		const { answer } = fetcher.fetchModels(target, { fingerprint: {}, signal, emit() {} });
		const outcome = await answer.then(({ models }) => models.length, ({ name, code, phase, cause }) => [name, code, phase, cause?.code]);
		return outcome;
	};
	const alive = setTimeout(() => {}, 60_000);
	const outcomes = [await fetch()];
	const held = [];
	try {
		for (;;) held.push(openSync('/dev/null'));
	} catch {}
	for (const free of [0, 1, 3]) {
		for (const fd of held.splice(0, free)) closeSync(fd);
		outcomes.push(await fetch());
	}
	for (const fd of held) closeSync(fd);
	outcomes.push(await fetch());
	await fetcher.close();
	clearTimeout(alive);
	console.log(JSON.stringify(outcomes));
`;

test.runIf(isLinux)(
	'a host without file descriptors gets ERR_CODEX_EXITED, and lists when it has some again',
	async () => {
		const file = path.join(makeDirectory(), 'host.mjs');
		writeFileSync(file, hostSource);
		const child = spawn('/bin/sh', [
			'-c',
			'ulimit -n 64; exec "$@"',
			'sh',
			process.execPath,
			file,
			buildModule('fetch/fetch-models.ts'),
			makeScript({}, makeLog().file),
		]);
		afterTest(() => child.kill('SIGKILL'));
		let stdout = '';
		let stderr = '';
		child.stdout.on('data', (chunk) => {
			stdout += chunk;
		});
		child.stderr.on('data', (chunk) => {
			stderr += chunk;
		});
		const ending = await new Promise((resolve) => child.once('close', (...args) => resolve(args)));
		expect([stderr, ending]).toEqual(['', [0, null]]);
		const outcomes = JSON.parse(stdout);
		expect([outcomes[0], outcomes.at(-1)]).toEqual([1, 1]);
		expect(outcomes.slice(1, -1)).toEqual(
			Array(3).fill(['CodexModelsError', 'ERR_CODEX_EXITED', 'spawn', 'EMFILE']),
		);
	},
);
