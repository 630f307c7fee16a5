import path from 'node:path';
// An import, because the global `process` is an accessor, which costs 4 % of a hit (Node 20).
import process from 'node:process';
import type { CodexModel } from './api/codex-model.js';
import { callHost, protocolError } from './api/errors.js';
import { createEmitter } from './api/events.js';
import {
	type CatalogSnapshot,
	type Fetcher,
	type FetchRequest,
	readAnswer,
	type SnapshotListener,
	type Target,
} from './api/model-list.js';
import { aFunction, check, checkValue, type Rule } from './api/option-rules.js';
import type {
	CodexModelCatalogOptions,
	FetchModels,
	ListOptions,
	TargetOptions,
} from './api/options.js';
import { listRules, resolveSettings, type Settings, targetRules } from './api/settings.js';
import { createFetcher } from './app-server/fetch-models.js';
import { ModelCache } from './cache/model-cache.js';
import { findHome, findSpelling, resolvePath } from './system/environment.js';
import { keepProcessAlive } from './system/timers.js';

/** A copy, because the caller may change the object during the wait; with inherited options, which a spread leaves out. */
const checkCall = (options: ListOptions | undefined, rules: Record<string, Rule>): ListOptions =>
	options === undefined ? {} : check(options, rules);

/** A target, and the folder that its CODEX_HOME was found by. */
type ResolvedTarget = Target & { readonly root: string };

/** The methods of a catalog: the type for a stand-in of a test, or for a catalog behind another process. */
export type ModelCatalog = Pick<
	CodexModelCatalog,
	'list' | 'read' | 'peek' | 'subscribe' | 'clear' | 'close'
>;

/**
 * The models that a Codex CLI offers, cached: served from memory while fresh, served and refreshed in the background while
 * stale, else fetched by an app-server that all who wait share.
 *
 * @example
 * const catalog = new CodexModelCatalog({ deadlineMs: 5_000 });
 * const models = await catalog.list();
 * await catalog.close();
 */
export class CodexModelCatalog implements AsyncDisposable {
	readonly #settings: Settings;
	readonly #cache: ModelCache;
	/** Most calls have the same target, whose key is not made again. */
	#lastTarget: ResolvedTarget | undefined;

	/** Starts nothing. @throws TypeError that names the option, its bounds and the value. */
	constructor(options?: CodexModelCatalogOptions) {
		const settings = resolveSettings(options);
		const { fetchModels, onEvent } = settings;
		const fetcher = fetchModels ? createHostFetcher(fetchModels) : createFetcher(settings);
		this.#settings = settings;
		this.#cache = new ModelCache(settings, fetcher, createEmitter(onEvent));
	}

	/**
	 * The models in Codex's order: one frozen array for all callers until something in it changes.
	 *
	 * @throws CodexModelsError when there is nothing to serve and no answer comes; `code` tells the kinds apart.
	 * @throws TypeError for an option that is wrong or unknown, by the promise.
	 * @throws `signal.reason` when the caller's signal aborts.
	 */
	async list(options?: ListOptions): Promise<readonly CodexModel[]> {
		return (await this.#find(options)).models;
	}

	/** The models of `list`, with their age, the configured model and the failure of the last refresh. @throws the same as `list`. */
	async read(options?: ListOptions): Promise<CatalogSnapshot> {
		return this.#find(options);
	}

	/** The snapshot that `read` would serve from memory, or `undefined`; starts nothing. @throws TypeError for a wrong option. */
	peek(options?: TargetOptions): CatalogSnapshot | undefined {
		const given = checkCall(options, targetRules);
		return this.#cache.peek(this.#resolveTarget(given), given);
	}

	/**
	 * Calls `listener` with what `peek` gives now, after the list, the configured model, the warnings or `refreshError` have
	 * changed; not when a refresh brought the same. Starts nothing and keeps nothing alive.
	 *
	 * @returns a function that unsubscribes.
	 * @throws TypeError for a listener that is no function, or a wrong option.
	 */
	subscribe(listener: SnapshotListener, options?: TargetOptions): () => void {
		checkValue('listener', listener, aFunction);
		const given = checkCall(options, targetRules);
		return this.#cache.subscribe(this.#resolveTarget(given), listener, given);
	}

	/**
	 * Forgets every list, and deletes the lists that this catalog knows in the store. A fetch under way answers the callers
	 * that wait for it; its list is not remembered, and later callers get a new fetch.
	 */
	clear(): void {
		this.#cache.clear();
	}

	/**
	 * Ends everything: each waiting and each later call gets `ERR_CODEX_CLOSED`. Resolves when every app-server is gone, after
	 * some three seconds at most, and keeps the process alive until then. May be called twice.
	 */
	close(): Promise<void> {
		return keepProcessAlive(this.#cache.close());
	}

	/** The same as `close`. */
	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	/** Without a promise where the list is in memory. */
	#find(options?: ListOptions) {
		const given = checkCall(options, listRules);
		const target = this.#resolveTarget(given);
		return this.#cache.lookup(target, given) ?? this.#cache.getOrFetch(target, given);
	}

	/**
	 * The subject of a call. `process.env` and the home directory are read each time, because a program may set them after it
	 * has made its catalog.
	 */
	#resolveTarget(options: TargetOptions) {
		const { cwd: ownCwd, codexHome: ownHome, env, fetchModels } = this.#settings;
		const cwd = options.cwd === undefined ? ownCwd : resolvePath(options.cwd);
		const variable = findSpelling(env, 'CODEX_HOME');
		const said = options.codexHome ?? ownHome;
		const chosen = said ?? ((variable in env ? env : process.env)[variable] || undefined);
		// A function of the host asks an app-server of its own, and hears only of what an option says.
		const codexHome = fetchModels ? said : chosen;
		const root = chosen ?? findHome('HOME' in env ? env : process.env);
		const last = this.#lastTarget;
		if (last?.cwd === cwd && last.codexHome === codexHome && last.root === root) return last;
		// Codex takes a relative CODEX_HOME from its own working directory.
		const home = chosen === undefined ? path.join(root, '.codex') : resolvePath(cwd, chosen);
		this.#lastTarget = { cwd, codexHome, root, home, key: `${cwd}\0${home}` };
		return this.#lastTarget;
	}
}

/** Fetches by the function of a host, in place of app-servers that this library starts. */
function createHostFetcher(fetchModels: FetchModels): Fetcher {
	const fetch = async ({ target: { cwd, codexHome }, signal }: FetchRequest) => {
		const answer = await fetchModels({ cwd, codexHome, signal });
		if (Array.isArray(answer?.models)) return readAnswer(answer);
		const hint = 'The function "fetchModels" must return an object whose "models" are an array.';
		throw protocolError({ problem: 'it has no array of models', phase: 'model/list', hint });
	};
	return {
		maxAtOnce: Infinity,
		startFetch: (request) => ({
			answer: callHost('fetchModels', () => fetch(request)),
			attempts: 1,
		}),
	};
}
