import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { CodexModelsError } from '../src/errors.js';
import { failureOf, makeCatalog, makeDirectory, makeScriptedCatalog, neverMs } from './harness.js';

test('a command that is not there is ERR_CODEX_NOT_FOUND, and the message says how to install it', async () => {
	const { catalog, events } = makeCatalog({ command: 'codex-that-is-not-there', deadlineMs: neverMs });
	const error = await failureOf(catalog.list());
	expect(error).toBeInstanceOf(CodexModelsError);
	expect(error).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'codex-that-is-not-there',
		cause: { code: 'ENOENT' },
	});
	expect(error.message).toMatch(/"codex-that-is-not-there".*npm install -g @openai\/codex/);
	expect(error.message).toMatch(/spawn, after \d+ ms/);
	expect(events.count('spawned')).toBe(0);
	expect(events.count('retried')).toBe(0);
	expect(events.count('failed')).toBe(1);
});

test('a command that may not be run is ERR_CODEX_NOT_FOUND', async () => {
	const command = path.join(makeDirectory(), 'codex');
	writeFileSync(command, '#!/bin/sh\n');
	const { catalog, events } = makeCatalog({ command, deadlineMs: neverMs });
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command, cause: { code: 'EACCES' } });
	expect(error.message).toContain(command);
	expect(error.message).not.toContain('was not found');
	expect(events.count('retried')).toBe(0);
});

test('a command that is a directory is ERR_CODEX_NOT_FOUND', async () => {
	const command = makeDirectory();
	const { catalog } = makeCatalog({ command, deadlineMs: neverMs });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command });
});

test('a command whose interpreter is missing is ERR_CODEX_NOT_FOUND', async () => {
	const command = path.join(makeDirectory(), 'codex');
	writeFileSync(command, '#!/nowhere/node\n');
	chmodSync(command, 0o755);
	const { catalog } = makeCatalog({ command, deadlineMs: neverMs });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command });
});

test('a missing cwd is ERR_CODEX_NOT_FOUND, and the message blames it and not the command', async () => {
	const cwd = path.join(makeDirectory(), 'gone');
	const { catalog, server } = makeScriptedCatalog([['answers']], { cwd });
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command: server.command,
		cause: { code: 'ENOENT' },
	});
	expect(error.message).toContain(cwd);
	expect(error.message).not.toContain('npm install');
	expect(server.starts).toBe(0);
});

test('a cwd that is a file is ERR_CODEX_NOT_FOUND, too', async () => {
	const cwd = path.join(makeDirectory(), 'file');
	writeFileSync(cwd, '');
	const { catalog } = makeScriptedCatalog([['answers']], { cwd });
	const error = await failureOf(catalog.list());
	expect(error.code).toBe('ERR_CODEX_NOT_FOUND');
	expect(error.message).toContain(cwd);
});

test('arguments that the system does not take are no ERR_CODEX_NOT_FOUND', async () => {
	const { catalog } = makeScriptedCatalog([['answers']], { args: ['x'.repeat(4 * 1024 * 1024)] });
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', phase: 'spawn', cause: { code: 'E2BIG' } });
});

test('an exit says its code, its words, the phase, the time and what to try', async () => {
	const { catalog, server } = makeScriptedCatalog([['exits', { at: 'model/list', code: 3, stderr: 'first line\nlast line\n' }]]);
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_EXITED',
		exitCode: 3,
		signal: null,
		stderr: 'first line\nlast line',
		phase: 'model/list',
	});
	expect(error.message).toMatch(/exit code 3/);
	expect(error.message).toMatch(/model\/list, after \d+ ms/);
	expect(error.message).toContain('last line');
	expect(error.message).not.toContain('first line');
	expect(error.message).toContain(server.command);
});

test('an end by a signal says which', async () => {
	const { catalog } = makeScriptedCatalog([['endsBySignal', { at: 'initialize', signal: 'SIGKILL' }]]);
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: null,
		signal: 'SIGKILL',
		stderr: '',
		phase: 'initialize',
	});
	expect(error.message).toContain('SIGKILL');
});

test('the words of an error hold no secret, no terminal code, and at most 4 KiB', async () => {
	const secret = 'sk-proj-0123456789abcdefghij';
	const { catalog } = makeScriptedCatalog([
		[
			'exits',
			{
				at: 'initialize',
				code: 1,
				stderr: `${'a line that is not the last\n'.repeat(300)}\u001b[31mkey ${secret}\u001b[0m\n`,
			},
		],
	]);
	const error = await failureOf(catalog.list());
	expect(error.stderr).toMatch(/a line/);
	expect(error.stderr).toMatch(/last\nkey \[redacted\]$/);
	expect(Buffer.byteLength(String(error.stderr))).toBeLessThanOrEqual(4096);
	expect(error.message).toContain('key [redacted]');
	expect(JSON.stringify([error.message, error.stack, error])).not.toMatch(/0123456789|\\u001b/);
});

test("a caller's deadline says its length, the phase, the last words and what to try", async () => {
	const { catalog, server } = makeScriptedCatalog([['hangs', { at: 'model/list', stderr: 'refreshing the token\n' }]]);
	const fetch = failureOf(catalog.list());
	await server.untilAsked('model/list');
	const error = await failureOf(catalog.list({ deadlineMs: 50 }));
	expect(error).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 50,
		phase: 'model/list',
		stderr: 'refreshing the token',
	});
	expect(error.message).toMatch(/50 ms.*deadlineMs.*model\/list.*refreshing the token.*login/);
	await catalog.close();
	await fetch;
});

test("a fetch's limit says its length, the phase and the last words", async () => {
	const { catalog } = makeScriptedCatalog([['hangs', { at: 'initialize', stderr: 'stuck\n' }]], {
		fetchTimeoutMs: 1_000,
	});
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 1_000,
		phase: 'initialize',
		stderr: 'stuck',
	});
	expect(error.message).toMatch(/1000 ms.*fetchTimeoutMs.*initialize.*stuck/);
});

test('a JSON-RPC error has its code and data, the phase, and its words in the message', async () => {
	const data = { reason: 'cloudConfigBundle', errorCode: 'Timeout' };
	const { catalog } = makeScriptedCatalog([
		['refuses', { at: 'model/list', error: { code: -32600, message: 'failed to load configuration', data } }],
	]);
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_RPC',
		rpcCode: -32600,
		rpcData: data,
		phase: 'model/list',
	});
	expect(error.message).toMatch(/-32600.*model\/list, after \d+ ms.*failed to load configuration/);
});

test('a JSON-RPC error shows no secret of its message or data', async () => {
	const secret = 'sk-proj-0123456789abcdefghij';
	const { catalog } = makeScriptedCatalog([
		[
			'refuses',
			{
				at: 'initialize',
				error: { code: -32603, message: `bad ${secret}`, data: { access_token: 'opaque', secret } },
			},
		],
	]);
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -32603, phase: 'initialize' });
	expect(error.message).toContain('bad [redacted]');
	expect(JSON.stringify([error.message, error.stack, error])).not.toMatch(/0123456789|opaque/);
});

test('an answer that cannot be read says what is wrong with it, in which phase and after how long', async () => {
	const { catalog } = makeScriptedCatalog([['answers', { result: { data: 'none' } }]]);
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({ name: 'CodexModelsError', code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(error.message).toMatch(/model\/list, after \d+ ms.*data/);
});

test('a closed catalog says so', async () => {
	const { catalog } = makeScriptedCatalog([['answers']]);
	await catalog.close();
	const error = await failureOf(catalog.list());
	expect(error).toBeInstanceOf(CodexModelsError);
	expect(error).toMatchObject({ name: 'CodexModelsError', code: 'ERR_CODEX_CLOSED' });
	expect(error.message).toMatch(/closed/);
});

test('an error has the properties of its code and no others', async () => {
	const propertiesOf = (error: object) => Object.keys(error).sort();
	const failWith = async (...[steps, options]: Parameters<typeof makeScriptedCatalog>) =>
		propertiesOf(await failureOf(makeScriptedCatalog(steps, options).catalog.list()));
	expect(await failWith([['exits', { at: 'start', code: 1 }]])).toEqual(['code', 'exitCode', 'phase', 'signal', 'stderr']);
	expect(await failWith([['refuses', { at: 'initialize', error: { code: 1, message: 'a' } }]])).toEqual([
		'code',
		'phase',
		'rpcCode',
		'rpcData',
	]);
	expect(await failWith([['answers', { result: 7 }]])).toEqual(['code', 'phase']);
	expect(await failWith([['hangs', { at: 'start' }]], { deadlineMs: 1 })).toEqual(['code', 'phase', 'stderr', 'timeoutMs']);
	expect(await failWith([['answers']], { command: '/nowhere' })).toEqual(['code', 'command']);
});
