import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import {
	failureOf,
	idsOf,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	type Step,
	script,
	until,
} from '../harness.js';
import { makeGate, makeStore } from './harness.js';

// The rules of the cache that need processes; the others are tested with the fetch of a host.

const gated: Step = ['answers', { models: [{ id: 'a' }], gates: { 'model/list': 'answer' } }];
const answers = (id: string): Step => ['answers', { models: [{ id }] }];

test("at most four app-servers run at once for one CODEX_HOME; others wait in their callers' deadlines", async () => {
	const [codexHome, otherHome] = [makeDirectory(), makeDirectory()];
	const { catalog, events, server } = makeScriptedCatalog([gated], { codexHome });
	const cwds = Array.from({ length: 6 }, () => makeDirectory());
	const lists = cwds.map((cwd) => catalog.list({ cwd }));
	const late = failureOf(catalog.list({ cwd: makeDirectory(), deadlineMs: 50 }));
	await server.untilAsked('model/list', 4);
	expect(await late).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn' });
	expect(events.count('spawned')).toBe(4);
	const other = catalog.list({ codexHome: otherHome });
	await server.untilAsked('model/list', 5);
	server.open('answer');
	for (const list of await Promise.all([...lists, other])) expect(idsOf(list)).toEqual(['a']);
	await until('the seventh has answered', () => events.count('refreshed') === 8);
});

test('fetchTimeoutMs starts with the turn', async () => {
	const hangs: Step = ['hangs', { at: 'model/list' }];
	const steps = [hangs, hangs, hangs, hangs, answers('a')];
	const options = { codexHome: makeDirectory(), fetchTimeoutMs: 3_000 };
	const { catalog, server } = makeScriptedCatalog(steps, options);
	const failures = ['/', '/tmp', '/usr', '/etc'].map((cwd) => failureOf(catalog.list({ cwd })));
	await server.untilAsked('model/list', 4);
	const list = catalog.list({ cwd: makeDirectory() });
	for (const error of await Promise.all(failures)) expect(error.code).toBe('ERR_CODEX_TIMEOUT');
	expect(idsOf(await list)).toEqual(['a']);
});

test('another program at the path of the command makes the list stale', async () => {
	const { server, ...rest } = { server: script(answers('old')), codexHome: makeDirectory() };
	const command = path.join(server.installAsCodex(), 'codex');
	const { catalog } = makeCatalog({ ...rest, command });
	expect(await catalog.read()).toMatchObject({ isFresh: true });
	writeFileSync(command, `#!/bin/sh\nexit 1\n`);
	await until('the list is stale', () => {
		catalog.list();
		return catalog.peek()?.isFresh === false;
	});
	expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['old']);
});

test('a command function is asked before a store is, and each program has lists of its own', async () => {
	const programs = [script(answers('one')), script(answers('two'))].map((server) =>
		path.join(server.installAsCodex(), 'codex'),
	);
	let command = programs[0] as string;
	const options = { codexHome: makeDirectory(), store: new Map(), command: () => command };
	const { catalog, events } = makeCatalog(options);
	const other = { cwd: makeDirectory() };
	for (const target of [{}, other]) expect(idsOf(await catalog.list(target))).toEqual(['one']);
	command = programs[1] as string;
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['two']);
	for (const target of [{}, other]) expect(idsOf(await catalog.list(target))).toEqual(['two']);
	await catalog.close();
	expect(options.store.size).toBe(4);
	for (const [index, id] of ['one', 'two'].entries()) {
		command = programs[index] as string;
		expect(idsOf(await makeCatalog(options).catalog.list())).toEqual([id]);
	}
	expect(events.count('spawned')).toBe(4);
});

test('a program that a command function names during the wait for a lock is the one that is asked', async () => {
	const programs = [script(answers('one')), script(answers('two'))].map((server) =>
		path.join(server.installAsCodex(), 'codex'),
	);
	const [waits, locked] = [makeGate(), makeGate()];
	const lock = vi
		.fn(async () => () => {})
		.mockImplementationOnce(async () => {
			waits.open();
			await locked.opened;
			return () => {};
		});
	const command = () => programs[lock.mock.calls.length] as string;
	const options = { codexHome: makeDirectory(), store: makeStore({ lock }), command };
	const { catalog } = makeCatalog(options);
	const list = catalog.list();
	await waits.opened;
	await catalog.list({ cwd: makeDirectory() });
	locked.open();
	await list;
	expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['two']);
});
