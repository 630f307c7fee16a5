import pRetry, { type RetryContext } from 'p-retry';
import pTimeout from 'p-timeout';
import { CodexModelsError, toCodexModelsError } from '../api/errors.js';
import type { Fetch, Fetcher, FetchRequest, ModelListAnswer, Target } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { buildEnvironment } from '../system/environment.js';
import { findExecutable, findProblem } from '../system/find-executable.js';
import { unref } from '../system/timers.js';
import { resolveNativeBinary } from './executable.js';
import { overloadedCode, startError } from './failures.js';
import { AppServerSession, type SessionSpec } from './session.js';

/**
 * The first wait before another attempt, in milliseconds: p-retry doubles each, and lengthens it by up to as much by chance.
 * A fifth of the hosts that start four at a time in a new CODEX_HOME needs two attempts, and none of 180 three (0.136.0, 0.155.0).
 */
const backoffMs = 50;

/** Twenty app-servers at once take eight times as long as one, and some releases fail at two (0.136.0 to 0.160.0). */
const maxAppServers = 4;

/** Fetches lists of models by app-servers. */
export function createFetcher(settings: Settings): Fetcher {
	const appServers = createAppServers(settings.keepAliveMs);
	return {
		maxAtOnce: maxAppServers,
		startFetch: (request) => startAttempts({ settings, appServers, ...request }),
		evictIdle: appServers.evictIdle,
		close: appServers.close,
	};
}

type Idle = { session: AppServerSession; key: string; inputs: string; timer: NodeJS.Timeout };

/** The app-servers of a catalog: at work, kept idle for the next fetch of their target, or about to end. */
function createAppServers(keepAliveMs: number) {
	const living = new Set<AppServerSession>();
	/** By CODEX_HOME, one at most for each. */
	const idle = new Map<string, Idle>();
	function evict(home: string): void {
		const kept = idle.get(home);
		idle.delete(home);
		clearTimeout(kept?.timer);
		kept?.session.process.shutDown('gracefulShutdown');
	}

	const evictIdle = () => [...idle.keys()].forEach(evict);

	return {
		start({ target, emit }: Job, spec: SessionSpec, attempt: number): AppServerSession {
			const session = new AppServerSession(spec);
			const { pid, exited } = session.process;
			if (pid === undefined) return session;
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

		/** The idle app-server of a target. Ends one of its CODEX_HOME that does not fit, to make room. */
		takeIdle({ target: { key, home }, inputs }: Job): AppServerSession | undefined {
			const kept = idle.get(home);
			if (kept?.key !== key || kept.inputs !== inputs || kept.session.isClosed) {
				evict(home);
				return undefined;
			}
			idle.delete(home);
			clearTimeout(kept.timer);
			return kept.session;
		},

		/** Takes back an app-server that has answered: keeps it for `keepAliveMs`, or ends it. */
		release({ key, home }: Target, session: AppServerSession, inputs: string | undefined): void {
			if (keepAliveMs === 0 || session.isClosed || inputs === undefined) {
				session.process.shutDown('gracefulShutdown');
				return;
			}
			evict(home);
			const timer = unref(setTimeout(() => evict(home), keepAliveMs));
			idle.set(home, { session, key, inputs, timer });
		},

		evictIdle,
		async close(): Promise<void> {
			evictIdle();
			for (const session of living) session.process.shutDown('fastShutdown');
			await Promise.all([...living].map((session) => session.process.exited));
		},
	};
}

type AppServers = ReturnType<typeof createAppServers>;
type Job = FetchRequest & { settings: Settings; appServers: AppServers };

function startAttempts(job: Job): Fetch {
	const { settings, appServers, target, signal, emit } = job;
	/** The app-server of the latest attempt. */
	let session: AppServerSession | undefined;
	let attempts = 0;
	/** The exit code and the last words of the latest app-server that ended early. */
	let previousEnd = '';

	async function runAttempt(attempt: number): Promise<ModelListAnswer> {
		// Two app-servers that refresh one rotating login token can log the user out (openai/codex #10332).
		await session?.process.exited;
		attempts = attempt;
		const spec = await makeSpec(job);
		signal.throwIfAborted();
		const kept = appServers.takeIdle(job);
		session = kept ?? appServers.start(job, spec, attempt);
		try {
			return await session.listModels();
		} catch (error) {
			session.process.shutDown('fastShutdown');
			// A kept app-server may have ended while it was idle, or end because of the request: a new one is asked instead.
			if (kept && isEarlyEnd(error)) return runAttempt(attempt);
			throw error;
		}
	}

	function shouldRetry({ error: thrown, attemptNumber: attempt }: RetryContext): boolean {
		const error = thrown as CodexModelsError;
		const end = `${error.exitCode} ${session?.progress.lastWords}`;
		if (signal.aborted || !isTransient(error, end, previousEnd)) return false;
		previousEnd = end;
		emit(target, { type: 'retried', attempt, error });
		return true;
	}

	const options = {
		retries: settings.retries,
		minTimeout: backoffMs,
		randomize: true,
		unref: true,
		shouldRetry,
	};
	// An abort ends every wait, also for a file system that does not come back.
	const untilAborted = { milliseconds: Infinity, signal };
	const answer = pTimeout(pRetry(runAttempt, options), untilAborted).catch((error) => {
		session?.process.shutDown('fastShutdown');
		throw signal.aborted ? error : toCodexModelsError(error);
	});
	return {
		answer,
		get attempts() {
			return attempts;
		},
		progress: () => session?.progress,
		release(keptInputs) {
			if (session) appServers.release(target, session, keptInputs);
		},
		untilGone: () => answer.catch(() => session?.process.exited),
	};
}

async function makeSpec({ settings, target, command, emit }: Job): Promise<SessionSpec> {
	const { args, clientInfo } = settings;
	const { cwd, codexHome } = target;
	const startedAt = performance.now();
	const refuse = (cause: NodeJS.ErrnoException, directory?: string) => {
		throw startError({ elapsedMs: performance.now() - startedAt, command, cause, directory });
	};
	const problem = await findProblem('isDirectory', cwd);
	if (problem) refuse(problem, cwd);
	const env = buildEnvironment(settings.env, codexHome);
	const found = await findExecutable(command, env).catch((cause) => refuse(cause));
	return {
		file: await resolveNativeBinary(found),
		args,
		cwd,
		env,
		command,
		clientInfo,
		onConfigWarning: (summary, details) =>
			emit(target, { type: 'config-warning', summary, details }),
	};
}

const isEarlyEnd = (error: unknown) =>
	error instanceof CodexModelsError && error.code === 'ERR_CODEX_EXITED';

/**
 * Whether another attempt may succeed. A second end like the first is deterministic, but for a database that several
 * app-servers migrate at once: the losers of 0.160.0 have equal words.
 */
const isTransient = (error: CodexModelsError, end: string, previousEnd: string) =>
	isEarlyEnd(error)
		? end !== previousEnd || end.includes('sqlite state runtime')
		: error.rpcCode === overloadedCode;
