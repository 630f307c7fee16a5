import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { unload } from 'signal-exit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onParentExit } from '../../src/app-server/parent-exit.js';
import { afterTest, untilGone } from '../harness.js';
import { buildModule } from '../store/build-module.js';
import { deaf, startSession } from './shell-server.js';

const folder = mkdtempSync(path.join(tmpdir(), 'codex-models-'));
const moduleFile = path.join(folder, 'child-process.mjs');
// The bundle serves all tests of this file.
beforeAll(() => copyFileSync(new URL(buildModule('app-server/child-process.ts')), moduleFile));
afterAll(() => rmSync(folder, { recursive: true }));

type Ending = {
	exitCode: number | null;
	signal: NodeJS.Signals | null;
	stdout: string;
	stderr: string;
};

/** A host with a child that ignores the end of its input and SIGTERM, and a grandchild that does, too. */
function startHost(source: string): {
	child: ChildProcessWithoutNullStreams;
	ready: Promise<number[]>;
	done: Promise<Ending>;
} {
	const script = `(${deaf}) & echo "up $!"; ${deaf}`;
	const head = `
		import { ServerProcess } from ${JSON.stringify(moduleFile)};
		let resolve;
		const up = new Promise((r) => { resolve = r; });
		const server = new ServerProcess(
			{ file: '/bin/sh', args: ['-c', ${JSON.stringify(script)}], cwd: '/', env: process.env },
			{ onStdout: (chunk) => resolve(String(chunk)), onStderr() {}, onDisconnect() {} },
		);
		const alive = setTimeout(() => {}, 60_000);
		console.log(server.pid, await up);
		clearTimeout(alive);
	`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', head + source]);
	const result = { stdout: '', stderr: '' };
	const ready = new Promise<number[]>((resolve, reject) => {
		child.once('close', () => reject(new Error(result.stderr)));
		child.stdout.setEncoding('utf8').on('data', (chunk) => {
			result.stdout += chunk;
			const [, pid, grandchild] = /(\d+) up (\d+)/.exec(result.stdout) ?? [];
			if (pid) resolve([Number(pid), Number(grandchild)]);
		});
	});
	child.stderr.setEncoding('utf8').on('data', (chunk) => {
		result.stderr += chunk;
	});
	const done = new Promise<Ending>((resolve) => {
		child.once('close', (exitCode, signal) => resolve({ exitCode, signal, ...result }));
	});
	afterTest(() => child.kill('SIGKILL'));
	return { child, ready, done };
}

const endings: [way: string, source: string, ending: Partial<Ending>][] = [
	['returns', '', { exitCode: 0, signal: null, stderr: '' }],
	['calls process.exit', 'process.exit(7);', { exitCode: 7 }],
	[
		'throws',
		`throw new Error('of the host');`,
		{ exitCode: 1, stderr: expect.stringContaining('of the host') },
	],
	['leaves a rejection unhandled', `Promise.reject(new Error('of the host'));`, { exitCode: 1 }],
	[
		'returns while the child is being ended',
		`server.shutDown('gracefulShutdown');`,
		{ exitCode: 0, signal: null, stderr: '' },
	],
];

test.each(endings)(
	'a parent process that %s leaves neither child nor grandchild',
	async (_, source, ending) => {
		const { ready, done } = startHost(source);
		const pids = await ready;
		expect(await done).toMatchObject(ending);
		await untilGone(...pids);
	},
);

test('a parent process that a signal ends leaves neither child nor grandchild', async () => {
	const hosts = (['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map(async (signal) => {
		const { child, ready, done } = startHost('process.stdin.resume();');
		const pids = await ready;
		child.kill(signal);
		expect(await done).toMatchObject({ exitCode: null, signal });
		await untilGone(...pids);
	});
	await Promise.all(hosts);
});

test('a parent process that handles SIGTERM itself, by on or once, ends as it likes', async () => {
	const hosts = ['on', 'once'].map(async (on) => {
		const { child, ready, done } = startHost(`
			process.${on}('SIGTERM', async () => {
				server.shutDown('fastShutdown');
				console.log('gone', JSON.stringify(await server.exited));
				process.exit(3);
			});
			console.error('listens');
			process.stdin.resume();`);
		const listens = new Promise((resolve) => child.stderr.once('data', resolve));
		const pids = await ready;
		await listens;
		child.kill('SIGTERM');
		expect(await done).toMatchObject({
			exitCode: 3,
			signal: null,
			stdout: expect.stringContaining('"SIGKILL"'),
		});
		await untilGone(...pids);
	});
	await Promise.all(hosts);
});

test('a step is called at the exit until it is cancelled, and listeners stay only while there are steps', () => {
	const events = ['exit', 'SIGTERM', 'SIGINT', 'SIGHUP'];
	const count = () => events.map((name) => process.listenerCount(name));
	const before = count();
	const cancel = [onParentExit(() => {}), onParentExit(() => {})];
	expect(count().every((number, index) => number > (before[index] as number))).toBe(true);
	const during = count();
	for (let number = 0; number < 50; number++) cancel.push(onParentExit(() => {}));
	expect(count()).toEqual(during);
	for (const step of cancel) step();
	for (const step of cancel) step();
	expect(count()).toEqual(before);
});

test('a test runner that empties the globals of signal-exit gets no error, at the end of an app-server or at its start', async () => {
	const emitterName = Symbol.for('signal-exit emitter');
	const { [emitterName]: emitter } = globalThis as unknown as { [emitterName]: object };
	const state = { ...emitter };
	const before = process.listenerCount('exit');
	const cancel = onParentExit(() => {});
	for (const name of Object.keys(state)) Reflect.deleteProperty(emitter, name);
	// It keeps its listeners on signals.
	afterTest(unload);
	afterTest(() => Object.assign(emitter, state));
	expect(cancel).not.toThrow();
	expect(process.listenerCount('exit')).toBe(before);
	const { session } = startSession({});
	expect((await session.listModels()).models).toHaveLength(1);
	session.shutDown('gracefulShutdown');
	expect(await session.exited).toEqual({ exitCode: 0, signal: null });
	expect(process.listenerCount('exit')).toBe(before);
});
