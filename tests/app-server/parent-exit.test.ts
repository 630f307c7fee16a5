import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { unload } from 'signal-exit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onParentExit } from '../../src/app-server/parent-exit.js';
import { afterTest, runModule, until, untilGone } from '../harness.js';
import { buildModule } from '../store/build-module.js';
import { deaf, startSession } from './shell-server.js';

const folder = mkdtempSync(path.join(tmpdir(), 'codex-models-'));
const moduleFile = path.join(folder, 'child-process.mjs');
// The bundle serves all tests of this file.
beforeAll(() => copyFileSync(new URL(buildModule('app-server/child-process.ts')), moduleFile));
afterAll(() => rmSync(folder, { recursive: true }));

/** A host with a child that ignores the end of its input and SIGTERM, and a grandchild that does, too. */
function startHost(source: string, before = '') {
	const script = `(${deaf}) & echo "$$ up $!"; ${deaf}`;
	const host = runModule(`
		import { attendProcess, spawnProcess } from ${JSON.stringify(moduleFile)};
		let resolve;
		const up = new Promise((r) => { resolve = r; });
		${before}
		const args = ['-c', ${JSON.stringify(script)}];
		const child = spawnProcess({ file: '/bin/sh', args, cwd: '/', env: process.env });
		const server = attendProcess(child);
		child.stdout.once('data', (chunk) => resolve(String(chunk)));
		const alive = setTimeout(() => {}, 60_000);
		const words = await up;
		clearTimeout(alive);
		console.log(words);
		${source}
	`);
	const untilSaid = (word: string) =>
		until(`the host says "${word}"`, () => host.output.stdout.includes(word));
	/** Whether the host ended like that, and neither child nor grandchild lives on. */
	const expectEnding = async (ending: object) => {
		expect(await host.done).toMatchObject(ending);
		const pids = /(\d+) up (\d+)/.exec(host.output.stdout)?.slice(1).map(Number) ?? [];
		expect(pids).toHaveLength(2);
		await untilGone(...pids);
	};
	return { ...host, untilSaid, expectEnding };
}

test('a parent process that handles SIGTERM itself, by on or once, ends as it likes', async () => {
	const hosts = ['on', 'once'].map(async (on) => {
		// A listener from before the start runs first, and is gone afterwards where it was added by once.
		const handle = `process.${on}('SIGTERM', async () => {
			server.shutDown('fastShutdown');
			console.log('gone', JSON.stringify(await server.exited));
			process.exit(3);
		});`;
		const host = startHost(`process.stdin.resume(); console.log('listens');`, handle);
		await host.untilSaid('listens');
		host.child.kill('SIGTERM');
		const stdout = expect.stringContaining('"SIGKILL"');
		await host.expectEnding({ exitCode: 3, signal: null, stdout });
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
	session.process.shutDown('gracefulShutdown');
	expect(await session.process.exited).toEqual({ exitCode: 0, signal: null });
	expect(process.listenerCount('exit')).toBe(before);
});
