import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { beforeEach, expect, test, vi } from 'vitest';
import { CodexModelsError } from '../../src/index.js';
import * as search from '../../src/system/find-executable.js';
import { failureOf, makeDirectory, neverMs } from '../harness.js';
import { makeShellCatalog, setTimings } from './shell-server.js';

beforeEach(() => {
	setTimings();
	vi.spyOn(performance, 'now').mockReturnValue(7_777);
});

/** The failure of a list whose app-server is like that. */
async function fail(...[shell, more]: [Parameters<typeof makeShellCatalog>[0][0], object?]) {
	const { catalog, events, starts } = makeShellCatalog([shell], { retries: 0, ...more });
	return { error: await failureOf(catalog.list()), events, starts };
}

test.each([
	['no-such-codex', 'no-such-codex', ': It was looked for in /nowhere, /gone'],
	['gone/codex', path.resolve('gone/codex'), ''],
])(
	'the command %s, which is not there, is ERR_CODEX_NOT_FOUND, is not tried again, and starts nothing',
	async (command, shown, places) => {
		const { error, events } = await fail(
			{},
			{ command, retries: 2, env: { PATH: '/nowhere:/gone' } },
		);
		expect(error).toMatchObject({
			code: 'ERR_CODEX_NOT_FOUND',
			command: shown,
			cause: { code: 'ENOENT' },
			hint: 'Set the option "command" to a program that runs, by its path or as a name on PATH.',
		});
		expect(error.message).toBe(
			`Codex could not be started: the program "${shown}" was not found (ENOENT) (phase spawn, after 0 ms)${places}. Install Codex with "npm install -g @openai/codex", then try again.`,
		);
		expect(events.all.map(({ type }) => type)).toEqual(['failed']);
	},
);

test('a folder that cannot be entered is ERR_CODEX_NOT_FOUND, and the message names it', async () => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, '');
	for (const [cwd, code] of [
		[`${file}.gone`, 'ENOENT'],
		[file, 'ENOTDIR'],
	]) {
		const { error, starts } = await fail({}, { cwd });
		expect(error).toMatchObject({
			code: 'ERR_CODEX_NOT_FOUND',
			command: '/bin/sh',
			cause: { code },
			hint: 'Set the option "cwd" to another folder.',
		});
		expect(error.message).toBe(
			`Codex could not be started: the folder "${cwd}" does not exist or cannot be entered (${code}) (phase spawn, after 0 ms). Create the folder, then try again.`,
		);
		expect(starts()).toBe(0);
	}
});

test('a command is searched on the PATH of its environment, and shown without its arguments', async () => {
	const folder = makeDirectory();
	writeFileSync(path.join(folder, 'my-codex'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
	const args = ['app-server', 'opaque-secret'];
	const { error, events } = await fail({}, { command: 'my-codex', args, env: { PATH: folder } });
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 9 });
	expect(error.message).toContain('run "my-codex app-server" in a terminal');
	expect(inspect([error, events.all], { showHidden: true, depth: 9 })).not.toContain('opaque');
});

test('the CODEX_HOME of a call and the variables of the catalog reach the app-server', async () => {
	const codexHome = makeDirectory();
	const { catalog } = makeShellCatalog([{ start: 'echo "$CODEX_HOME $A $HOME." >&2; exit 1' }], {
		env: { A: 'b', HOME: undefined },
		retries: 0,
	});
	expect((await failureOf(catalog.list({ codexHome }))).stderr).toBe(`${codexHome} b .`);
});

test('changing the options afterwards changes nothing', async () => {
	const clientInfo = { name: 'then', version: '1' };
	const args = ['-c', 'read -r line; echo "$WHEN $line" >&2; exit 1'];
	const options = { args, env: { WHEN: 'then' }, clientInfo, retries: 0 };
	const { catalog } = makeShellCatalog([], options);
	args.length = 0;
	options.env.WHEN = 'now';
	clientInfo.name = 'now';
	const { stderr } = await failureOf(catalog.list());
	expect(stderr).toMatch(/^then .*"clientInfo":\{"name":"then"/);
});

test('a command function is called once for each fetch, and a path of it starts from the current directory', async () => {
	const command = vi.fn(async () => path.relative('', '/bin/sh'));
	const { refresh } = makeShellCatalog([{ start: '[ $s = 1 ] && exit 1' }], { command });
	for (let count = 1; count <= 2; count++) {
		expect(await refresh()).toEqual(['a']);
		expect(command).toHaveBeenCalledTimes(count);
	}
});

test('a command function that throws or rejects is ERR_CODEX_FETCH with its error as the cause alone, and a CodexModelsError passes', async () => {
	const cause = new Error('of the function, with a secret');
	const throws = () => {
		throw cause;
	};
	for (const command of [throws, () => Promise.reject(cause)]) {
		const { error, events } = await fail({}, { command });
		expect(error).toMatchObject({
			code: 'ERR_CODEX_FETCH',
			message: 'The program that asked for the models of Codex failed. Try again.',
			hint: 'The function that is the option "command" failed with "cause".',
			cause,
		});
		expect(events.all.map(({ type }) => type)).toEqual(['failed']);
	}
	const own = new CodexModelsError('ERR_CODEX_NOT_FOUND', 'no program');
	expect((await fail({}, { command: () => Promise.reject(own) })).error).toBe(own);
});

test('a command function that returns no command is a TypeError, which shows the type of the value only', async () => {
	for (const value of [undefined, '', ' ', 7, 'a\0secret', '~/codex']) {
		const { error, events, starts } = await fail({}, { command: () => value });
		expect(error).toBeInstanceOf(TypeError);
		expect(error.message).toBe(
			`Expected the function "command" to return a name without arguments, which belong in "args", or a path that is not blank and has no NUL, with the home directory in place of "~", got a value (${typeof value})`,
		);
		// An event tells users, too, who know no option.
		expect(events.ofType('failed')[0]?.error.message).toBe(
			'Codex could not be started (its program was not named) (phase spawn). Try again in a while.',
		);
		expect(starts()).toBe(0);
	}
});

test('a file system that does not answer ends at the deadline of the caller', async () => {
	vi.spyOn(search, 'findProblem').mockReturnValue(new Promise(() => {}));
	const { error, starts } = await fail({}, { deadlineMs: 50 });
	expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn', stderr: '' });
	expect(starts()).toBe(0);
});

test('a command function that never returns ends at the deadline of its caller, and close() ends it', async () => {
	let resolve: (command: string) => void = () => {};
	const command = () =>
		new Promise<string>((settle) => {
			resolve = settle;
		});
	const { catalog, starts } = makeShellCatalog([{}], { command });
	const late = { code: 'ERR_CODEX_TIMEOUT', phase: 'spawn' };
	expect(await failureOf(catalog.list({ deadlineMs: 50 }))).toMatchObject(late);
	const waiting = failureOf(catalog.list({ deadlineMs: neverMs }));
	await catalog.close();
	expect(await waiting).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	resolve('/bin/sh');
	await new Promise((settle) => setTimeout(settle, 50));
	expect(starts()).toBe(0);
});

test('a command function that answers after the time of its fetch names no program', async () => {
	let settle: (command: string) => void = () => {};
	const slow = new Promise<string>((resolve) => {
		settle = resolve;
	});
	const commands = [slow];
	const command = () => commands.pop() ?? '/bin/sh';
	const { catalog } = makeShellCatalog([{}], { command, fetchTimeoutMs: 1_500 });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	const list = await catalog.list();
	settle('/bin/another');
	await new Promise(setImmediate);
	expect(catalog.peek()?.models).toBe(list);
});

test('a program without its interpreter is ERR_CODEX_NOT_FOUND, whose cause does not show the arguments', async () => {
	const command = path.join(makeDirectory(), 'my-codex');
	writeFileSync(command, '#!/there/is/none\n', { mode: 0o755 });
	const { error, events } = await fail({}, { command, args: ['opaque-secret'] });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command,
		cause: { code: 'ENOENT', syscall: `spawn ${command}` },
	});
	expect(events.all.map(({ type }) => type)).toEqual(['failed']);
	expect(inspect([error, events.all], { showHidden: true, depth: 9 })).not.toContain('opaque');
});

test('arguments that are too long fail as ERR_CODEX_EXITED, whose cause does not show them', async () => {
	const args = ['opaque-secret', 'x'.repeat(4_000_000)];
	const { error, events } = await fail({}, { args });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		phase: 'spawn',
		exitCode: null,
		signal: null,
		stderr: '',
		cause: { code: 'E2BIG' },
	});
	expect(error.message).toBe(
		'Codex could not be started (spawn E2BIG) (phase spawn, after 0 ms). Try again in a while.',
	);
	expect(inspect([error, events.all], { showHidden: true, depth: 9 })).not.toContain('opaque');
});
