import type { CodexModel, CodexModelSummary } from './api/codex-model.js';
import { createEmitter } from './api/events.js';
import type { FetchTarget } from './api/fetch.js';
import type { CodexModelCatalogOptions, ListOptions, TargetOptions } from './api/options.js';
import type { Settings } from './api/settings.js';
import {
	CommandSource,
	checkListener,
	checkListOptions,
	checkTargetOptions,
	resolveSettings,
} from './api/settings.js';
import { createFetcher, type Fetcher } from './app-server/fetch-models.js';
import { type ResolvedTarget, resolveTarget } from './cache/fetch-target.js';
import { readFingerprint } from './cache/fingerprint.js';
import { ModelCache } from './cache/model-cache.js';
import type { CatalogSnapshot } from './cache/model-list.js';
import { keepProcessAlive } from './system/timers.js';

/**
 * The models that a Codex CLI offers, cached: served from memory while fresh, served and refreshed in the background while
 * stale, else fetched by an app-server that all who wait share.
 *
 * @example
 * await using catalog = new CodexModelCatalog({ deadlineMs: 5_000 });
 * const models = await catalog.list();
 */
export class CodexModelCatalog implements AsyncDisposable {
	readonly #settings: Settings;
	readonly #fetcher: Fetcher;
	readonly #cache: ModelCache;
	/** Most calls have the same target, whose key is not made again. */
	#lastTarget: ResolvedTarget | undefined;
	#closing: Promise<void> | undefined;

	/** Starts nothing. @throws TypeError that names the option, its bounds and the value. */
	constructor(options?: CodexModelCatalogOptions) {
		const settings = resolveSettings(options);
		const command = new CommandSource(settings.command);
		const fetcher = createFetcher(settings, command);
		this.#settings = settings;
		this.#fetcher = fetcher;
		this.#cache = new ModelCache({
			settings,
			fetchModels: fetcher.fetchModels,
			readFingerprint: (target) => readFingerprint(target, settings, command),
			emitEvent: createEmitter(settings.onEvent),
		});
	}

	/**
	 * The models in Codex's order: the caller's own copy.
	 *
	 * @throws CodexModelsError when there is nothing to serve and no answer comes; `code` tells the kinds apart.
	 * @throws TypeError for an option that is wrong or unknown, by the promise.
	 * @throws `signal.reason` when the caller's signal aborts.
	 */
	async list(options?: ListOptions): Promise<CodexModel[]> {
		const target = this.#resolveTarget(options);
		// Read now, because the caller may change the object of the options during the wait.
		const includeHidden = options?.includeHidden ?? false;
		const list =
			this.#cache.lookup(target, options) ?? (await this.#cache.getOrFetch(target, options));
		return list.copyModels(includeHidden);
	}

	/**
	 * The same as `list`, as summaries; whole models are not copied on the way.
	 *
	 * @internal
	 */
	async listSummaries(options?: ListOptions): Promise<CodexModelSummary[]> {
		const target = this.#resolveTarget(options);
		const includeHidden = options?.includeHidden ?? false;
		const list =
			this.#cache.lookup(target, options) ?? (await this.#cache.getOrFetch(target, options));
		return list.copySummaries(includeHidden);
	}

	/** The models of `list`, with their age, the configured model and the failure of its last refresh. @throws the same as `list`. */
	async read(options?: ListOptions): Promise<CatalogSnapshot> {
		const target = this.#resolveTarget(options);
		const includeHidden = options?.includeHidden ?? false;
		const list =
			this.#cache.lookup(target, options) ?? (await this.#cache.getOrFetch(target, options));
		return this.#cache.snapshot(target, list, includeHidden);
	}

	/** The snapshot that `read` would serve from memory, or `undefined`; starts nothing. @throws TypeError for a wrong option. */
	peek(options?: TargetOptions): CatalogSnapshot | undefined {
		return this.#cache.peek(
			this.#resolveTarget(options, checkTargetOptions),
			options?.includeHidden ?? false,
		);
	}

	/**
	 * Calls `listener` with its own copy after the list, the configured model or `refreshError` has changed; not when a
	 * refresh brought the same. Starts nothing and keeps nothing alive.
	 *
	 * @returns a function that unsubscribes.
	 * @throws TypeError for a listener that is no function, or a wrong option.
	 */
	subscribe(listener: (snapshot: CatalogSnapshot) => void, options?: TargetOptions): () => void {
		checkListener(listener);
		const target = this.#resolveTarget(options, checkTargetOptions);
		return this.#cache.subscribe(target, options?.includeHidden ?? false, listener);
	}

	/**
	 * Forgets every list, and deletes the lists that this catalog knows in the store. A fetch under way answers the callers that
	 * wait for it; its list is not remembered, and later callers get a new fetch.
	 */
	clear(): void {
		this.#cache.clear();
		this.#fetcher.evictIdle();
	}

	/**
	 * Ends everything: each waiting and each later call gets `ERR_CODEX_CLOSED`. Resolves when every app-server is gone, after
	 * some two seconds at most, and keeps the process alive until then. May be called twice.
	 */
	close(): Promise<void> {
		this.#closing ??= this.#closeAll();
		return this.#closing;
	}

	/** The same as `close`. */
	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	async #closeAll(): Promise<void> {
		const release = keepProcessAlive();
		await Promise.all([this.#cache.close(), this.#fetcher.close()]).finally(release);
	}

	#resolveTarget(options: ListOptions | undefined, check = checkListOptions): FetchTarget {
		if (options !== undefined) check(options);
		this.#lastTarget = resolveTarget(this.#settings, options, this.#lastTarget);
		return this.#lastTarget;
	}
}
