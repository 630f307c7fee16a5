import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import pTimeout from 'p-timeout';
import { isWindows } from '../system/environment.js';
import { unref, unrefTimers } from '../system/timers.js';
import { onParentExit } from './parent-exit.js';
import { endGroup, signalGroup } from './process-group.js';
import { endTree, endTreeNow, toSpawnArguments } from './windows.js';

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

export type ShutdownKind = 'gracefulShutdown' | 'fastShutdown';

/** `file` is an absolute path, and `env` the whole environment. */
export type SpawnSpec = {
	file: string;
	args: readonly string[];
	cwd: string;
	env: NodeJS.ProcessEnv;
};

export type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** The reason why a process can no longer answer; nulls alone where it lives on and only closed a pipe. */
export type Disconnect = Exit & { spawnError?: NodeJS.ErrnoException };

type Listeners = {
	onStdout(chunk: Buffer): void;
	onStderr(chunk: Buffer): void;
	/** Is called once, when all that the process wrote until then has been handed over. */
	onDisconnect(disconnect: Disconnect): void;
};

const unknownExit: Exit = { exitCode: null, signal: null };

/**
 * A child process: its pipes, its end, and the end of its process group. It neither keeps the parent process alive nor
 * outlives it. Nothing here throws or rejects.
 */
export class ServerProcess {
	/** Resolves when the process and its group are gone, or SIGKILL does not end them; with `undefined` if none was started. */
	readonly exited: Promise<Exit | undefined>;
	readonly #listeners: Listeners;
	#resolveExited: (exit?: Exit) => void = () => {};
	#child: ChildProcessWithoutNullStreams | undefined;
	#hasExited = false;
	#isPipeClosed = false;
	#isDisconnected = false;
	#killAt = Number.POSITIVE_INFINITY;
	#shutdownTimer: NodeJS.Timeout | undefined;
	#forgetParentExit = () => {};

	constructor(spec: SpawnSpec, listeners: Listeners) {
		this.#listeners = listeners;
		this.exited = new Promise((resolve) => {
			this.#resolveExited = resolve;
		});
		try {
			this.#start(spec);
		} catch (error) {
			// `spawn` throws some errors (E2BIG) and emits others (ENOENT); a listener hears of all of them later.
			queueMicrotask(() => this.#onSpawnError(error as NodeJS.ErrnoException));
		}
	}

	/** `undefined` where the process could not be started. */
	get pid(): number | undefined {
		return this.#child?.pid;
	}

	write(line: string): void {
		this.#child?.stdin?.write(`${line}\n`, (error) => {
			if (error) void this.#onPipeClosed();
		});
	}

	/** Ends the process: end of input, SIGTERM, then SIGKILL to its group. A later call can only bring the end forward. */
	shutDown(kind: ShutdownKind): void {
		const { endOfInputMs, terminateMs } = timings[kind];
		const killAt = performance.now() + endOfInputMs + terminateMs;
		if (this.#hasExited || killAt >= this.#killAt) return;
		this.#killAt = killAt;
		this.#endInput();
		this.#schedule(endOfInputMs, () => {
			this.#signalGroup('SIGTERM');
			this.#schedule(terminateMs, () => {
				this.#signalGroup('SIGKILL');
				this.#schedule(timings.killMs, () => this.#onExit(unknownExit));
			});
		});
	}

	#start({ cwd, file, args, env }: SpawnSpec): void {
		const program = { file, args, env };
		const spawned = isWindows ? toSpawnArguments(program) : program;
		// A process group of its own makes the npm launcher, the real program and what that starts one to end.
		const fixed = { stdio: 'pipe', detached: !isWindows, windowsHide: true } as const;
		const child = spawn(spawned.file, spawned.args, { ...spawned, cwd, ...fixed });
		this.#child = child;
		child.on('error', (error: NodeJS.ErrnoException) => {
			if (child.pid === undefined) this.#onSpawnError(error);
			// A `kill` that is refused is no end; Node reports any other failure in place of `exit`.
			else if (error.syscall !== 'kill') void this.#onExit(unknownExit);
		});
		if (child.pid === undefined) return;

		this.#forgetParentExit = onParentExit(() =>
			isWindows ? endTreeNow(child) : this.#signalGroup('SIGKILL'),
		);
		child.once('exit', (exitCode, signal) => this.#onExit({ exitCode, signal }));
		child.stdout.on('data', this.#listeners.onStdout).once('end', () => this.#onPipeClosed());
		child.stderr.on('data', this.#listeners.onStderr);
		child.unref();
		for (const stream of [child.stdin, child.stdout, child.stderr]) {
			// A child that closes its input gives an EPIPE here even where `write` has a callback (Node 20 to 24).
			stream.on('error', () => {});
			(stream as Partial<NodeJS.RefCounted>).unref?.();
		}
	}

	#onSpawnError(spawnError: NodeJS.ErrnoException): void {
		if (this.#hasExited) return;
		// A failure of a later step of the start must not leave the process behind.
		this.#signalGroup('SIGKILL');
		this.#hasExited = true;
		this.#forgetParentExit();
		this.#disconnect({ ...unknownExit, spawnError });
		this.#resolveExited();
	}

	async #onExit(exit: Exit): Promise<void> {
		const child = this.#child;
		if (this.#hasExited || !child?.pid) return;
		this.#hasExited = true;
		clearTimeout(this.#shutdownTimer);
		const groupEnded = endGroup(child.pid);
		await this.#waitFor('close');
		this.#disconnect(exit);
		// Near the limit of file descriptors Node gives a process without pipes (20).
		for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
		await groupEnded;
		this.#forgetParentExit();
		this.#resolveExited(exit);
	}

	/** A closed pipe mostly is the first sign of an exit, whose code is worth a moment. */
	async #onPipeClosed(): Promise<void> {
		// Each of many writes to a closed pipe comes here, and Node warns of the eleventh listener.
		if (this.#isPipeClosed) return;
		this.#isPipeClosed = true;
		this.#endInput();
		if (!this.#hasExited) await this.#waitFor('exit');
		if (!this.#hasExited) this.#disconnect(unknownExit);
	}

	async #waitFor(event: 'exit' | 'close'): Promise<void> {
		const seen = new Promise((resolve) => this.#child?.once(event, resolve));
		const milliseconds = timings.outputToExitMs;
		await pTimeout(seen, { milliseconds, message: false, customTimers: unrefTimers });
	}

	#disconnect(disconnect: Disconnect): void {
		if (!this.#isDisconnected) this.#listeners.onDisconnect(disconnect);
		this.#isDisconnected = true;
	}

	#endInput(): void {
		const stdin = this.#child?.stdin;
		// `end` would wait until the process has read everything.
		if (stdin?.writableLength) stdin.destroy();
		else stdin?.end();
	}

	#schedule(ms: number, step: () => void): void {
		clearTimeout(this.#shutdownTimer);
		this.#shutdownTimer = unref(setTimeout(step, ms));
	}

	#signalGroup(signal: NodeJS.Signals): void {
		if (isWindows && this.#child) endTree(this.#child);
		else if (this.pid) signalGroup(this.pid, signal);
	}
}
