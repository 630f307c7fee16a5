import { stat } from 'node:fs/promises';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';
import { AppServer } from './app-server.js';
import { briskGrace, patientGrace } from './app-server-process.js';
import { CodexModelsError, type FetchPhase, timeoutError } from './errors.js';
import type { Report } from './events.js';
import type { CodexModel } from './model.js';
import { buildEnvironment, type ListPlace, type ResolvedOptions } from './options.js';

/**
 * The first wait before another attempt, in milliseconds; each is twice the one before it, and each is between once and
 * twice as long, by chance.
 */
const backoffMs = 200;

/** The JSON-RPC code of an app-server that is overloaded. */
const overloaded = -32001;

/**
 * One fetch of one list: attempts with app-servers of their own, one after the other, under one limit. It goes on
 * whoever leaves, and keeps the host alive only while somebody holds it.
 */
export class ModelListFetch {
	/** All models, hidden ones included; rejects with a `CodexModelsError`. */
	readonly models: Promise<CodexModel[]>;
	/** Resolves when no app-server of it is left. */
	readonly gone: Promise<void>;
	/**
	 * Resolves when another fetch of this list may start an app-server. After a failure that is when the last one is
	 * gone, for two that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly over: Promise<void>;
	readonly #options: ResolvedOptions;
	readonly #place: ListPlace;
	readonly #report: Report;
	readonly #controller = new AbortController();
	#server: AppServer | undefined;
	#limitTimer: NodeJS.Timeout | undefined;
	#holders = 0;
	#attempts = 0;

	constructor(options: ResolvedOptions, place: ListPlace, predecessors: Promise<unknown>, report: Report) {
		this.#options = options;
		this.#place = place;
		this.#report = report;
		this.models = this.#limit(this.#run(predecessors));
		const settled = this.models.then(
			() => true,
			() => false,
		);
		this.gone = settled.then(() => this.#server?.gone);
		this.over = settled.then((isAnswered) => (isAnswered ? undefined : this.gone));
	}

	/** What there is to say of it now. */
	get state(): { phase: FetchPhase; stderr: string; lastWords: string } {
		return {
			phase: this.#server?.phase ?? 'spawn',
			...(this.#server?.words ?? { stderr: '', lastWords: '' }),
		};
	}

	get attempts(): number {
		return this.#attempts;
	}

	/** While it is held, it keeps the host alive. The limit's timer is the one handle that does so. */
	hold(): void {
		if (this.#holders++ === 0) this.#limitTimer?.ref();
	}

	release(): void {
		if (--this.#holders === 0) this.#limitTimer?.unref();
	}

	/** Rejects `models`, unless they are there, and ends the app-server without patience. */
	end(error: CodexModelsError): void {
		this.#controller.abort(error);
		this.#server?.abandon(error, briskGrace);
	}

	#limit(models: Promise<CodexModel[]>): Promise<CodexModel[]> {
		const { fetchTimeoutMs } = this.#options;
		return pTimeout(models, {
			milliseconds: Math.max(1, fetchTimeoutMs),
			signal: this.#controller.signal,
			customTimers: {
				setTimeout: ((step: () => void, ms: number) => {
					this.#limitTimer = setTimeout(step, ms).unref();
					return this.#limitTimer;
				}) as typeof setTimeout,
				clearTimeout,
			},
			fallback: () => {
				const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs: fetchTimeoutMs, ...this.state });
				this.end(error);
				throw error;
			},
		});
	}

	async #run(predecessors: Promise<unknown>): Promise<CodexModel[]> {
		await predecessors;
		return pRetry((attempt) => this.#attempt(attempt), {
			retries: this.#options.retries,
			minTimeout: backoffMs,
			factor: 2,
			randomize: true,
			unref: true,
			signal: this.#controller.signal,
			shouldRetry: async ({ error, attemptNumber }) => {
				if (!(await this.#isWorthRetrying(error))) return false;
				this.#report({ type: 'retried', attempt: attemptNumber, error: error as CodexModelsError });
				return true;
			},
		});
	}

	async #attempt(attempt: number): Promise<CodexModel[]> {
		await this.#server?.gone;
		this.#controller.signal.throwIfAborted();
		const { command, args, clientInfo } = this.#options;
		const { cwd, codexHome } = this.#place;
		const env = buildEnvironment(this.#options, codexHome);
		const server = new AppServer({ command, args, cwd, env }, clientInfo, {
			onConfigWarning: (summary, details) => this.#report({ type: 'config-warning', summary, details }),
			onExit: (exit) => this.#report({ type: 'exited', ...exit }),
		});
		this.#server = server;
		this.#attempts = attempt;
		if (server.pid !== undefined) this.#report({ type: 'spawned', pid: server.pid, attempt });
		try {
			const models = await server.listModels();
			server.end(patientGrace);
			return models;
		} catch (error) {
			server.end(briskGrace);
			throw error;
		}
	}

	async #isWorthRetrying(error: unknown): Promise<boolean> {
		if (this.#controller.signal.aborted || !(error instanceof CodexModelsError)) return false;
		if (error.code === 'ERR_CODEX_RPC') return error.rpcCode === overloaded;
		if (error.code !== 'ERR_CODEX_EXITED') return false;
		const { codexHome } = this.#place;
		if (codexHome === undefined) return true;
		// Codex does not make a CODEX_HOME that it is told of (0.105.0 to 0.169.0): the next attempt would end as early.
		return stat(codexHome).then(
			(stats) => stats.isDirectory(),
			() => false,
		);
	}
}
