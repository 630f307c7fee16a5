import path from 'node:path';
import process from 'node:process';
import pRetry, { type RetryContext } from 'p-retry';
import pTimeout from 'p-timeout';
import type { FetchProgress, StartProblem } from '../api/errors.js';
import {
	CodexModelsError,
	MisuseError,
	notFoundError,
	notStarted,
	overloadedCode,
	toCodexModelsError,
} from '../api/errors.js';
import type { Fetch, FetchModels, FetchTarget, ModelListAnswer } from '../api/fetch.js';
import type { CommandSource, Settings } from '../api/settings.js';
import { buildEnvironment } from '../system/environment.js';
import { findExecutable, findProblem } from '../system/find-executable.js';
import { type AppServerPool, createAppServerPool } from './app-server-pool.js';
import { resolveNativeBinary } from './executable.js';
import type { AppServerSession, SessionSpec } from './session.js';
import type { ProcessTimings } from './shutdown.js';

/**
 * The first wait before another attempt, in milliseconds: p-retry doubles each, and lengthens it by up to as much by chance.
 * A fifth of the hosts that start four at a time in a new CODEX_HOME needs two attempts, and none of 180 three (0.136.0, 0.155.0).
 */
const backoffMs = 50;

export type Fetcher = ReturnType<typeof createFetcher>;

/** Fetches lists of models, and owns the app-servers for it. */
export function createFetcher(
	settings: Settings,
	command: CommandSource,
	timings?: ProcessTimings,
) {
	const pool = createAppServerPool(settings.keepAliveMs, timings);
	const fetchModels: FetchModels = (target, context) =>
		new ModelsFetch({ settings, command, pool, target, ...context });
	return { fetchModels, evictIdle: pool.evictIdle, close: pool.close };
}

type Job = Parameters<FetchModels>[1] & {
	settings: Settings;
	command: CommandSource;
	pool: AppServerPool;
	target: FetchTarget;
};

class ModelsFetch implements Fetch {
	readonly answer: Promise<ModelListAnswer>;
	readonly nextMayStart: Promise<void>;
	attempts = 0;
	readonly #job: Job;
	readonly #startedAt = performance.now();
	#command: string;
	/** The app-server of the latest attempt. */
	#session: AppServerSession | undefined;

	constructor(job: Job) {
		this.#job = job;
		this.#command = job.command.latest ?? 'codex';
		this.answer = this.#runUntilAborted();
		this.nextMayStart = this.answer.catch(() => this.#session?.exited).then(() => {});
	}

	progress(): FetchProgress {
		return this.#session?.progress ?? notStarted;
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
		const { settings, command, signal, emit } = this.#job;
		signal.throwIfAborted();
		this.#command = await command.resolve().catch((cause: unknown) => {
			throw cause instanceof MisuseError ? cause : this.#notFoundError('look-up failed', cause);
		});
		let lastEnd: string | undefined;
		const shouldRetry = ({ error, attemptNumber: attempt }: RetryContext) => {
			const { exitCode, rpcCode } = error as CodexModelsError;
			// A second end with the same exit code and words is deterministic.
			const end = isEarlyEnd(error) ? `${exitCode} ${this.progress().stderrSummary}` : undefined;
			const isTransient = end === undefined ? rpcCode === overloadedCode : end !== lastEnd;
			lastEnd = end;
			if (!isTransient || signal.aborted) return false;
			emit({ type: 'retried', attempt, error: error as CodexModelsError });
			return true;
		};
		const options = {
			retries: settings.retries,
			minTimeout: backoffMs,
			randomize: true,
			unref: true,
			signal,
			shouldRetry,
		};
		return await pRetry((attempt) => this.#attempt(attempt), options);
	}

	async #attempt(attempt: number): Promise<ModelListAnswer> {
		const { pool, target, fingerprint, signal, emit } = this.#job;
		// Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
		await this.#session?.exited;
		signal.throwIfAborted();
		this.attempts = attempt;
		const spec = await this.#makeSpec();
		signal.throwIfAborted();
		const inputs = JSON.stringify([this.#command, fingerprint]);
		const kept = pool.acquire(target.key, inputs);
		const session = kept ?? pool.start(spec, attempt, emit);
		this.#session = session;
		try {
			const answer = await session.listModels();
			signal.throwIfAborted();
			pool.release(target.key, session, inputs);
			return answer;
		} catch (error) {
			session.shutDown('fastShutdown');
			// A kept app-server may have ended while it was idle, or end because of the request: a new one is asked instead.
			if (kept && isEarlyEnd(error)) return this.#attempt(attempt);
			throw error;
		}
	}

	async #makeSpec(): Promise<SessionSpec> {
		const { settings, target, emit } = this.#job;
		const directoryProblem = await findProblem('isDirectory', target.cwd);
		if (directoryProblem && !target.isDefaultCwd)
			throw this.#notFoundError('no directory', directoryProblem, target.cwd);
		const environment = buildEnvironment(settings.env, target.codexHome);
		const executable = await findExecutable(this.#command, environment).catch(
			(cause: NodeJS.ErrnoException) => {
				throw this.#notFoundError(cause.code === 'ENOENT' ? 'missing' : 'not executable', cause);
			},
		);
		return {
			...(await resolveNativeBinary(executable, environment)),
			args: settings.args,
			cwd: directoryProblem ? path.parse(process.execPath).root : target.cwd,
			displayCommand: this.#command,
			clientInfo: settings.clientInfo,
			onConfigWarning: (summary, details) => emit({ type: 'config-warning', summary, details }),
		};
	}

	#notFoundError(problem: StartProblem, cause: unknown, directory?: string): CodexModelsError {
		const elapsedMs = performance.now() - this.#startedAt;
		return notFoundError({ elapsedMs, command: this.#command, problem, cause, directory });
	}
}

const isEarlyEnd = (error: unknown) =>
	error instanceof CodexModelsError && error.code === 'ERR_CODEX_EXITED';
