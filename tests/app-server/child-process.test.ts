import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, expect, test, vi } from 'vitest';
import { timings } from '../../src/app-server/child-process.js';
import * as timers from '../../src/system/timers.js';
import { afterTest, failureOf, isAlive, neverMs, until, untilGone } from '../harness.js';
import { deaf, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

const isLinux = process.platform === 'linux';
const words = ({ session }: ReturnType<typeof startSession>) => session.progress.stderr;
const readPid = (server: ReturnType<typeof startSession>) => Number(/\d+/.exec(words(server))?.[0]);

test('an idle app-server is ended by the end of its input, and by nothing else', async () => {
	const server = startSession({
		start: `trap 'echo TERM >&2' TERM; echo up >&2`,
		end: 'sleep 0.3; echo bye >&2; exit 4',
	});
	await server.untilSaid('up');
	server.session.process.shutDown('gracefulShutdown');
	expect(await server.session.process.exited).toEqual({ exitCode: 4, signal: null });
	expect(words(server)).toBe('up\nbye');
	expect(isAlive(server.session.process.pid as number)).toBe(false);
});

test('an app-server that stays after the end of its input gets SIGTERM, and then SIGKILL', async () => {
	for (const [trap, signal, terminateMs] of [
		[':', 'SIGTERM', neverMs],
		[`trap '' TERM`, 'SIGKILL', 100],
	] as const) {
		setTimings({ gracefulShutdown: { endOfInputMs: 100, terminateMs } });
		const { session, untilSaid } = startSession({
			start: `${trap}; echo up >&2`,
			end: 'while :; do sleep 0.01; done',
		});
		await untilSaid('up');
		session.process.shutDown('gracefulShutdown');
		expect(await session.process.exited).toEqual({ exitCode: null, signal });
		expect(isAlive(session.process.pid as number)).toBe(false);
	}
});

test('a fast shutdown brings a graceful one forward, and a graceful one does not delay a fast one', async () => {
	setTimings({ gracefulShutdown: { endOfInputMs: neverMs, terminateMs: neverMs } });
	for (const order of [
		['gracefulShutdown', 'fastShutdown'],
		['fastShutdown', 'gracefulShutdown'],
	] as const) {
		const { session, untilSaid } = startSession({ start: `echo up >&2; ${deaf}` });
		await untilSaid('up');
		for (const kind of order) session.process.shutDown(kind);
		expect(await session.process.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
	}
});

test('an app-server that SIGKILL does not end is given up', async () => {
	const { session, untilSaid } = startSession({ start: `echo up >&2; ${deaf}` });
	await untilSaid('up');
	const kill = vi.spyOn(process, 'kill').mockImplementation(() => true);
	const failure = failureOf(session.listModels());
	session.process.shutDown('fastShutdown');
	expect(await session.process.exited).toEqual({ exitCode: null, signal: null });
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: null, signal: null });
	const sent = kill.mock.calls.map(([, signal]) => signal).filter((signal) => signal !== 0);
	expect(sent.slice(0, 2)).toEqual(['SIGTERM', 'SIGKILL']);
	kill.mockRestore();
	process.kill(-(session.process.pid as number), 'SIGKILL');
	await untilGone(session.process.pid as number);
});

test.each([
	['and holds the pipes', 'sleep 60 &'],
	['and holds none', 'sleep 60 </dev/null >/dev/null 2>&1 &'],
	['and ignores SIGTERM', `(${deaf}) &`],
])(
	'an app-server that ended by itself leaves no grandchild: it lived on %s',
	async (_, grandchild) => {
		const server = startSession({ start: `${grandchild} echo $! >&2; exit 3` });
		expect(await server.session.process.exited).toEqual({ exitCode: 3, signal: null });
		expect(readPid(server)).toBeGreaterThan(0);
		expect(isAlive(readPid(server))).toBe(false);
	},
);

/** The state and the group of each process that is not gone, a dead one that waits for its parent included. */
function readStates(): { pid: number; state: string; group: number }[] {
	return readdirSync('/proc').flatMap((name) => {
		try {
			const text = readFileSync(`/proc/${Number(name)}/stat`, 'utf8');
			const [state = '', , group] = text.slice(text.lastIndexOf(')') + 2).split(' ');
			return { pid: Number(name), state, group: Number(group) };
		} catch {
			return [];
		}
	});
}

test.runIf(isLinux)(
	'the end of a group does not wait for a dead process whose parent lives on',
	async () => {
		// The shell becomes a `sleep` in a group of its own, which never asks for the exit of its child.
		const neglect = `sh -c 'true & exec setsid sleep 60 </dev/null >/dev/null 2>&1' & echo "$! up" >&2`;
		const server = startSession({ start: neglect });
		await server.untilSaid('up');
		const group = server.session.process.pid as number;
		const parent = readPid(server);
		afterTest(() => process.kill(parent, 'SIGKILL'));
		const findZombie = () =>
			readStates().find((process) => process.group === group && process.state === 'Z');
		await until(
			'the parent has left its group, and its child is dead',
			() =>
				readStates().some((process) => process.pid === parent && process.group === parent) &&
				findZombie() !== undefined,
		);
		const kill = vi.spyOn(process, 'kill');
		server.session.process.shutDown('gracefulShutdown');
		expect(await server.session.process.exited).toEqual({ exitCode: 0, signal: null });
		expect(findZombie()).toBeDefined();
		// SIGKILL ends the wait for what SIGTERM left.
		const sent = kill.mock.calls.filter(([pid, signal]) => pid === -group && signal !== 0);
		expect(sent).toEqual([[-group, 'SIGTERM']]);
	},
);

test('an app-server that closed its output gets the end of its input, and its exit is told', async () => {
	const { session } = startSession({ start: 'exec >&-', end: 'sleep 0.3; exit 6' });
	expect(await failureOf(session.listModels())).toMatchObject({ exitCode: null, signal: null });
	expect(await session.process.exited).toEqual({ exitCode: 6, signal: null });
});

test('a closed output right before the exit is told with the exit code', async () => {
	setTimings({ outputToExitMs: neverMs });
	for (let count = 0; count < 3; count++) {
		const { session } = startSession({ start: `exec >&-; sleep 0.02; exit 6` });
		expect(await failureOf(session.listModels())).toMatchObject({ exitCode: 6, signal: null });
	}
});

test('an app-server that is gone leaves no listener on this process, no timer and no pipe', async () => {
	const count = () => ['exit', 'SIGTERM', 'SIGINT'].map((name) => process.listenerCount(name));
	const before = { listeners: count(), resources: process.getActiveResourcesInfo().length };
	const sleep = vi.spyOn(timers, 'sleep');
	const sessions = Array.from({ length: 20 }, () => startSession({}).session);
	for (const session of sessions) session.process.shutDown('gracefulShutdown');
	await Promise.all(sessions.map((session) => session.process.exited));
	expect(count()).toEqual(before.listeners);
	// The long timers are cleared; those of a moment run out by themselves.
	const { endOfInputMs } = timings.gracefulShutdown;
	const long = sleep.mock.results.filter(
		(_, index) => sleep.mock.calls[index]?.[0] === endOfInputMs,
	);
	expect(long).toHaveLength(20);
	for (const { value } of long) await expect(value).rejects.toThrow(/abort/);
	await until(
		'only the resources from before are left',
		() => process.getActiveResourcesInfo().length <= before.resources,
	);
});
