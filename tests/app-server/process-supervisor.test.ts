import { expect, test, vi } from 'vitest';
import {
	type Disconnect,
	ProcessSupervisor,
	type SpawnSpec,
} from '../../src/app-server/process-supervisor.js';
import { afterTest, isAlive, until, untilGone } from '../harness.js';
import { deaf, quickTimings } from './shell-server.js';

/** A process of a shell script, what it wrote, and why it can no longer answer. */
function start(script: string, timings = quickTimings, spec: Partial<SpawnSpec> = {}) {
	const written = { stdout: '', stderr: '' };
	const disconnects: Disconnect[] = [];
	const supervisor = new ProcessSupervisor(
		{ file: '/bin/sh', args: ['-c', script], cwd: '/', env: process.env, ...spec },
		{
			onStdout: (chunk) => {
				written.stdout += chunk;
			},
			onStderr: (chunk) => {
				written.stderr += chunk;
			},
			onDisconnect: (disconnect) => disconnects.push(disconnect),
		},
		timings,
	);
	afterTest(async () => {
		supervisor.shutDown('fastShutdown');
		await supervisor.exited;
	});
	const untilWritten = (text: string) =>
		until(`"${text}" is written`, () => written.stdout.includes(text));
	const untilDisconnected = () =>
		until('the process is disconnected', () => disconnects.length > 0);
	return {
		supervisor,
		written,
		disconnects,
		untilWritten,
		untilDisconnected,
		pid: supervisor.pid as number,
	};
}

const unknownExit = { exitCode: null, signal: null };

test('an idle process is ended by the end of its input, and by nothing else', async () => {
	const { supervisor, disconnects, untilWritten, pid, written } = start(
		`trap 'echo TERM' TERM; echo up; while read -r line; do :; done; sleep 0.3; echo bye; exit 4`,
	);
	await untilWritten('up');
	supervisor.shutDown('gracefulShutdown');
	expect(await supervisor.exited).toEqual({ exitCode: 4, signal: null });
	expect(disconnects).toEqual([{ exitCode: 4, signal: null }]);
	expect(written.stdout).toBe('up\nbye\n');
	expect(isAlive(pid)).toBe(false);
});

test('a process that stays after the end of its input gets SIGTERM, and then SIGKILL', async () => {
	const timings = { ...quickTimings, gracefulShutdown: { endOfInputMs: 150, terminateMs: 100 } };
	const soft = start(
		`echo up; while read -r line; do :; done; echo end; while :; do sleep 0.01; done`,
		timings,
	);
	await soft.untilWritten('up');
	soft.supervisor.shutDown('gracefulShutdown');
	expect(await soft.supervisor.exited).toEqual({ exitCode: null, signal: 'SIGTERM' });
	expect(soft.written.stdout).toBe('up\nend\n');

	const hard = start(
		`trap 'echo TERM' TERM; echo up; cat; echo end; while :; do sleep 0.01; done`,
		timings,
	);
	await hard.untilWritten('up');
	const startedAt = performance.now();
	hard.supervisor.shutDown('gracefulShutdown');
	expect(await hard.supervisor.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
	expect(hard.written.stdout).toMatch(/^up\nend\n(?:TERM\n)+$/);
	expect(performance.now() - startedAt).toBeGreaterThan(240);
	expect(isAlive(hard.pid)).toBe(false);
});

test('a fast shutdown brings a graceful one forward, and a graceful one does not delay a fast one', async () => {
	const timings = {
		...quickTimings,
		gracefulShutdown: { endOfInputMs: 300_000, terminateMs: 300_000 },
	};
	for (const order of [
		['gracefulShutdown', 'fastShutdown'],
		['fastShutdown', 'gracefulShutdown'],
	] as const) {
		const { supervisor, untilWritten } = start(`echo up; ${deaf}`, timings);
		await untilWritten('up');
		for (const kind of order) supervisor.shutDown(kind);
		expect(await supervisor.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
	}
});

test('a process that SIGKILL does not end is given up after a bounded time', async () => {
	const { supervisor, disconnects, untilWritten, pid } = start(`echo up; ${deaf}`);
	await untilWritten('up');
	const kill = vi.spyOn(process, 'kill').mockImplementation(() => true);
	const startedAt = performance.now();
	supervisor.shutDown('fastShutdown');
	expect(await supervisor.exited).toEqual(unknownExit);
	expect(performance.now() - startedAt).toBeGreaterThan(480);
	expect(performance.now() - startedAt).toBeLessThan(5_000);
	expect(disconnects).toEqual([unknownExit]);
	expect(kill.mock.calls.map(([, signal]) => signal)).toEqual(
		expect.arrayContaining(['SIGTERM', 'SIGKILL']),
	);
	kill.mockRestore();
	process.kill(-pid, 'SIGKILL');
	await untilGone(pid);
});

test.each([
	['and holds the pipes', 'sleep 60 &'],
	['and holds none', 'sleep 60 </dev/null >/dev/null 2>&1 &'],
	['and ignores SIGTERM', `(${deaf}) &`],
])('a process that ended by itself leaves no grandchild: it lived on %s', async (_, grandchild) => {
	const { supervisor, disconnects, written } = start(`${grandchild} echo $!; exit 3`);
	expect(await supervisor.exited).toEqual({ exitCode: 3, signal: null });
	expect(disconnects).toEqual([{ exitCode: 3, signal: null }]);
	const pid = Number.parseInt(written.stdout, 10);
	expect(pid).toBeGreaterThan(0);
	await untilGone(pid);
});

test('a process that is killed leaves no grandchild', async () => {
	const { supervisor, written, untilWritten, pid } = start(`(${deaf}) & echo $!; ${deaf}`);
	await untilWritten('\n');
	supervisor.shutDown('fastShutdown');
	await supervisor.exited;
	await untilGone(pid, Number.parseInt(written.stdout, 10));
});

test('a shutdown does not wait for pipes that a process of another group holds', async () => {
	const detach = `setsid sleep 60 & sleep 0.1; echo $!; exit 3`;
	const { supervisor, written } = start(detach);
	expect(await supervisor.exited).toEqual({ exitCode: 3, signal: null });
	const pid = Number.parseInt(written.stdout, 10);
	expect(isAlive(pid)).toBe(true);
	process.kill(pid, 'SIGKILL');
});

test('a process has a process group of its own, so that a Ctrl-C in the terminal is left to its parent', async () => {
	const { pid, untilWritten } = start('echo up; cat');
	await untilWritten('up');
	expect(() => process.kill(-pid, 0)).not.toThrow();
});

test('a closed output of a living process is told within a moment, and its input is closed', async () => {
	const { disconnects, untilDisconnected, supervisor } = start(`exec >&-; cat; sleep 0.3; exit 6`);
	await untilDisconnected();
	expect(disconnects).toEqual([unknownExit]);
	expect(await supervisor.exited).toEqual({ exitCode: 6, signal: null });
	expect(disconnects).toHaveLength(1);
});

test('a closed output right before the exit is told with the exit code', async () => {
	for (let count = 0; count < 3; count++) {
		const { disconnects, supervisor } = start(`exec >&-; sleep 0.02; exit 6`, {
			...quickTimings,
			outputToExitMs: 2_000,
		});
		await supervisor.exited;
		expect(disconnects).toEqual([{ exitCode: 6, signal: null }]);
	}
});

test('all that a process wrote until its exit is handed over before the disconnect', async () => {
	const { supervisor, disconnects, written } = start(
		`head -c 3000000 /dev/zero | tr '\\0' x; echo why >&2; exit 1`,
	);
	await until('the process is disconnected', () => disconnects.length > 0);
	expect([written.stdout.length, written.stderr]).toEqual([3_000_000, 'why\n']);
	await supervisor.exited;
});

test('a write that fails because the input is closed is told as a disconnect, and harms nothing', async () => {
	const { supervisor, disconnects, untilWritten, untilDisconnected } = start(
		`exec <&-; echo up; ${deaf}`,
	);
	await untilWritten('up');
	supervisor.tryWrite(' ');
	supervisor.write('{}');
	supervisor.write('{}');
	await untilDisconnected();
	expect(disconnects).toEqual([unknownExit]);
	supervisor.shutDown('fastShutdown');
	supervisor.write('{}');
	supervisor.tryWrite(' ');
	await supervisor.exited;
	supervisor.write('{}');
	supervisor.tryWrite(' ');
});

test('input that a process can do without is dropped and closed where the process does not read', async () => {
	const timings = { ...quickTimings, unreadInputMs: 100 };
	const deafened = start(`echo up; sleep 0.5; cat >/dev/null; echo end; exit 0`, timings);
	await deafened.untilWritten('up');
	for (let count = 0; count < 10_000; count++) deafened.supervisor.tryWrite('x'.repeat(1_000));
	await deafened.untilWritten('end');
	expect(await deafened.supervisor.exited).toMatchObject({ exitCode: 0 });

	const reading = start(`echo up; while read -r line; do printf '%s,' "$line"; done`, timings);
	await reading.untilWritten('up');
	for (let count = 0; count < 100; count++) reading.supervisor.tryWrite(`${count}\n`);
	await reading.untilWritten(',99,');
	await new Promise((resolve) => setTimeout(resolve, 150));
	reading.supervisor.write('still open');
	await reading.untilWritten('still open');
});

test('a program that cannot be started is told later, once, as a disconnect', async () => {
	const tooLong = 'x'.repeat(4_000_000);
	for (const [spec, code] of [
		[{ file: '/nowhere/codex' }, 'ENOENT'],
		[{ file: '/etc' }, 'EACCES'],
		[{ args: [tooLong] }, 'E2BIG'],
		[{ args: ['a\0'] }, 'ERR_INVALID_ARG_VALUE'],
		[{ cwd: '/nowhere' }, 'ENOENT'],
	] as const) {
		const { supervisor, disconnects } = start('exit', quickTimings, spec);
		expect(disconnects).toEqual([]);
		expect(supervisor.pid).toBeUndefined();
		supervisor.write('{}');
		supervisor.tryWrite(' ');
		supervisor.shutDown('fastShutdown');
		expect(await supervisor.exited).toBeUndefined();
		expect(disconnects).toMatchObject([{ ...unknownExit, spawnError: { code } }]);
	}
});

test('a flood of output leaves the event loop its turns', async () => {
	const { supervisor } = start(`yes '' >&2 & yes '{}'`);
	let turns = 0;
	const timer = setInterval(() => turns++, 1);
	await new Promise((resolve) => setTimeout(resolve, 500));
	clearInterval(timer);
	expect(turns).toBeGreaterThan(10);
	supervisor.shutDown('fastShutdown');
	await supervisor.exited;
});

test('a process that is gone leaves no listener on the parent process, no timer and no pipe', async () => {
	const count = () => [
		process.listenerCount('exit'),
		process.listenerCount('SIGTERM'),
		process.listenerCount('SIGINT'),
	];
	const before = { listeners: count(), resources: process.getActiveResourcesInfo().sort() };
	const clear = vi.spyOn(globalThis, 'clearTimeout');
	const set = vi.spyOn(globalThis, 'setTimeout');
	const supervisors = Array.from({ length: 20 }, () => start('cat').supervisor);
	for (const supervisor of supervisors) supervisor.shutDown('gracefulShutdown');
	await Promise.all(supervisors.map(({ exited }) => exited));
	expect(count()).toEqual(before.listeners);
	// The long timers are cleared; those of a moment run out by themselves.
	const long = set.mock.results
		.filter((_, index) => (set.mock.calls[index]?.[1] ?? 0) > 500)
		.map(({ value }) => value);
	expect(long).toHaveLength(20);
	for (const timer of long) expect(clear.mock.calls.map(([handle]) => handle)).toContain(timer);
	await until(
		'only the resources from before are left',
		() => process.getActiveResourcesInfo().length <= before.resources.length,
	);
});
