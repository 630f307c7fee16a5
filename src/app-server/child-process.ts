import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { isWindows } from '../system/environment.js';
import { sleep, unref } from '../system/timers.js';
import { onParentExit } from './parent-exit.js';
import { endRestOfGroup, endTreeNow, signalTree } from './process-tree.js';
import { type SpawnSpec, toWindowsSpec } from './windows.js';

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

type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** The reason why a process can no longer answer; nulls alone where it lives on and only closed a pipe. */
export type Disconnect = Exit & { spawnError?: NodeJS.ErrnoException };

type Output = { onStdout(chunk: Buffer): void; onStderr(chunk: Buffer): void };

const unknownExit: Exit = { exitCode: null, signal: null };

export type ServerProcess = ReturnType<typeof startProcess>;

/**
 * A child process: its pipes, its end, and the end of its process group. It neither keeps the parent process alive nor
 * outlives it. Nothing here throws or rejects.
 */
export function startProcess(spec: SpawnSpec, output: Output) {
	let end: (disconnect: Disconnect) => void = () => {};
	const ended = new Promise<Disconnect>((resolve) => {
		end = resolve;
	});
	const child = spawnProcess(spec, end);
	const disconnected = child ? awaitDisconnect(child, output, ended) : ended;
	const forgetParentExit = child && onParentExit(() => endTreeNow(child));
	let killAt = Number.POSITIVE_INFINITY;
	let timer: NodeJS.Timeout | undefined;

	function schedule(ms: number, step: () => void): void {
		clearTimeout(timer);
		timer = unref(setTimeout(step, ms));
	}

	async function awaitEnd(): Promise<Disconnect> {
		const exit = await ended;
		clearTimeout(timer);
		killAt = 0;
		if (!child) return exit;
		await Promise.all([endRestOfGroup(child), disconnected]);
		for (const stream of child.stdio) stream?.destroy();
		forgetParentExit?.();
		return exit;
	}

	return {
		/** `undefined` where the process could not be started. */
		pid: child?.pid,
		/** Resolves when the process can no longer answer, and all that it wrote until then has been handed over. */
		disconnected,
		/** Resolves when the process and its group are gone, or SIGKILL does not end them. */
		exited: awaitEnd(),

		write(line: string): void {
			child?.stdin.write(`${line}\n`);
		},

		/** Ends the process: end of input, SIGTERM, then SIGKILL to its group. A later call can only bring the end forward. */
		shutDown(kind: 'gracefulShutdown' | 'fastShutdown'): void {
			const { endOfInputMs, terminateMs } = timings[kind];
			const newKillAt = performance.now() + endOfInputMs + terminateMs;
			if (!child || newKillAt >= killAt) return;
			killAt = newKillAt;
			child.stdin.end();
			schedule(endOfInputMs, () => {
				signalTree(child, 'SIGTERM');
				schedule(terminateMs, () => {
					signalTree(child, 'SIGKILL');
					schedule(timings.killMs, () => end(unknownExit));
				});
			});
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
	{ onStdout, onStderr }: Output,
	ended: Promise<Disconnect>,
): Promise<Disconnect> {
	const closed = new Promise((resolve) => child.once('close', resolve));
	const pipeClosed = new Promise((resolve) => {
		child.stdout.on('data', onStdout).once('end', resolve);
		child.stderr.on('data', onStderr);
		child.unref();
		for (const stream of [child.stdin, child.stdout, child.stderr]) {
			// A child that closes its input gives an EPIPE here.
			stream.on('error', resolve);
			(stream as Partial<NodeJS.RefCounted>).unref?.();
		}
	});
	await Promise.race([ended, pipeClosed]);
	child.stdin.end();
	// A closed pipe mostly is the first sign of an exit, whose code is worth a moment.
	const exit = await Promise.race([ended, sleep(timings.outputToExitMs)]);
	if (exit) await Promise.race([closed, sleep(timings.outputToExitMs)]);
	return exit ?? unknownExit;
}
