import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import {
	afterTest,
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

/** The output of a process of that runtime, line by line, and its end. */
function run({ file }: Runtime, args: string[], env: NodeJS.ProcessEnv = {}) {
	const child = spawn(file, args, {
		env: { ...process.env, ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	afterTest(() => child.kill('SIGKILL'));
	let stdout = '';
	let stderr = '';
	child.stderr.setEncoding('utf8').on('data', (chunk) => {
		stderr += chunk;
	});
	const lines = createInterface({ input: child.stdout });
	lines.on('line', (line) => {
		stdout += `${line}\n`;
	});
	const told = new Promise<void>((resolve) => lines.once('line', () => resolve()));
	const done = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>(
		(resolve) => {
			child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
		},
	);
	return {
		child,
		/** The first thing that it tells is told. */
		told,
		/** All that it told, when it is gone. */
		async end() {
			const end = await done;
			return { ...end, stdout, stderr };
		},
		done,
	};
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

/** The one thing that a host told that has ended as it should. */
async function toldBy({ end }: Pick<ReturnType<typeof run>, 'end'>) {
	const { stdout, stderr, ...rest } = await end();
	expect({ ...rest, stderr }).toEqual({ exitCode: 0, signal: null, stderr: '' });
	return JSON.parse(stdout);
}

const models = [{ id: 'a' }, { id: 'b', hidden: true }];
const answers: Step = ['answers', { models }];
const hangs: Step = ['hangs', { at: 'model/list', ignores: ['end', 'SIGTERM'] }];

onEach(
	'$name: a list in both views, from one app-server, the caller owns its copy',
	async (runtime) => {
		const { server, ...process } = play(runtime, 'lists', [answers]);
		expect(await toldBy(process)).toMatchObject({ visible: ['a'], all: ['a', 'b'] });
		expect(server.starts).toBe(1);
		await untilGone(...server.pids);
	},
);

onEach('$name: the real Codex, asked by the drop-in', async (runtime) => {
	const env = { PATH: `${fileOf('../../node_modules/.bin')}:${globalThis.process.env.PATH}` };
	const process = run(runtime, [host, 'lists by the drop-in'], {
		...env,
		CODEX_HOME: makeDirectory(),
	});
	const { visible, all, names } = await toldBy(process);
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
	const process = play(runtime, 'fails', [answers], { command: 'no-such-codex' });
	expect(await toldBy(process)).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'no-such-codex',
	});
});

onEach('$name: a deadline, whose host leaves nothing behind', async (runtime) => {
	const { server, ...process } = play(runtime, 'fails', [hangs], { deadlineMs: 1_500 });
	expect(await toldBy(process)).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 1_500 });
	await untilGone(...server.pids);
});

onEach('$name: an abort rejects with its reason', async (runtime) => {
	const { server, ...process } = play(runtime, 'aborts', [hangs]);
	expect(await toldBy(process)).toEqual({ isTheReason: true, isTheReasonAgain: true });
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
	expect(await toldBy(first)).toMatchObject({
		ids: ['a'],
		events: expect.arrayContaining(['spawned']),
	});
	const { command, args } = first.server;
	const facts = JSON.stringify({ ...limits, command, args });
	const second = run(runtime, [host, 'shares', facts, JSON.stringify({ directory })]);
	const { ids, events } = await toldBy(second);
	expect(ids).toEqual(['a']);
	expect(events).toEqual(['loaded', 'miss']);
	expect(first.server.starts).toBe(1);
});

test.each(
	runtimes.flatMap((runtime) =>
		[
			{ way: 'returns', leave: 'return', ending: { exitCode: 0 } },
			{ way: 'calls process.exit', leave: 'exit', ending: { exitCode: 7 } },
			{ way: 'throws', leave: 'throw', ending: { exitCode: 1 } },
			{ way: 'is ended by SIGTERM', leave: 'wait', ending: { signal: 'SIGTERM' as const } },
			{ way: 'is ended by SIGINT', leave: 'wait', ending: { signal: 'SIGINT' as const } },
			{ way: 'is ended by SIGHUP', leave: 'wait', ending: { signal: 'SIGHUP' as const } },
		].map((row) => ({ ...row, name: runtime.name, runtime })),
	),
)('$name: a host that $way leaves no app-server, though that heeds nothing', async (row) => {
	const { runtime, leave, ending } = row;
	// With a deadline a host that returns waits for its call; without the wait there is nothing that it stays for.
	const options = leave === 'return' ? { deadlineMs: 500 } : {};
	const { server, child, told, done } = play(runtime, 'leaves', [hangs], options, { leave });
	await told;
	if (ending.signal) {
		await server.untilAsked('model/list');
		child.kill(ending.signal);
	}
	expect(await done).toEqual({ exitCode: null, signal: null, ...ending });
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
	const { stdout, exitCode } = await run(runtime, args, env).end();
	expect({ exitCode, models: JSON.parse(stdout) }).toEqual({ exitCode: 0, models: first });
});
