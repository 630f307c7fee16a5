import type { EnvironmentOverlay } from '../system/environment.js';
import type { CatalogEvent } from './events.js';
import type { ModelListStore } from './model-list-store.js';

/** The client that `initialize` names to Codex. */
export type ClientInfo = { name: string; title?: string | undefined; version: string };

/** The options of a single call; what it does not say of the last three is as the catalog has it. */
export type ListOptions = {
	/** Whether the list holds hidden models, too. @default false */
	includeHidden?: boolean | undefined;
	/** Ends the wait of this caller, who gets `signal.reason`; the fetch goes on. An aborted signal starts nothing. */
	signal?: AbortSignal | undefined;
	/** Whether to wait for a fetch, new or under way, and to reject when it fails, in place of the cache. @default false */
	refresh?: boolean | undefined;
} & Pick<CodexModelCatalogOptions, 'deadlineMs' | 'cwd' | 'codexHome'>;

/** The list that a call is about. */
export type TargetOptions = Pick<ListOptions, 'includeHidden' | 'cwd' | 'codexHome'>;

/** The options of a catalog. Durations are whole milliseconds: 0 to 2 147 483 647, or `Infinity` where a line says so. */
export type CodexModelCatalogOptions = {
	/** The Codex CLI: a name on PATH, a path, or a function that returns one before each fetch. @default 'codex' */
	command?: string | (() => string | Promise<string>) | undefined;
	/** The default avoids a plugin sync at each start. @default ['app-server', '-c', 'features.plugins=false'] */
	args?: readonly string[] | undefined;
	/** The working directory of the app-server. @default the user's home directory; `/` if it cannot be entered */
	cwd?: string | undefined;
	/** The CODEX_HOME of the app-server: an absolute path of a directory. @default CODEX_HOME of `env`, else `~/.codex` */
	codexHome?: string | undefined;
	/** Variables that are laid over `process.env` at each start; `undefined` removes one. @default {} */
	env?: EnvironmentOverlay | undefined;
	/** The client that `initialize` names to Codex. @default the name and version of this package */
	clientInfo?: ClientInfo | undefined;
	/** How long a caller waits for an answer, or `Infinity`; the fetch goes on. @default 15_000 */
	deadlineMs?: number | undefined;
	/** How long a fetch may take, its retries included, before its app-server is ended. @default 60_000 */
	fetchTimeoutMs?: number | undefined;
	/** How long a list is served without asking Codex, or `Infinity`. @default 300_000 */
	maxAgeMs?: number | undefined;
	/** How long after `maxAgeMs` a list is served while it is refreshed in the background, or `Infinity`. @default 86_400_000 */
	staleWhileRevalidateMs?: number | undefined;
	/** The minimum delay after a failed background refresh before the next one. @default 30_000 */
	cooldownMs?: number | undefined;
	/** Further attempts when an app-server ended early or was overloaded; 0 to 100. @default 2 */
	retries?: number | undefined;
	/** The number of lists that are remembered, by cwd, CODEX_HOME and account; 1 to 1 000 000. @default 100 */
	maxEntries?: number | undefined;
	/** How long an app-server, and the login that it started with, is kept for the next fetch; 0: one per fetch. @default 0 */
	keepAliveMs?: number | undefined;
	/** A second cache: a Keyv instance, or `fileStore()` of `codex-models/file-store`. @default none */
	store?: ModelListStore | undefined;
	/** Is called with each event. A listener that throws, or returns a promise that rejects, harms nothing. */
	onEvent?: ((event: CatalogEvent) => void) | undefined;
};
