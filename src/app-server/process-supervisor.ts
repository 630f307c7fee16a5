import {
	type ChildProcess,
	type ChildProcessWithoutNullStreams,
	type SpawnOptions,
	spawn,
} from 'node:child_process';
import type { Readable } from 'node:stream';
import pTimeout from 'p-timeout';
import type { Grace } from './grace.js';
import { onHostExit } from './host.js';
import { unrefTimers } from './timers.js';

export type Launch = {
	command: string;
	args: readonly string[];
	cwd: string;
	env: NodeJS.ProcessEnv;
	/** The command as the user knows it, where another is started in its place. */
	knownAs?: string;
	/** What starts it; Node's own `spawn` unless something else is needed. */
	spawn?: (command: string, args: string[], options: SpawnOptions) => ChildProcess;
};

export type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** Why a process can no longer answer; an `Exit` of nulls where it only closed a pipe and lives on. */
export type Loss = { spawnError: NodeJS.ErrnoException } | Exit;

type Listeners = {
	onStdout(chunk: Buffer): void;
	onStderr(chunk: Buffer): void;
	/** Once, before `onExit`, when all that the process wrote until then has been handed over. */
	onLoss(loss: Loss): void;
	/** Once, for a process that was started: it and its group are gone. */
	onExit(exit: Exit): void;
};

/**
 * How much later than the end of the output the exit may come, and the last output than the exit. Not longer, for a
 * grandchild may hold the pipes open, and then `close` never comes.
 */
const lastWordsMs = 100;

/**
 * What is left of the process group gets this long after SIGTERM, and is watched for this long after SIGKILL: both short,
 * for a dead one whom its new parent has not fetched looks alive (a container's first process may take seconds, or never
 * do it).
 */
const stragglerGraceMs = { SIGTERM: 300, SIGKILL: 100 };
const stragglerPollMs = 10;

/** From so many unread bytes on, an answer to the server's own requests is dropped. */
const inputLimit = 1024 * 1024;
/**
 * How long unread answers may wait before its input is closed: a write that the pipe has no room for keeps the host alive,
 * and cannot be unreferenced (Node 20). A Unix socket takes some 270 of them.
 */
const unreadMs = 1_000;

/** What is handled at once, and how long that may go on, in milliseconds, before the event loop has its turn. */
const sliceBytes = 4 * 1024;
const turnMs = 5;

const isWindows = process.platform === 'win32';

const later = (ms: number, step: () => void) => setTimeout(step, ms).unref();

const sleep = (ms: number) => new Promise<void>((resolve) => later(ms, resolve));

/** Settles with the promise, or after so many milliseconds. */
const settleWithin = (ms: number, promise: Promise<unknown>) =>
	pTimeout(promise, { milliseconds: ms, message: false, customTimers: unrefTimers });

/**
 * With a pause now and then, however much there is to read. A stream takes chunk after chunk in one turn of the event
 * loop, and a chunk may be 20,000 lines: the timers that are to end such a process would come seconds late
 * (`yes "" >&2`, Node 20). The pause is an unreferenced timer, for a flood must not hold the host either.
 */
function readWithPauses(stream: Readable, onBytes: (bytes: Buffer) => void): void {
	let spentMs = 0;
	const take = (chunk: Buffer) => {
		for (let start = 0; start < chunk.length; start += sliceBytes) {
			if (spentMs > turnMs) {
				spentMs = 0;
				stream.pause();
				later(1, () => {
					stream.resume();
					take(chunk.subarray(start));
				});
				return;
			}
			const startedAt = performance.now();
			onBytes(chunk.subarray(start, start + sliceBytes));
			spentMs += performance.now() - startedAt;
		}
	};
	stream.on('data', take);
}

/**
 * An app-server as a process: its pipes, its end, and what is left of its process group then. It does not keep the host
 * alive (whoever waits for an answer has to), and it does not outlive the host.
 */
export class AppServerProcess {
	/** Resolves when the process and its group are gone. */
	readonly gone: Promise<void>;
	readonly #listeners: Listeners;
	#child: ChildProcessWithoutNullStreams | undefined;
	readonly #exited: Promise<void>;
	#resolveExited = () => {};
	#hasExited = false;
	#isLost = false;
	#unreadTimer: NodeJS.Timeout | undefined;
	#endTimer: NodeJS.Timeout | undefined;
	#killAt = Number.POSITIVE_INFINITY;
	#forgetHost = () => {};
	#resolveGone = () => {};

	constructor(launch: Launch, listeners: Listeners) {
		this.#listeners = listeners;
		this.gone = new Promise((resolve) => {
			this.#resolveGone = resolve;
		});
		this.#exited = new Promise((resolve) => {
			this.#resolveExited = resolve;
		});
		try {
			this.#start(launch);
		} catch (error) {
			// `spawn` throws some errors (E2BIG) and emits others (ENOENT); here all come later.
			queueMicrotask(() => this.#onSpawnError(error as NodeJS.ErrnoException));
		}
	}

	/** `undefined` where it could not be started. */
	get pid(): number | undefined {
		return this.#child?.pid;
	}

	/** Sends a line without which the process cannot answer. */
	write(line: string): void {
		this.#child?.stdin?.write(`${line}\n`, (error) => {
			if (error) this.#loseSoon();
		});
	}

	/** Sends what the process can do without; it is dropped where the process does not read. */
	offer(text: string): void {
		const stdin = this.#child?.stdin;
		if (!stdin?.writable || stdin.writableLength >= inputLimit) return;
		const closeUnlessRead = () => {
			if (stdin.writableLength > 0) this.#unreadTimer ??= later(unreadMs, () => stdin.destroy());
		};
		stdin.write(text, () => {
			clearTimeout(this.#unreadTimer);
			this.#unreadTimer = undefined;
			closeUnlessRead();
		});
		closeUnlessRead();
	}

	/** End of input, then SIGTERM, then SIGKILL to the process group. Called again with a shorter grace, sooner. */
	end({ endOfInputMs, terminateMs }: Grace): void {
		const killAt = performance.now() + endOfInputMs + terminateMs;
		if (this.#hasExited || killAt >= this.#killAt) return;
		this.#killAt = killAt;
		this.#endInput();
		this.#endAfter(endOfInputMs, () => {
			this.#signal('SIGTERM');
			this.#endAfter(terminateMs, () => this.#signal('SIGKILL'));
		});
	}

	#endInput(): void {
		const stdin = this.#child?.stdin;
		clearTimeout(this.#unreadTimer);
		// `end` would wait for what is not read.
		if (stdin?.writableLength) stdin.destroy();
		else stdin?.end();
	}

	#start({ command, args, cwd, env, spawn: start = spawn }: Launch): void {
		const child = start(command, [...args], {
			cwd,
			env,
			stdio: 'pipe',
			// A process group of its own, for the npm launcher, the real program and what that starts are one to us.
			detached: !isWindows,
			windowsHide: true,
		}) as ChildProcessWithoutNullStreams;
		this.#child = child;
		child.on('error', (error: NodeJS.ErrnoException) => {
			if (child.pid === undefined) this.#onSpawnError(error);
		});
		if (child.pid === undefined) return;

		this.#forgetHost = onHostExit(() => {
			this.#signal('SIGKILL');
		});
		child.once('exit', (exitCode, signal) => this.#onExit({ exitCode, signal }));
		readWithPauses(child.stdout, this.#listeners.onStdout);
		child.stdout.once('end', () => this.#loseSoon());
		readWithPauses(child.stderr, this.#listeners.onStderr);
		child.unref();
		for (const stream of [child.stdin, child.stdout, child.stderr]) {
			// A child that closes its input gives an EPIPE here even where `write` has a callback (Node 20 to 24).
			stream.on('error', () => {});
			(stream as Partial<NodeJS.RefCounted>).unref?.();
		}
	}

	#onSpawnError(spawnError: NodeJS.ErrnoException): void {
		this.#hasExited = true;
		this.#lose({ spawnError });
		this.#resolveGone();
	}

	async #onExit(exit: Exit): Promise<void> {
		const child = this.#child as ChildProcessWithoutNullStreams;
		this.#hasExited = true;
		this.#resolveExited();
		clearTimeout(this.#endTimer);
		const closed = new Promise((resolve) => {
			child.once('close', resolve);
		});
		const stragglersGone = this.#endStragglers();
		await settleWithin(lastWordsMs, closed);
		this.#lose(exit);
		for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
		await stragglersGone;
		this.#forgetHost();
		this.#listeners.onExit(exit);
		this.#resolveGone();
	}

	/** It has closed a pipe that it needs: mostly the first that is seen of an exit, whose code is worth a moment. */
	async #loseSoon(): Promise<void> {
		this.#endInput();
		await settleWithin(lastWordsMs, this.#exited);
		if (!this.#hasExited) this.#lose({ exitCode: null, signal: null });
	}

	#lose(loss: Loss): void {
		if (this.#isLost) return;
		this.#isLost = true;
		this.#listeners.onLoss(loss);
	}

	#endAfter(ms: number, step: () => void): void {
		clearTimeout(this.#endTimer);
		this.#endTimer = later(ms, step);
	}

	/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
	async #endStragglers(): Promise<void> {
		if (isWindows) return;
		for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
			this.#signal(signal);
			for (let waitedMs = 0; waitedMs < stragglerGraceMs[signal]; waitedMs += stragglerPollMs) {
				if (!this.#signal(0)) return;
				await sleep(stragglerPollMs);
			}
		}
	}

	/** Whether there was anyone to get it. */
	#signal(signal: NodeJS.Signals | 0): boolean {
		const pid = this.pid as number;
		if (isWindows) {
			// No groups there, and no signal that could be heeded: the tree below `cmd.exe` is ended, with the system's tool.
			spawn('taskkill', ['/pid', String(pid), '/t', '/f'], { stdio: 'ignore', windowsHide: true })
				.on('error', () => {})
				.unref();
			return true;
		}
		try {
			return process.kill(-pid, signal);
		} catch {
			return false;
		}
	}
}
