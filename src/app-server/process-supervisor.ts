import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import process from 'node:process';
import pTimeout from 'p-timeout';
import { isWindows } from '../system/environment.js';
import { clearTimer, setUnrefTimeout, sleep, unrefTimers } from '../system/timers.js';
import { onParentExit } from './parent-exit.js';
import { readWithPauses } from './read-with-pauses.js';
import { defaultTimings, type ProcessTimings, type ShutdownKind } from './shutdown.js';
import { endTree, endTreeNow, toSpawnArguments } from './windows.js';

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

/** The limit of unread input, in bytes, above which input that a process can do without is dropped. */
const unreadInputBytes = 1024 * 1024;

const unknownExit: Exit = { exitCode: null, signal: null };

/**
 * A child process: its pipes, its end, and the end of its process group. It neither keeps the parent process alive nor
 * outlives it. Nothing here throws or rejects.
 */
export class ProcessSupervisor {
	/** Resolves when the process and its group are gone, or SIGKILL does not end them; with `undefined` if none was started. */
	readonly exited: Promise<Exit | undefined>;
	readonly #listeners: Listeners;
	readonly #timings: ProcessTimings;
	#resolveExited: (exit: Exit | undefined) => void = () => {};
	#child: ChildProcessWithoutNullStreams | undefined;
	#hasExited = false;
	#isDisconnected = false;
	#killAt = Number.POSITIVE_INFINITY;
	#shutdownTimer: NodeJS.Timeout | undefined;
	#unreadTimer: NodeJS.Timeout | undefined;
	#forgetParentExit = () => {};

	constructor(spec: SpawnSpec, listeners: Listeners, timings: ProcessTimings = defaultTimings) {
		this.#listeners = listeners;
		this.#timings = timings;
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

	/** Sends a line without which the process cannot answer. */
	write(line: string): void {
		this.#child?.stdin?.write(`${line}\n`, (error) => {
			if (error) void this.#onPipeClosed();
		});
	}

	/** Sends input that the process can do without; drops it where the process does not read. */
	tryWrite(text: string): void {
		const stdin = this.#child?.stdin;
		if (!stdin?.writable || stdin.writableLength + text.length > unreadInputBytes) return;
		const closeUnlessRead = () => {
			if (stdin.writableLength === 0) return;
			this.#unreadTimer ??= setUnrefTimeout(() => stdin.destroy(), this.#timings.unreadInputMs);
		};
		stdin.write(text, () => {
			clearTimer(this.#unreadTimer);
			this.#unreadTimer = undefined;
			closeUnlessRead();
		});
		closeUnlessRead();
	}

	/** Ends the process: end of input, SIGTERM, then SIGKILL to its group. A later call can only bring the end forward. */
	shutDown(kind: ShutdownKind): void {
		const { endOfInputMs, terminateMs } = this.#timings[kind];
		const killAt = performance.now() + endOfInputMs + terminateMs;
		if (this.#hasExited || killAt >= this.#killAt) return;
		this.#killAt = killAt;
		this.#endInput();
		this.#schedule(endOfInputMs, () => {
			this.#signalGroup('SIGTERM');
			this.#schedule(terminateMs, () => {
				this.#signalGroup('SIGKILL');
				this.#schedule(this.#timings.killMs, () => void this.#onExit(unknownExit));
			});
		});
	}

	#start({ cwd, ...spec }: SpawnSpec): void {
		const { file, args, ...options } = toSpawnArguments(spec.file, spec.args, spec.env);
		// A process group of its own makes the npm launcher, the real program and what that starts one to end.
		const child = spawn(file, args, {
			...options,
			cwd,
			stdio: 'pipe',
			detached: !isWindows,
			windowsHide: true,
		});
		this.#child = child;
		child.on('error', (error: NodeJS.ErrnoException) => {
			if (child.pid === undefined) this.#onSpawnError(error);
			// A `kill` that is refused is no end; Node reports any other failure in place of `exit`.
			else if (error.syscall !== 'kill') void this.#onExit(unknownExit);
		});
		if (child.pid === undefined) return;

		this.#forgetParentExit = onParentExit(
			() => void (isWindows ? endTreeNow(child) : this.#signalGroup('SIGKILL')),
		);
		child.once('exit', (exitCode, signal) => void this.#onExit({ exitCode, signal }));
		readWithPauses(child.stdout, this.#listeners.onStdout);
		child.stdout.once('end', () => void this.#onPipeClosed());
		readWithPauses(child.stderr, this.#listeners.onStderr);
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
		if (this.pid !== undefined) this.#signalGroup('SIGKILL');
		this.#hasExited = true;
		this.#forgetParentExit();
		this.#disconnect({ ...unknownExit, spawnError });
		this.#resolveExited(undefined);
	}

	async #onExit(exit: Exit): Promise<void> {
		const child = this.#child;
		if (this.#hasExited || !child) return;
		this.#hasExited = true;
		clearTimer(this.#shutdownTimer);
		const groupEnded = this.#endGroup();
		await this.#waitForEvent(child, 'close');
		this.#disconnect(exit);
		// Near the limit of file descriptors Node gives a process without pipes (20).
		for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
		await groupEnded;
		this.#forgetParentExit();
		this.#resolveExited(exit);
	}

	/** A closed pipe mostly is the first sign of an exit, whose code is worth a moment. */
	async #onPipeClosed(): Promise<void> {
		this.#endInput();
		if (this.#child && !this.#hasExited) await this.#waitForEvent(this.#child, 'exit');
		if (!this.#hasExited) this.#disconnect(unknownExit);
	}

	#waitForEvent(child: ChildProcess, event: 'exit' | 'close'): Promise<unknown> {
		const seen = new Promise((resolve) => child.once(event, resolve));
		return pTimeout(seen, {
			milliseconds: this.#timings.outputToExitMs,
			message: false,
			customTimers: unrefTimers,
		});
	}

	#disconnect(disconnect: Disconnect): void {
		if (this.#isDisconnected) return;
		this.#isDisconnected = true;
		this.#listeners.onDisconnect(disconnect);
	}

	#endInput(): void {
		const stdin = this.#child?.stdin;
		clearTimer(this.#unreadTimer);
		// `end` would wait until the process has read everything.
		if (stdin?.writableLength) stdin.destroy();
		else stdin?.end();
	}

	#schedule(ms: number, step: () => void): void {
		clearTimer(this.#shutdownTimer);
		this.#shutdownTimer = setUnrefTimeout(step, ms);
	}

	/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
	async #endGroup(): Promise<void> {
		if (isWindows) return;
		const { groupTerminateMs, groupKillMs, groupPollMs } = this.#timings;
		const steps = [['SIGTERM', groupTerminateMs] as const, ['SIGKILL', groupKillMs] as const];
		for (const [signal, limitMs] of steps) {
			this.#signalGroup(signal);
			for (let waitedMs = 0; waitedMs < limitMs; waitedMs += groupPollMs) {
				if (!this.#signalGroup(0)) return;
				await sleep(groupPollMs);
			}
		}
	}

	/** Whether the group has a process. */
	#signalGroup(signal: NodeJS.Signals | 0): boolean {
		const child = this.#child;
		if (child?.pid === undefined) return false;
		try {
			if (!isWindows) return process.kill(-child.pid, signal);
			endTree(child);
			return true;
		} catch {
			return false;
		}
	}
}
