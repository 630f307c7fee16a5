import pRetry, { type RetryContext } from 'p-retry';
import pTimeout from 'p-timeout';
import {
	CodexModelsError,
	type FetchProgress,
	notStarted,
	toCodexModelsError,
} from '../api/errors.js';
import type { Fetch, Fetcher, ModelListAnswer, StartFetch, Target } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { buildEnvironment } from '../system/environment.js';
import { findExecutable, findProblem } from '../system/find-executable.js';
import { type AppServerPool, createAppServerPool } from './app-server-pool.js';
import { resolveNativeBinary } from './executable.js';
import { notFoundError, overloadedCode, type StartProblem } from './failures.js';
import type { AppServerSession, SessionSpec } from './session.js';

/**
 * The first wait before another attempt, in milliseconds: p-retry doubles each, and lengthens it by up to as much by chance.
 * A fifth of the hosts that start four at a time in a new CODEX_HOME needs two attempts, and none of 180 three (0.136.0, 0.155.0).
 */
const backoffMs = 50;

/** Fetches lists of models by app-servers. */
export function createFetcher(settings: Settings): Fetcher {
	const pool = createAppServerPool(settings.keepAliveMs);
	const startFetch: StartFetch = (target, context) =>
		new AppServerFetch({ settings, pool, target, ...context });
	return { startFetch, evictIdle: pool.evictIdle, close: pool.close };
}

type Job = Parameters<StartFetch>[1] & { settings: Settings; pool: AppServerPool; target: Target };

class AppServerFetch implements Fetch {
	readonly answer: Promise<ModelListAnswer>;
	attempts = 0;
	readonly #job: Job;
	/** The app-server of the latest attempt. */
	#session: AppServerSession | undefined;

	constructor(job: Job) {
		this.#job = job;
		this.answer = this.#runUntilAborted();
	}

	progress(): FetchProgress {
		return this.#session?.progress ?? notStarted;
	}

	release(inputs?: string): void {
		if (this.#session) this.#job.pool.release(this.#job.target, this.#session, inputs);
	}

	async untilGone(): Promise<void> {
		await this.answer.catch(() => this.#session?.process.exited);
	}

	/** An abort ends every wait, also for a file system that does not come back. */
	async #runUntilAborted(): Promise<ModelListAnswer> {
		const { signal } = this.#job;
		const endSession = () => this.#session?.process.shutDown('fastShutdown');
		signal.addEventListener('abort', endSession);
		try {
			return await pTimeout(this.#run(), { milliseconds: Number.POSITIVE_INFINITY, signal });
		} catch (error) {
			throw signal.aborted ? error : toCodexModelsError(error);
		} finally {
			signal.removeEventListener('abort', endSession);
		}
	}

	async #run(): Promise<ModelListAnswer> {
		const { settings, target, signal, emit } = this.#job;
		let previousEnd: string | undefined;
		const shouldRetry = (context: RetryContext) => {
			const error = context.error as CodexModelsError;
			const end = isEarlyEnd(error) ? `${error.exitCode} ${this.progress().lastWords}` : undefined;
			if (signal.aborted || !isTransient(error, end, previousEnd)) return false;
			previousEnd = end;
			emit(target, { type: 'retried', attempt: context.attemptNumber, error });
			return true;
		};
		const { retries } = settings;
		const options = { retries, minTimeout: backoffMs, randomize: true, unref: true, signal };
		return await pRetry((attempt) => this.#attempt(attempt), { ...options, shouldRetry });
	}

	async #attempt(attempt: number): Promise<ModelListAnswer> {
		const { pool, target, inputs, signal, emit } = this.#job;
		// Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
		await this.#session?.process.exited;
		signal.throwIfAborted();
		this.attempts = attempt;
		const spec = await this.#makeSpec();
		signal.throwIfAborted();
		const kept = pool.acquire(target.key, inputs);
		const session = kept ?? pool.start(target, spec, attempt, emit);
		this.#session = session;
		try {
			const answer = await session.listModels();
			signal.throwIfAborted();
			return answer;
		} catch (error) {
			session.process.shutDown('fastShutdown');
			// A kept app-server may have ended while it was idle, or end because of the request: a new one is asked instead.
			if (kept && isEarlyEnd(error)) return this.#attempt(attempt);
			throw error;
		}
	}

	async #makeSpec(): Promise<SessionSpec> {
		const { settings, target, command, emit } = this.#job;
		const { args, clientInfo } = settings;
		const { cwd, codexHome } = target;
		const startedAt = performance.now();
		const refuse = (problem: StartProblem, cause: NodeJS.ErrnoException, directory?: string) => {
			const elapsedMs = performance.now() - startedAt;
			throw notFoundError({ elapsedMs, command, problem, cause, directory });
		};
		const problem = await findProblem('isDirectory', cwd);
		if (problem) refuse('no directory', problem, cwd);
		const environment = buildEnvironment(settings.env, codexHome);
		const executable = await findExecutable(command, environment).catch((cause) =>
			refuse(cause.code === 'ENOENT' ? 'missing' : 'not executable', cause),
		);
		return {
			...(await resolveNativeBinary(executable, environment)),
			args,
			cwd,
			command,
			clientInfo,
			onConfigWarning: (summary, details) =>
				emit(target, { type: 'config-warning', summary, details }),
		};
	}
}

const isEarlyEnd = (error: unknown) =>
	error instanceof CodexModelsError && error.code === 'ERR_CODEX_EXITED';

/**
 * Whether another attempt may succeed; `end` is the exit code and the last words of one that ended early. A second end like
 * the first is deterministic, but for a database that several app-servers migrate at once: the losers of 0.160.0 have
 * equal words.
 */
function isTransient({ rpcCode }: CodexModelsError, end?: string, previousEnd?: string): boolean {
	if (end === undefined) return rpcCode === overloadedCode;
	return end !== previousEnd || end.includes('sqlite state runtime');
}
