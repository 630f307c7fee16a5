import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
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
const groupWaits = { SIGTERM: 300, SIGKILL: 100 };
const pollMs = 10;

export type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** The reason why a process can no longer answer; nulls alone where it lives on and only closed a pipe. */
export type Disconnect = Exit & { spawnError?: NodeJS.ErrnoException };

type Output = { onStdout(text: string): void; onStderr(text: string): void };

const unknownExit: Exit = { exitCode: null, signal: null };

export type ServerProcess = ReturnType<typeof startProcess>;

/**
 * A child process: its pipes, its end, and the end of its process group. It neither keeps the parent process alive nor
 * outlives it. Nothing here throws or rejects.
 */
export function startProcess(spec: SpawnSpec, { onStdout, onStderr }: Output) {
	let end: (disconnect: Disconnect) => void = () => {};
	const ended = new Promise<Disconnect>((resolve) => {
		end = resolve;
	});
	const child = spawnProcess(spec, end);
	if (!child)
		return { pid: undefined, disconnected: ended, exited: ended, write() {}, shutDown() {} };
	const disconnected = awaitDisconnect(child, ended);
	const shutdown = new AbortController();

	child.stdout.setEncoding('utf8').on('data', onStdout);
	child.stderr.setEncoding('utf8').on('data', onStderr);
	child.unref();
	for (const stream of child.stdio) (stream as Partial<NodeJS.RefCounted>).unref?.();
	const forgetParentExit = onParentExit(() =>
		isWindows ? endTreeNow(child) : signalGroup(child, 'SIGKILL'),
	);

	const exited = ended.then(async (exit) => {
		shutdown.abort();
		await Promise.all([endRestOfGroup(child), disconnected]);
		for (const stream of child.stdio) stream?.destroy();
		forgetParentExit();
		return exit;
	});

	return {
		/** `undefined` where the process could not be started. */
		pid: child.pid,
		/** Resolves when the process can no longer answer, and all that it wrote until then has been handed over. */
		disconnected,
		/** Resolves when the process and its group are gone, or SIGKILL does not end them. */
		exited,

		write(line: string): void {
			child.stdin.write(`${line}\n`);
		},

		/** Ends the process: end of input, SIGTERM, then SIGKILL to its group. A later call can only bring the end forward. */
		async shutDown(kind: 'gracefulShutdown' | 'fastShutdown'): Promise<void> {
			const { endOfInputMs, terminateMs } = timings[kind];
			const { signal } = shutdown;
			try {
				child.stdin.end();
				await sleep(endOfInputMs, signal);
				signalTree(child, 'SIGTERM');
				await sleep(terminateMs, signal);
				signalTree(child, 'SIGKILL');
				await sleep(timings.killMs, signal);
				end(unknownExit);
			} catch {
				// The process has ended.
			}
		},
	};
}

/** `spawn` throws some errors (E2BIG) and emits others (ENOENT); `end` gets all of them. */
function spawnProcess(spec: SpawnSpec, end: (disconnect: Disconnect) => void) {
	try {
		const { file, args, ...options } = isWindows ? toWindowsSpec(spec) : spec;
		// A process group of its own makes the npm launcher, the real program and what that starts one to end.
		const fixed = { stdio: 'pipe', detached: !isWindows, windowsHide: true } as const;
		const child = spawn(file, args, { ...options, ...fixed });
		child.once('exit', (exitCode, signal) => end({ exitCode, signal }));
		child.on('error', (error: NodeJS.ErrnoException) => {
			// A `kill` that is refused is no end; Node reports any other failure in place of `exit`.
			if (error.syscall !== 'kill') end({ ...unknownExit, spawnError: error });
		});
		return child.pid === undefined ? undefined : child;
	} catch (error) {
		end({ ...unknownExit, spawnError: error as NodeJS.ErrnoException });
		return undefined;
	}
}

async function awaitDisconnect(
	child: ChildProcessWithoutNullStreams,
	ended: Promise<Disconnect>,
): Promise<Disconnect> {
	const closed = new Promise((resolve) => child.once('close', resolve));
	const pipeClosed = new Promise((resolve) => {
		child.stdout.once('end', resolve);
		// A child that closes its input gives an EPIPE here.
		for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', resolve);
	});
	await Promise.race([ended, pipeClosed]);
	child.stdin.end();
	// A closed pipe mostly is the first sign of an exit, whose code is worth a moment.
	const exit = await Promise.race([ended, sleep(timings.outputToExitMs)]);
	if (exit) await Promise.race([closed, sleep(timings.outputToExitMs)]);
	return exit ?? unknownExit;
}

function signalTree(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
	if (isWindows) endTree(child);
	else signalGroup(child, signal);
}

/** Signals the group that a started child leads; returns whether there is such a group. 0 only asks. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals | 0): boolean {
	try {
		return process.kill(-(pid as number), signal);
	} catch {
		return false;
	}
}

/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
async function endRestOfGroup(child: ChildProcess): Promise<void> {
	if (isWindows) return;
	for (const [signal, limitMs] of Object.entries(groupWaits)) {
		signalGroup(child, signal as NodeJS.Signals);
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
async function isGroupAlive(leader: ChildProcess): Promise<boolean> {
	if (!signalGroup(leader, 0)) return false;
	if (process.platform !== 'linux') return true;
	const names = await readdir('/proc').catch(() => undefined);
	// Without a file descriptor nothing is known.
	if (!names) return true;
	for (const name of names) {
		const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
		// The fields follow the name, which stands in brackets and may hold some: state, parent, group.
		const [state = '', , ofGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		if (Number(ofGroup) === leader.pid && !/[ZX]/.test(state)) return true;
	}
	return false;
}
