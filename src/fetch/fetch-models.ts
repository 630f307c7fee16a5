import { stat } from 'node:fs/promises';
import pTimeout from 'p-timeout';
import type { AppServer } from './app-server.js';
import type { AppServers } from './app-servers.js';
import { CodexModelsError, type FetchPhase, timeoutError } from './errors.js';
import type { Report } from './events.js';
import { briskGrace } from './grace.js';
import type { CodexModel } from './model.js';
import { ModelList } from './model-list.js';
import type { ListPlace, ResolvedOptions } from './options.js';
import type { Origin } from './origin.js';
import type { StoredList } from './stored-list.js';
import { unrefTimers } from './timers.js';

/**
 * The first wait before another attempt, in milliseconds; each is twice the one before it, and each is between once and
 * twice as long, by chance. Of 4 hosts that start together in a new CODEX_HOME (0.136.0, two cores, 15 rounds each) none of
 * 60 failed in the end with 0, 50, 100, 200 or 400 ms here, with 6 to 17 retries; 200 leaves room for slower disks.
 */
const backoffMs = 200;

/** The JSON-RPC code of an app-server that is overloaded. */
const overloaded = -32001;

type FetchContext = {
	options: ResolvedOptions;
	servers: AppServers;
	place: ListPlace;
	/** What the list will have come from. */
	origin: Origin;
	/** What it would come from by now. */
	readOrigin(): Promise<Origin>;
	/** Where other processes look for the list, and put it. */
	stored: Promise<StoredList> | undefined;
	/** Whether it need not be looked for there: nobody can have brought it, or the store is silent. */
	skipLoad: boolean;
	/** Whether nobody wants to remember the list any more. */
	isForgotten(): boolean;
	isFresh(list: ModelList): boolean;
	/** Resolves when the app-servers may be started. */
	predecessors: Promise<unknown>;
	report: Report;
};

/**
 * One fetch of one list: attempts with an app-server each, one after the other, under one limit. It goes on whoever
 * leaves, and does not keep the host alive.
 */
export class ModelListFetch {
	/** Rejects with a `CodexModelsError`. */
	readonly list: Promise<ModelList>;
	/**
	 * Resolves when another fetch of this list may start an app-server. After a failure that is when the last one is
	 * gone, for two that refresh one rotating login token can log the user out (openai/codex #10332).
	 */
	readonly over: Promise<void>;
	/** Resolves when the list is in the store, and others may fetch. */
	readonly shared: Promise<unknown>;
	/** Another process's list that is older is not good enough, in epoch ms; `undefined`: any that is fresh is. */
	notBefore: number | undefined;
	readonly #context: FetchContext;
	readonly #controller = new AbortController();
	#server: AppServer | undefined;
	#attempts = 0;
	#saved = Promise.resolve();

	constructor(context: FetchContext) {
		this.#context = context;
		const run = this.#run();
		this.list = this.#limit(run);
		this.over = this.list.then(
			() => {},
			() => this.#server?.gone,
		);
		this.shared = run.then(
			() => this.#saved,
			() => this.#saved,
		);
	}

	/** What there is to say of it now. */
	get state(): { phase: FetchPhase; stderr: string; lastWords: string } {
		return {
			phase: this.#server?.phase ?? 'spawn',
			...(this.#server?.words ?? { stderr: '', lastWords: '' }),
		};
	}

	/** 0 where another process's list was good enough. */
	get attempts(): number {
		return this.#attempts;
	}

	get account(): string {
		return this.#context.origin.account;
	}

	/** Rejects `list`, unless it is there, and ends the app-server without patience. */
	end(error: CodexModelsError): void {
		this.#controller.abort(error);
		this.#server?.abandon(error, briskGrace);
	}

	#limit(list: Promise<ModelList>): Promise<ModelList> {
		const { fetchTimeoutMs } = this.#context.options;
		return pTimeout(list, {
			milliseconds: Math.max(1, fetchTimeoutMs),
			signal: this.#controller.signal,
			customTimers: unrefTimers,
			fallback: () => {
				const error = timeoutError({ limit: 'fetchTimeoutMs', timeoutMs: fetchTimeoutMs, ...this.state });
				this.end(error);
				throw error;
			},
		});
	}

	async #run(): Promise<ModelList> {
		await this.#context.predecessors;
		const stored = await this.#context.stored;
		if (!stored) return this.#fetch();

		const unlock = await stored.lock(this.#controller.signal);
		try {
			// Whoever held the lock may have brought it.
			const found = this.#context.skipLoad ? undefined : await stored.load();
			if (found && this.#isGoodEnough(found)) {
				this.#saved = unlock();
				return found;
			}
			const list = await this.#fetch();
			this.#saved = this.#save(stored, list).then(unlock);
			return list;
		} catch (error) {
			// Not before its app-server is gone, for the same reason as `over`.
			this.#saved = Promise.resolve(this.#server?.gone).then(unlock);
			throw error;
		}
	}

	#isGoodEnough(found: ModelList): boolean {
		return this.notBefore === undefined ? this.#context.isFresh(found) : found.fetchedAt >= this.notBefore;
	}

	async #save(stored: StoredList, list: ModelList): Promise<void> {
		const { readOrigin, isForgotten } = this.#context;
		// After a login or logout in between nobody knows whose list it is.
		const { account } = await readOrigin();
		if (account !== list.origin.account || list.size === 0 || isForgotten()) return;
		await stored.save(list);
		if (isForgotten()) await stored.delete();
	}

	async #fetch(): Promise<ModelList> {
		const { default: pRetry } = await import('p-retry');
		const models = await pRetry((attempt) => this.#attempt(attempt), {
			retries: this.#context.options.retries,
			minTimeout: backoffMs,
			factor: 2,
			randomize: true,
			unref: true,
			signal: this.#controller.signal,
			shouldRetry: async ({ error, attemptNumber }) => {
				if (!(await this.#isWorthRetrying(error))) return false;
				this.#context.report({ type: 'retried', attempt: attemptNumber, error: error as CodexModelsError });
				return true;
			},
		});
		return new ModelList(models, Date.now(), this.#context.origin);
	}

	async #attempt(attempt: number): Promise<CodexModel[]> {
		await this.#server?.gone;
		this.#controller.signal.throwIfAborted();
		this.#attempts = attempt;
		const { options, servers, place, origin, report } = this.#context;
		const kept = attempt === 1 ? servers.take(place.key, origin) : undefined;
		if (kept) {
			try {
				return await this.#ask(kept);
			} catch (error) {
				// It died in its idleness, or of the question: not worth telling, for a new one is asked.
				if (!isEarlyEnd(error)) throw error;
				await kept.gone;
				this.#controller.signal.throwIfAborted();
			}
		}
		const server = await servers.start(place, this.#controller.signal, {
			// Codex warns of its sandbox at each start, and to make its words safe to show takes longer than to read them.
			...(options.onEvent && {
				onConfigWarning: (summary, details) => report({ type: 'config-warning', summary, details }),
			}),
			onExit: (exit) => report({ type: 'exited', ...exit }),
		});
		if (server.pid !== undefined) report({ type: 'spawned', pid: server.pid, attempt });
		return this.#ask(server);
	}

	async #ask(server: AppServer): Promise<CodexModel[]> {
		this.#server = server;
		try {
			const models = await server.listModels();
			const { servers, place, origin } = this.#context;
			servers.release(place.key, server, origin);
			return models;
		} catch (error) {
			server.end(briskGrace);
			throw error;
		}
	}

	async #isWorthRetrying(error: unknown): Promise<boolean> {
		if (this.#controller.signal.aborted) return false;
		if (error instanceof CodexModelsError && error.rpcCode === overloaded) return true;
		if (!isEarlyEnd(error)) return false;
		const { codexHome } = this.#context.place;
		if (codexHome === undefined) return true;
		// Codex does not make a CODEX_HOME that it is told of (0.105.0 to 0.169.0): the next attempt would end as early.
		return stat(codexHome).then(
			(stats) => stats.isDirectory(),
			() => false,
		);
	}
}

const isEarlyEnd = (error: unknown) => error instanceof CodexModelsError && error.code === 'ERR_CODEX_EXITED';
