import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import {
	follow,
	makeDirectory,
	neverMs,
	realCodex,
	type Step,
	script,
	untilGone,
} from '../harness.js';
import type { Runtime } from './install.js';

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const host = fileOf('host.js');
const commandLine = fileOf('../../dist/cli/command-line.js');

const runtimes = inject('runtimes');
const onEach = test.each(runtimes);

/** A process of that runtime, what it writes, and its end. */
function run({ file }: Runtime, args: string[], env: NodeJS.ProcessEnv = {}) {
	const child = spawn(file, args, {
		env: { ...process.env, ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	return { ...follow(child), told: once(child.stdout, 'data') };
}

const limits = { retries: 0, deadlineMs: neverMs, fetchTimeoutMs: neverMs };

/** A host with a catalog whose app-server follows these steps. */
function play(
	runtime: Runtime,
	scene: string,
	steps: Step[],
	options: object = {},
	settings: object = {},
) {
	const server = script(...steps);
	const { command, args } = server;
	const facts = JSON.stringify({ ...limits, command, args, ...options });
	return { server, ...run(runtime, [host, scene, facts, JSON.stringify(settings)]) };
}

/** The line of JSON that a process wrote that has ended well. */
async function toldBy({ done }: Pick<ReturnType<typeof run>, 'done'>) {
	const { stdout, ...end } = await done;
	expect(end).toEqual({ exitCode: 0, signal: null, stderr: '' });
	return JSON.parse(stdout);
}

const models = [{ id: 'a' }, { id: 'b', hidden: true }];
const answers: Step = ['answers', { models }];
const hangs: Step = ['hangs', { at: 'model/list', ignores: ['end', 'SIGTERM'] }];

onEach('$name: a frozen list in both views, from one app-server', async (runtime) => {
	const { server, ...process } = play(runtime, 'lists', [answers]);
	const told = { visible: ['a'], all: ['a', 'b'], isFrozen: true };
	expect(await toldBy(process)).toMatchObject(told);
	expect(server.starts).toBe(1);
	await untilGone(...server.pids);
});

onEach('$name: the real Codex, asked by the drop-in', async (runtime) => {
	const PATH = `${fileOf('../../node_modules/.bin')}:${process.env.PATH}`;
	const env = { PATH, CODEX_HOME: makeDirectory() };
	const { visible, all, names } = await toldBy(run(runtime, [host, 'lists by the drop-in'], env));
	expect(visible.length).toBeGreaterThan(1);
	expect(all).toEqual(expect.arrayContaining(visible));
	expect(names).toHaveLength(7);
});

onEach('$name: an early exit is told at once, with its words', async (runtime) => {
	const { server, ...process } = play(runtime, 'fails', [
		['exits', { at: 'model/list', code: 3, stderr: 'no more\n' }],
	]);
	expect(await toldBy(process)).toMatchObject({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_EXITED',
		exitCode: 3,
		phase: 'model/list',
		message: expect.stringContaining('no more'),
	});
	await untilGone(...server.pids);
});

onEach('$name: a command that is not there', async (runtime) => {
	const command = 'no-such-codex';
	const process = play(runtime, 'fails', [answers], { command });
	expect(await toldBy(process)).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command });
});

onEach('$name: a deadline, whose host leaves nothing behind', async (runtime) => {
	const { server, ...process } = play(runtime, 'fails', [hangs], { deadlineMs: 1_500 });
	expect(await toldBy(process)).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 1_500 });
	await untilGone(...server.pids);
});

onEach('$name: an abort rejects with its reason', async (runtime) => {
	const { server, ...process } = play(runtime, 'aborts', [hangs]);
	expect(await toldBy(process)).toEqual({ isTheReason: true });
	await untilGone(...server.pids);
});

onEach('$name: close ends who waits, and the process', async (runtime) => {
	const { server, ...process } = play(runtime, 'closes', [hangs]);
	const closed = { code: 'ERR_CODEX_CLOSED' };
	expect(await toldBy(process)).toMatchObject([closed, closed]);
	await untilGone(...server.pids);
});

onEach('$name: a second process has the list from the file store', async (runtime) => {
	const directory = makeDirectory();
	const first = play(runtime, 'shares', [answers], {}, { directory });
	expect((await toldBy(first)).events).toContain('spawned');
	const { command, args } = first.server;
	const facts = JSON.stringify({ ...limits, command, args });
	const second = run(runtime, [host, 'shares', facts, JSON.stringify({ directory })]);
	expect(await toldBy(second)).toEqual({ ids: ['a'], events: ['loaded', 'miss'] });
	expect(first.server.starts).toBe(1);
});

test.each(
	runtimes.flatMap((runtime) =>
		[
			{ way: 'returns', leave: 'return', ending: { exitCode: 0 } },
			{ way: 'calls process.exit', leave: 'exit', ending: { exitCode: 7 } },
			{ way: 'throws', leave: 'throw', ending: { exitCode: 1 } },
			...(['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal) => ({
				way: `is ended by ${signal}`,
				leave: 'wait',
				ending: { exitCode: null, signal },
			})),
		].map((row) => ({ ...row, name: runtime.name, runtime })),
	),
)('$name: a host that $way leaves no app-server, though that ignores every end', async (row) => {
	const { runtime, leave, ending } = row;
	// A host that returns stays for its call until the deadline.
	const options = leave === 'return' ? { deadlineMs: 500 } : {};
	const { server, child, told, done } = play(runtime, 'leaves', [hangs], options, { leave });
	await told;
	if ('signal' in ending) {
		await server.untilAsked('model/list');
		child.kill(ending.signal);
	}
	expect(await done).toMatchObject({ signal: null, ...ending });
	await untilGone(...server.pids);
});

onEach('$name: a refresh that hangs does not hold a host that is done', async (runtime) => {
	const { server, ...process } = play(runtime, 'refreshes', [answers, hangs], { maxAgeMs: 0 });
	expect(await toldBy(process)).toEqual({ ids: ['a'] });
	await untilGone(...server.pids);
});

onEach('$name: the command line', async (runtime) => {
	const env = { CODEX_HOME: makeDirectory(), HOME: makeDirectory() };
	const args = [commandLine, '--json', '--codex', realCodex];
	const first = await toldBy(run(runtime, args, env));
	expect(first.length).toBeGreaterThan(1);
	expect(await toldBy(run(runtime, args, env))).toEqual(first);
});
