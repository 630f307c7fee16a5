import path from 'node:path';
import process from 'node:process';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';
import { resolveNativeBinary } from '../app-server/executable.js';
import type { AppServerSession, SessionSpec } from '../app-server/session.js';
import type { ProcessTimings } from '../app-server/shutdown.js';
import { findDirectoryProblem } from '../app-server/spawn-error.js';
import { buildEnvironment } from '../core/environment.js';
import { CodexModelsError, notFoundError, overloadedCode, toCodexModelsError } from '../core/errors.js';
import type { Fetch, FetchModels, FetchProgress, FetchTarget, ModelListAnswer } from '../core/fetch.js';
import { findExecutable } from '../core/find-executable.js';
import { type CommandSource, MisuseError, type Settings } from '../core/settings.js';
import { AppServerPool } from './app-server-pool.js';

/**
 * The first wait before another attempt, in milliseconds: each is twice the one before, and between once and twice as long
 * by chance. Of hosts that start together, four at a time in a new CODEX_HOME, a fifth needs a second attempt, and none of
 * 180 a third (0.136.0, 0.145.0, 0.155.0).
 */
const backoffMs = 50;

/** Fetches lists of models, and owns the app-servers for it. */
export type Fetcher = {
	fetchModels: FetchModels;
	/** Ends the app-servers that are kept for the next fetch. */
	evictIdle(): void;
	/** Ends every app-server fast; resolves when all are gone. */
	close(): Promise<void>;
};

export function createFetcher(settings: Settings, command: CommandSource, timings?: ProcessTimings): Fetcher {
	const pool = new AppServerPool(settings.keepAliveMs, timings);
	return {
		fetchModels: (target, context) => new ModelsFetch({ settings, command, pool, target, ...context }),
		evictIdle: () => pool.evictIdle(),
		close: () => pool.close(),
	};
}

type Job = Parameters<FetchModels>[1] & {
	settings: Settings;
	command: CommandSource;
	pool: AppServerPool;
	target: FetchTarget;
};

class ModelsFetch implements Fetch {
	readonly answer: Promise<ModelListAnswer>;
	readonly released: Promise<void>;
	attempts = 0;
	readonly #job: Job;
	readonly #startedAt = performance.now();
	#command = 'codex';
	/** The app-server of the latest attempt. */
	#session: AppServerSession | undefined;

	constructor(job: Job) {
		this.#job = job;
		this.answer = this.#runUntilAborted();
		this.released = this.answer.then(
			() => {},
			async () => void (await this.#session?.exited),
		);
	}

	progress(): FetchProgress {
		return this.#session?.progress ?? { phase: 'spawn', stderr: '', stderrSummary: '' };
	}

	/** An abort ends every wait, also for a file system or a command function that does not come back. */
	async #runUntilAborted(): Promise<ModelListAnswer> {
		const { signal } = this.#job;
		const endSession = () => this.#session?.shutDown('fastShutdown');
		signal.addEventListener('abort', endSession);
		try {
			return await pTimeout(this.#run(), { milliseconds: Number.POSITIVE_INFINITY, signal });
		} catch (error) {
			throw signal.aborted || error instanceof MisuseError ? error : toCodexModelsError(error);
		} finally {
			signal.removeEventListener('abort', endSession);
		}
	}

	async #run(): Promise<ModelListAnswer> {
		const { settings, signal, emit } = this.#job;
		signal.throwIfAborted();
		await this.#resolveCommand();
		let lastEnd: string | undefined;
		return await pRetry((attempt) => this.#attempt(attempt), {
			retries: settings.retries,
			minTimeout: backoffMs,
			factor: 2,
			randomize: true,
			unref: true,
			signal,
			shouldRetry: ({ error, attemptNumber: attempt }) => {
				// A second end with the same exit code and words is deterministic.
				const end = isEarlyEnd(error) ? `${error.exitCode} ${this.progress().stderrSummary}` : undefined;
				const isTransient = end === undefined ? isOverload(error) : end !== lastEnd;
				lastEnd = end;
				if (!isTransient || signal.aborted) return false;
				emit({ type: 'retried', attempt, error: error as CodexModelsError });
				return true;
			},
		});
	}

	async #resolveCommand(): Promise<void> {
		const { command } = this.#job;
		try {
			this.#command = await command.resolve();
		} catch (cause) {
			if (cause instanceof MisuseError) throw cause;
			this.#command = command.latest ?? 'codex';
			throw this.#notFoundError('look-up failed', cause);
		}
	}

	async #attempt(attempt: number): Promise<ModelListAnswer> {
		const { pool, target, fingerprint, signal, emit } = this.#job;
		// Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
		await this.#session?.exited;
		signal.throwIfAborted();
		this.attempts = attempt;
		const inputs = JSON.stringify([this.#command, fingerprint]);
		const kept = pool.acquire(target.key, inputs);
		if (kept) {
			try {
				return await this.#ask(kept, inputs);
			} catch (error) {
				// The kept app-server ended while it was idle, or because of the request: a new one is asked instead.
				if (!isEarlyEnd(error)) throw error;
				await kept.exited;
			}
		}
		const spec = await this.#makeSpec();
		signal.throwIfAborted();
		const session = pool.start(spec);
		const { pid } = session;
		if (pid !== undefined) {
			const startedAt = performance.now();
			emit({ type: 'spawned', pid, attempt });
			session.exited.then((exit) => {
				if (exit) emit({ type: 'exited', pid, ...exit, lifetimeMs: performance.now() - startedAt });
			});
		}
		return await this.#ask(session, inputs);
	}

	async #ask(session: AppServerSession, inputs: string): Promise<ModelListAnswer> {
		const { pool, target, signal } = this.#job;
		this.#session = session;
		try {
			const answer = await session.listModels();
			signal.throwIfAborted();
			pool.release(target.key, session, inputs);
			return answer;
		} catch (error) {
			session.shutDown('fastShutdown');
			throw error;
		}
	}

	async #makeSpec(): Promise<SessionSpec> {
		const { settings, target, emit } = this.#job;
		const cwd = await this.#findDirectory();
		const environment = buildEnvironment(settings.env, target.codexHome);
		const executable = await findExecutable(this.#command, environment).catch((cause: NodeJS.ErrnoException) => {
			throw this.#notFoundError(cause.code === 'ENOENT' ? 'missing' : 'not executable', cause);
		});
		return {
			...(await resolveNativeBinary(executable, environment)),
			args: settings.args,
			cwd,
			displayCommand: this.#command,
			clientInfo: settings.clientInfo,
			onConfigWarning: (summary, details) => emit({ type: 'config-warning', summary, details }),
		};
	}

	async #findDirectory(): Promise<string> {
		const { cwd, isDefaultCwd } = this.#job.target;
		const cause = await findDirectoryProblem(cwd);
		if (!cause) return cwd;
		if (isDefaultCwd) return path.parse(process.execPath).root;
		throw this.#notFoundError('no directory', cause, cwd);
	}

	#notFoundError(problem: Parameters<typeof notFoundError>[0]['problem'], cause: unknown, directory?: string): CodexModelsError {
		const elapsedMs = performance.now() - this.#startedAt;
		return notFoundError({ elapsedMs, command: this.#command, problem, cause, directory });
	}
}

const isEarlyEnd = (error: unknown): error is CodexModelsError =>
	error instanceof CodexModelsError && error.code === 'ERR_CODEX_EXITED';

const isOverload = (error: unknown) => error instanceof CodexModelsError && error.rpcCode === overloadedCode;
