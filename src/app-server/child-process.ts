import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import process from 'node:process';
import { isWindows } from '../system/environment.js';
import { sleep } from '../system/timers.js';
import { onParentExit } from './parent-exit.js';
import { endTree, endTreeNow, type SpawnSpec, toWindowsSpec } from './windows.js';

/** Every wait for a process, in milliseconds. */
export const timings = {
	/**
	 * For an app-server that has answered: no caller waits for its end. An idle one exits 18 ms after the end of its input, one
	 * with an API key takes 3.2 s offline, and one with plugins up to 5 s (Codex 0.169.0). Then SIGTERM, then SIGKILL.
	 */
	gracefulShutdown: { endOfInputMs: 6_000, terminateMs: 1_000 },
	/**
	 * For an app-server that failed, or that `close()` waits for. Stalled in a token refresh, it ignores the end of its input
	 * and ends 10 ms after SIGTERM (0.136.0); with a stalled list it ignores both for 30 s (0.155.0).
	 */
	fastShutdown: { endOfInputMs: 700, terminateMs: 500 },
	/** The wait for the exit after SIGKILL. A process in an uninterruptible system call ignores SIGKILL, too. */
	killMs: 2_000,
	/** The longest gap between the end of the output and the exit, in either order. A grandchild may hold the pipes open. */
	outputToExitMs: 100,
};

/** The wait for the rest of a process group after each signal, in milliseconds. */
const groupWaits = [
	['SIGTERM', 300],
	['SIGKILL', 100],
] as const;
const pollMs = 10;

export type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** Nulls alone where the process lives on, and only closed a pipe. */
const readExit = ({ exitCode, signalCode: signal }: ChildProcess) => ({ exitCode, signal });

/** @throws where it cannot be started; for some failures, such as ENOENT, the child has no `pid` and emits the error. */
export function spawnProcess(spec: SpawnSpec): ChildProcessWithoutNullStreams {
	const { file, args, ...options } = isWindows ? toWindowsSpec(spec) : spec;
	// A process group of its own makes the npm launcher, the real program and what that starts one to end.
	return spawn(file, args, { ...options, detached: !isWindows, windowsHide: true });
}

/**
 * Attends to the end of a started child process and of its process group. It neither keeps the parent process alive nor
 * outlives it. Nothing here throws or rejects.
 */
export function attendProcess(child: ChildProcessWithoutNullStreams) {
	/** Is aborted when the process has ended, or is given up. */
	const end = new AbortController();
	child.once('exit', () => end.abort());
	// That of a `kill` that is refused, which is no end.
	child.on('error', () => {});
	child.unref();
	for (const stream of child.stdio) (stream as Partial<NodeJS.RefCounted>).unref?.();
	const forgetParentExit = onParentExit(() =>
		isWindows ? endTreeNow(child) : signalGroup(child, 'SIGKILL'),
	);

	const ended = once(end.signal, 'abort');
	const disconnected = awaitDisconnect(child, ended);
	const exited = ended.then(async () => {
		await Promise.all([endRestOfGroup(child), disconnected]);
		for (const stream of child.stdio) stream?.destroy();
		forgetParentExit();
		return readExit(child);
	});

	return {
		pid: child.pid as number,
		/** Resolves when the process can no longer answer, and all that it wrote until then has been handed over. */
		disconnected,
		/** Resolves when the process and its group are gone, or SIGKILL does not end them. */
		exited,

		/**
		 * Ends the process: end of input, SIGTERM, then SIGKILL to its group. A later call can only bring the end forward.
		 *
		 * @returns `exited`
		 */
		async shutDown(kind: 'gracefulShutdown' | 'fastShutdown') {
			const { endOfInputMs, terminateMs } = timings[kind];
			try {
				child.stdin.end();
				await sleep(endOfInputMs, end.signal);
				signalTree(child, 'SIGTERM');
				await sleep(terminateMs, end.signal);
				signalTree(child, 'SIGKILL');
				await sleep(timings.killMs, end.signal);
				end.abort();
			} catch {
				// The process has ended.
			}
			return exited;
		},
	};
}

async function awaitDisconnect(child: ChildProcessWithoutNullStreams, ended: Promise<unknown>) {
	const closed = new Promise((resolve) => child.once('close', resolve));
	const pipeClosed = new Promise((resolve) => {
		child.stdout.once('end', resolve);
		// A child that closes its input gives an EPIPE here.
		for (const stream of child.stdio) stream?.on('error', resolve);
	});
	await Promise.race([ended, pipeClosed]);
	child.stdin.end();
	// A closed pipe mostly is the first sign of an exit, whose code is worth a moment.
	await Promise.race([closed, sleep(timings.outputToExitMs)]);
	return readExit(child);
}

function signalTree(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL') {
	if (isWindows) endTree(child);
	else signalGroup(child, signal);
}

/** Signals the group that a started child leads; returns whether there is such a group. 0 only asks. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals | 0) {
	try {
		return process.kill(-(pid as number), signal);
	} catch {
		return false;
	}
}

/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
async function endRestOfGroup(child: ChildProcess) {
	if (isWindows) return;
	for (const [signal, limitMs] of groupWaits) {
		signalGroup(child, signal);
		for (let waitedMs = 0; waitedMs < limitMs; waitedMs += pollMs) {
			if (!(await isGroupAlive(child))) return;
			await sleep(pollMs);
		}
	}
}

/**
 * Whether a process of the group runs. A dead one whose parent has not fetched its exit does not: in a container whose first
 * process is the host, without an init, it stays for as long as the container.
 */
async function isGroupAlive(leader: ChildProcess) {
	if (!signalGroup(leader, 0)) return false;
	if (process.platform !== 'linux') return true;
	const names = await readdir('/proc').catch(() => undefined);
	// Without a file descriptor nothing is known.
	if (!names) return true;
	// The name in brackets, the state, the parent and the group of a process.
	const isAlive = new RegExp(`\\) [^ZX] \\d+ ${leader.pid} `);
	for (const name of names) {
		const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
		if (isAlive.test(stat)) return true;
	}
	return false;
}
