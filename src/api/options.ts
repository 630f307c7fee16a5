import type { CatalogEvent } from './events.js';
import type { CatalogWarning } from './model-list.js';

/** Each option may be left out, or be `undefined`, also under `exactOptionalPropertyTypes`. */
type Optional<Options> = { [Name in keyof Options]?: Options[Name] | undefined };

/** The client that `initialize` names to Codex. */
export type ClientInfo = { name: string; title?: string | undefined; version: string };

/**
 * A second cache behind the one in memory: a Keyv instance, a `Map`, or `fileStore()` of `codex-models/file-store`. Values are
 * plain JSON. A method that throws or rejects, or that takes longer than a second (`lock` excepted), costs an event, and the call goes on.
 */
export type ModelListStore = {
	get(key: string): unknown;
	/** @param ttlMs - how long the value is useful, in milliseconds; `undefined`: without end. */
	set(key: string, value: unknown, ttlMs?: number): unknown;
	delete(key: string): unknown;
	/**
	 * Waits until no other process holds the key, and holds the key until the returned function is called. Rejects on an
	 * abort. The wait lasts as long as a fetch at most.
	 */
	lock?(key: string, signal: AbortSignal): Promise<() => unknown>;
};

/**
 * Asks for the models in place of an app-server that this library starts: `models` are the entries of `model/list`, all
 * pages, hidden ones included, and `config` is the result of `config/read` (best with `includeLayers: true`). `codexHome` is
 * `undefined` where neither an option nor a call says it; `signal` aborts after `fetchTimeoutMs` and at `close()`.
 */
export type FetchModels = (request: {
	cwd: string;
	codexHome: string | undefined;
	signal: AbortSignal;
}) => Promise<{
	models: readonly unknown[];
	config?: unknown;
	warnings?: readonly CatalogWarning[] | undefined;
}>;

/** The options of a single call. `deadlineMs`, `cwd` and `codexHome` default to the catalog's. */
export type ListOptions = Optional<{
	/** Whether the list holds hidden models, too. @default false */
	includeHidden: boolean;
	/** Ends the wait of this caller, who gets `signal.reason`; the fetch goes on. An aborted signal starts nothing. */
	signal: AbortSignal;
	/** Whether to wait for a fetch, new or under way, and to reject when it fails, in place of the cache. @default false */
	refresh: boolean;
}> &
	Pick<CodexModelCatalogOptions, 'deadlineMs' | 'cwd' | 'codexHome'>;

/** The list that a call is about. */
export type TargetOptions = Pick<ListOptions, 'includeHidden' | 'cwd' | 'codexHome'>;

/** The options of a catalog. Durations are whole milliseconds: 0 to 2 147 483 647, or `Infinity` where a line says so. */
export type CodexModelCatalogOptions = Optional<{
	/** The Codex CLI: a name on PATH, a path, or a function that returns one before each fetch. @default 'codex' */
	command: string | (() => string | Promise<string>);
	/** The default avoids a plugin sync at each start. @default ['app-server', '-c', 'features.plugins=false'] */
	args: readonly string[];
	/** The working directory of the app-server. @default the root of the file system: no project's configuration */
	cwd: string;
	/** The CODEX_HOME of the app-server: an absolute path of a directory. @default CODEX_HOME of `env`, else `~/.codex` */
	codexHome: string;
	/** Variables that are laid over `process.env` at each start; `undefined` removes one. @default {} */
	env: Readonly<Record<string, string | undefined>>;
	/** The client that `initialize` names to Codex. @default the name and version of this package */
	clientInfo: ClientInfo;
	/** How long a caller waits for an answer, or `Infinity`; the fetch goes on. @default 15_000 */
	deadlineMs: number;
	/** How long a fetch may take, its retries included, before its app-server is ended. @default 60_000 */
	fetchTimeoutMs: number;
	/** How long a list is served without asking Codex, or `Infinity`. @default 300_000 */
	maxAgeMs: number;
	/** How long after `maxAgeMs` a list is served while it is refreshed in the background, or `Infinity`. @default 86_400_000 */
	staleWhileRevalidateMs: number;
	/** The minimum delay after a failed background refresh before the next one. @default 30_000 */
	cooldownMs: number;
	/** Further attempts when an app-server ended early or was overloaded; 0 to 100. @default 2 */
	retries: number;
	/**
	 * The number of lists that are remembered, by cwd and CODEX_HOME; 1 to 1 000 000. Up to twice as many may be held for a
	 * while. @default 100
	 */
	maxEntries: number;
	/** How long an app-server, and the login that it started with, is kept for the next fetch; 0: one per fetch. @default 0 */
	keepAliveMs: number;
	/** A second cache: a Keyv instance, a `Map`, or `fileStore()` of `codex-models/file-store`. @default none */
	store: ModelListStore;
	/**
	 * Asks an app-server of the host, or gives the list of a test, in place of a start. The options `command`, `args`, `env`,
	 * `clientInfo`, `retries` and `keepAliveMs` may not stand beside it. @default none
	 */
	fetchModels: FetchModels;
	/** Is called with each event. A listener that throws, or returns a promise that rejects, harms nothing. */
	onEvent: (event: CatalogEvent) => void;
}>;
