import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import pRetry, { type RetryContext } from 'p-retry';
import pTimeout from 'p-timeout';
import type { CodexModelsError } from '../api/errors.js';
import type { Fetch, Fetcher, FetchRequest, ModelListAnswer } from '../api/model-list.js';
import type { Settings } from '../api/settings.js';
import { buildEnvironment } from '../system/environment.js';
import { findExecutable, findProblem } from '../system/find-executable.js';
import { unref } from '../system/timers.js';
import { spawnProcess } from './child-process.js';
import { resolveNativeBinary } from './executable.js';
import { toFailure } from './failures.js';
import { AppServerSession } from './session.js';

/**
 * The first wait before another attempt, in milliseconds: p-retry doubles each, and lengthens it by up to as much by chance.
 * A fifth of the hosts that start four at a time in a new CODEX_HOME needs two attempts, and none of 180 three (0.136.0, 0.155.0).
 */
const backoffMs = 50;

/** Fetches lists of models by app-servers. */
export function createFetcher(settings: Settings): Fetcher {
	const appServers = createAppServers(settings);
	return {
		...appServers,
		// Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0).
		maxAtOnce: 4,
		startFetch: (request) => startAttempts(request, settings, appServers),
	};
}

type Idle = { session: AppServerSession; inputs: string; timer: NodeJS.Timeout };

/** The app-servers of a catalog: at work, kept idle for the next fetch of their target, or about to end. */
function createAppServers({ keepAliveMs, clientInfo }: Settings) {
	const living = new Set<AppServerSession>();
	/** By CODEX_HOME, one at most for each. */
	const idle = new Map<string, Idle>();

	/** Makes room in a CODEX_HOME: returns its idle app-server if that was started from the inputs, and ends another one. */
	function takeIdle(home: string, inputs?: string) {
		const kept = idle.get(home);
		if (!kept) return undefined;
		idle.delete(home);
		clearTimeout(kept.timer);
		if (kept.inputs === inputs && !kept.session.isClosed) return kept.session;
		kept.session.process.shutDown('gracefulShutdown');
		return undefined;
	}

	function evictIdle() {
		for (const home of idle.keys()) takeIdle(home);
	}

	return {
		takeIdle,
		evictIdle,

		/** Talks to an app-server that has been started. */
		add(child: ChildProcessWithoutNullStreams, request: FetchRequest, attempt: number) {
			const session = new AppServerSession(child, request, clientInfo);
			const { pid, exited } = session.process;
			const { target, emit } = request;
			const startedAt = performance.now();
			living.add(session);
			emit(target, { type: 'spawned', pid, attempt });
			exited.then(({ exitCode, signal }) => {
				living.delete(session);
				const lifetimeMs = performance.now() - startedAt;
				emit(target, { type: 'exited', pid, exitCode, signal, lifetimeMs });
			});
			return session;
		},

		/** Keeps an app-server that has answered for the next fetch from these inputs. */
		keep(home: string, session: AppServerSession, inputs: string) {
			takeIdle(home);
			const timer = unref(setTimeout(() => takeIdle(home), keepAliveMs));
			idle.set(home, { session, inputs, timer });
		},

		async close() {
			evictIdle();
			await Promise.all([...living].map(({ process }) => process.shutDown('fastShutdown')));
		},
	};
}

type AppServers = ReturnType<typeof createAppServers>;

function startAttempts(request: FetchRequest, settings: Settings, appServers: AppServers) {
	const { target, command, inputs, signal, emit } = request;
	const startedAt = performance.now();
	/** The app-server of the latest attempt, set without a wait after its spawn: an abort ends it. */
	let session: AppServerSession | undefined;
	/** The exit code and the last words of the latest app-server that ended early. */
	let previousEnd = '';

	async function runAttempt(attempt: number): Promise<ModelListAnswer> {
		// Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
		await session?.process.exited;
		fetch.attempts = attempt;
		let kept: AppServerSession | undefined;
		try {
			const spec = await makeSpec(request, settings);
			signal.throwIfAborted();
			kept = appServers.takeIdle(target.home, inputs);
			session = kept;
			if (!session) {
				const child = spawnProcess(spec);
				if (child.pid === undefined) await new Promise((_, reject) => child.once('error', reject));
				session = appServers.add(child, request, attempt);
			}
			return await session.listModels();
		} catch (thrown) {
			session?.process.shutDown('fastShutdown');
			const error = toFailure(thrown as Error, command, startedAt);
			// A kept app-server may have ended while it was idle, or end because of the request: a new one is asked instead.
			if (kept && isEarlyEnd(error)) return runAttempt(attempt);
			throw error;
		}
	}

	function shouldRetry({ error: thrown, attemptNumber: attempt }: RetryContext) {
		const error = thrown as CodexModelsError;
		const end = `${error.exitCode} ${session?.progress.lastWords}`;
		if (signal.aborted || !isTransient(error, end, previousEnd)) return false;
		previousEnd = end;
		emit(target, { type: 'retried', attempt, error });
		return true;
	}

	const options = { minTimeout: backoffMs, randomize: true, unref: true, shouldRetry };
	const work = pRetry(runAttempt, { retries: settings.retries, ...options });
	// An abort ends every wait, also for a file system that does not come back.
	const answer = pTimeout(work, { milliseconds: Infinity, signal });
	const fetch: Fetch = {
		answer,
		attempts: 0,
		progress: () => session?.progress,
		gone: answer.catch(() => session?.process.shutDown('fastShutdown')),
		release(keptInputs) {
			const keeps = settings.keepAliveMs > 0 && keptInputs !== undefined;
			if (keeps && session?.isClosed === false) appServers.keep(target.home, session, keptInputs);
			else session?.process.shutDown('gracefulShutdown');
		},
	};
	return fetch;
}

async function makeSpec(
	{ target: { cwd, codexHome }, command }: FetchRequest,
	{ args, env: overlay }: Settings,
) {
	const problem = await findProblem('isDirectory', cwd);
	if (problem) throw Object.assign(problem, { cwd });
	const env = buildEnvironment(overlay, codexHome);
	const file = await resolveNativeBinary(await findExecutable(command, env));
	return { file, args, cwd, env };
}

const isEarlyEnd = ({ code }: CodexModelsError) => code === 'ERR_CODEX_EXITED';

/**
 * Whether another attempt may succeed: after an early end, or where Codex is overloaded (-32001). A second end like the first is deterministic, but for a database that several
 * app-servers migrate at once: the losers of 0.160.0 have equal words.
 */
const isTransient = (error: CodexModelsError, end: string, previousEnd: string) =>
	isEarlyEnd(error)
		? end !== previousEnd || end.includes('sqlite state runtime')
		: error.rpcCode === -32001;
