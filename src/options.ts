import path from 'node:path';
// Imported, for the global `process` is an accessor: 4 % of a hit (Node 20).
import process from 'node:process';
import { inspect } from 'node:util';
import type { CatalogEvent } from './events.js';
import { findHome } from './home.js';
import type { ModelListStore } from './store.js';
import { version } from './version.js';

/** What `initialize` tells Codex of its client. */
export type ClientInfo = { name: string; title?: string | undefined; version: string };

/** What a single call may ask for. All durations are whole milliseconds. */
export type ListOptions = {
	/**
	 * Hidden models, too.
	 * @default false
	 */
	includeHidden?: boolean | undefined;
	/**
	 * How long this caller waits, in milliseconds; 0 to 2 147 483 647, or `Infinity`. The fetch goes on without it.
	 * @default the catalog's `deadlineMs`
	 */
	deadlineMs?: number | undefined;
	/** With it this caller leaves, and gets `signal.reason`; the fetch goes on. One already aborted starts nothing. */
	signal?: AbortSignal | undefined;
	/**
	 * Not from the cache: waits for a fetch, one under way or a new one, and rejects when that fails.
	 * @default false
	 */
	refresh?: boolean | undefined;
	/**
	 * The app-server's working directory.
	 * @default the catalog's `cwd`
	 */
	cwd?: string | undefined;
	/**
	 * The app-server's CODEX_HOME; Codex wants an absolute path of a directory that exists.
	 * @default the catalog's `codexHome`
	 */
	codexHome?: string | undefined;
};

/** What a catalog is made with. All durations are whole milliseconds. */
export type CodexModelCatalogOptions = {
	/**
	 * The Codex CLI: a name that is looked up on PATH, or a path.
	 * @default 'codex'
	 */
	command?: string | undefined;
	/**
	 * Its arguments. The default keeps it from a plugin sync, and so from `git` and the network, at each start.
	 * @default ['app-server', '-c', 'features.plugins=false']
	 */
	args?: readonly string[] | undefined;
	/**
	 * The app-server's working directory.
	 * @default the user's home directory, never the host's working directory; `/` where there is no home
	 */
	cwd?: string | undefined;
	/**
	 * The app-server's CODEX_HOME; Codex wants an absolute path of a directory that exists.
	 * @default CODEX_HOME of `env`, else Codex's own `~/.codex`
	 */
	codexHome?: string | undefined;
	/**
	 * Environment variables, laid over `process.env` at each start; `undefined` removes one.
	 * @default {}
	 */
	env?: Readonly<Record<string, string | undefined>> | undefined;
	/**
	 * What Codex is told of its client.
	 * @default this package's name and version
	 */
	clientInfo?: ClientInfo | undefined;
	/**
	 * How long a caller waits for an answer, in milliseconds; 0 to 2 147 483 647, or `Infinity`.
	 * @default 15_000
	 */
	deadlineMs?: number | undefined;
	/**
	 * How long a fetch may take, its retries included, before its app-server is ended, in milliseconds;
	 * 0 to 2 147 483 647.
	 * @default 60_000
	 */
	fetchTimeoutMs?: number | undefined;
	/**
	 * How long a list is served without asking Codex, in milliseconds; 0 to 2 147 483 647, or `Infinity`.
	 * @default 300_000
	 */
	freshMs?: number | undefined;
	/**
	 * How long, from its fetch on, a list is served at once while one refresh runs behind it, and when a fetch fails,
	 * in milliseconds; 0 to 2 147 483 647, or `Infinity`.
	 * @default 86_400_000
	 */
	staleMs?: number | undefined;
	/**
	 * After a failed refresh behind a served list none is started for so long, in milliseconds; 0 to 2 147 483 647.
	 * @default 30_000
	 */
	cooldownMs?: number | undefined;
	/**
	 * Further attempts when an app-server ended early or was overloaded; 0 to 100.
	 * @default 2
	 */
	retries?: number | undefined;
	/**
	 * Lists that are remembered, by command, args, cwd and CODEX_HOME; 1 to 1 000 000.
	 * @default 100
	 */
	maxEntries?: number | undefined;
	/**
	 * How long an app-server is kept after an answer, for the next fetch of its list, in milliseconds; 0 to 2 147 483 647.
	 * With 0 there is one for each fetch. Not for logins in the keyring: a kept one goes on with the login it started with.
	 * @default 0
	 */
	keepAliveMs?: number | undefined;
	/**
	 * A second cache behind the one in memory, such as a Keyv instance, or `fileStore()` of `codex-models/file-store`.
	 * @default none
	 */
	store?: ModelListStore | undefined;
	/** Told what happened. One that throws, or returns a promise that rejects, harms nothing. */
	onEvent?: ((event: CatalogEvent) => void) | undefined;
};

type Undefaulted = 'cwd' | 'codexHome' | 'store' | 'onEvent';

type Settings = Required<Omit<CodexModelCatalogOptions, Undefaulted>> &
	Pick<CodexModelCatalogOptions, Undefaulted>;

/** A catalog's options, checked, and with its defaults. */
export type ResolvedOptions = { readonly [name in keyof Settings]: Settings[name] } & {
	/** Neither `codexHome` nor `env` says which CODEX_HOME: the host's, as it is at each call. */
	readonly isCodexHomeInherited: boolean;
};

/** The defaults, each only here; `cwd` and `codexHome` are found out at each call. */
const defaults = {
	command: 'codex',
	args: ['app-server', '-c', 'features.plugins=false'],
	env: {},
	clientInfo: { name: 'codex-models', title: 'codex-models', version },
	deadlineMs: 15_000,
	fetchTimeoutMs: 60_000,
	freshMs: 300_000,
	staleMs: 86_400_000,
	cooldownMs: 30_000,
	retries: 2,
	maxEntries: 100,
	keepAliveMs: 0,
} satisfies CodexModelCatalogOptions;

/** The longest that `setTimeout` waits; it takes anything longer for 1 ms. */
const longestMs = 2_147_483_647;

type Check = (value: unknown, name: string) => void;

function expected(name: string, what: string, value: unknown): TypeError {
	return new TypeError(
		`Expected option "${name}" to be ${what}, got ${inspect(value, { depth: 0 })} (${typeof value})`,
	);
}

function integer(min: number, max: number, unit: string, infinity?: 'or Infinity'): Check {
	const what = `a whole number of ${unit} from ${min} to ${max}${infinity ? `, ${infinity}` : ''}`;
	return (value, name) => {
		if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
		if (infinity && value === Number.POSITIVE_INFINITY) return;
		throw expected(name, what, value);
	};
}

const duration = integer(0, longestMs, 'milliseconds');
const durationOrInfinity = integer(0, longestMs, 'milliseconds', 'or Infinity');

const boolean: Check = (value, name) => {
	if (typeof value !== 'boolean') throw expected(name, 'a boolean', value);
};

// A NUL byte would end the string in the operating system's hands; `spawn` refuses it.
const string: Check = (value, name) => {
	if (typeof value !== 'string' || value.includes('\0')) throw expected(name, 'a string without NUL', value);
};

const filledString: Check = (value, name) => {
	string(value, name);
	if ((value as string).trim() === '') throw expected(name, 'a string that is not blank', value);
};

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

const listChecks: Record<keyof ListOptions, Check> = {
	includeHidden: boolean,
	deadlineMs: durationOrInfinity,
	signal(value, name) {
		const isSignal = isObject(value) && typeof value.aborted === 'boolean' && 'addEventListener' in value;
		if (!isSignal) throw expected(name, 'an AbortSignal', value);
	},
	refresh: boolean,
	cwd: filledString,
	codexHome: filledString,
};

const catalogChecks: Record<keyof CodexModelCatalogOptions, Check> = {
	command: filledString,
	args(value, name) {
		if (!Array.isArray(value)) throw expected(name, 'an array of strings', value);
		for (const [index, argument] of value.entries()) string(argument, `${name}[${index}]`);
	},
	cwd: filledString,
	codexHome: filledString,
	env(value, name) {
		// A Map or the like has no entries that `Object.entries` shows.
		if (!isObject(value) || Symbol.iterator in value) throw expected(name, 'an object of strings', value);
		for (const [variable, setting] of Object.entries(value)) {
			string(variable, `${name}'s name`);
			if (setting !== undefined) string(setting, `${name}.${variable}`);
		}
	},
	clientInfo(value, name) {
		if (!isObject(value)) throw expected(name, 'an object with name and version', value);
		filledString(value.name, `${name}.name`);
		filledString(value.version, `${name}.version`);
		if (value.title !== undefined) string(value.title, `${name}.title`);
	},
	deadlineMs: durationOrInfinity,
	fetchTimeoutMs: duration,
	freshMs: durationOrInfinity,
	staleMs: durationOrInfinity,
	cooldownMs: duration,
	retries: integer(0, 100, 'attempts'),
	maxEntries: integer(1, 1_000_000, 'lists'),
	keepAliveMs: duration,
	store(value, name) {
		const methods = ['get', 'set', 'delete'] as const;
		// A Keyv instance has them on its prototype, and other stores may be functions.
		const isStore =
			value !== null && methods.every((method) => typeof (value as ModelListStore)[method] === 'function');
		if (!isStore) throw expected(name, `an object with the methods ${methods.join(', ')}`, value);
	},
	onEvent(value, name) {
		if (typeof value !== 'function') throw expected(name, 'a function', value);
	},
};

/** An unknown name is an error, too: a mistyped `deadlineMs` must not mean 15 seconds. */
function check(options: unknown, checks: Record<string, Check>): void {
	if (!isObject(options)) throw expected('options', 'an object', options);
	for (const name in options) {
		const value = options[name];
		if (value === undefined) continue;
		if (!Object.hasOwn(checks, name)) {
			throw new TypeError(`Unknown option "${name}"; there are ${Object.keys(checks).join(', ')}`);
		}
		checks[name]?.(value, name);
	}
}

/** @throws TypeError that names the option, its bounds and the value. */
export function resolveCatalogOptions(options: CodexModelCatalogOptions = {}): ResolvedOptions {
	check(options, catalogChecks);
	const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
	const resolved: Settings = { ...defaults, ...given };
	const env = { ...resolved.env };
	return {
		...resolved,
		codexHome: resolved.codexHome ?? (env.CODEX_HOME || undefined),
		isCodexHomeInherited: resolved.codexHome === undefined && !Object.hasOwn(env, 'CODEX_HOME'),
		// Paths are meant from where the host is, not from the app-server's working directory.
		command: /[\\/]/.test(resolved.command) ? path.resolve(resolved.command) : resolved.command,
		cwd: resolved.cwd === undefined ? undefined : path.resolve(resolved.cwd),
		args: [...resolved.args],
		env,
		clientInfo: { ...resolved.clientInfo },
	};
}

/** @throws TypeError that names the option, its bounds and the value. */
export function checkListOptions(options: ListOptions): void {
	check(options, listChecks);
}

/** Which list a call is about. */
export type ListPlace = {
	/** An absolute path. */
	cwd: string;
	/** `undefined`: Codex's own default. */
	codexHome: string | undefined;
	/** Tells the lists of one catalog apart; command and args are the same for all of them. */
	key: string;
};

/**
 * `process.env` and the home directory are read anew each time: a host may set them after it has made its catalog.
 *
 * @param last - is returned if it is the place, which saves a hit from making a string and hashing it.
 */
export function findPlace(
	catalog: ResolvedOptions,
	list: ListOptions | undefined,
	last: ListPlace | undefined,
): ListPlace {
	const cwd = list?.cwd === undefined ? (catalog.cwd ?? findHome()) : path.resolve(list.cwd);
	// By its name, not by a name in a variable: reading `process.env` is a third of a hit, and so it is half as slow.
	const inherited = catalog.isCodexHomeInherited ? process.env.CODEX_HOME || undefined : undefined;
	const codexHome = list?.codexHome ?? catalog.codexHome ?? inherited;
	if (last?.cwd === cwd && last.codexHome === codexHome) return last;
	return { cwd, codexHome, key: `${cwd}\0${codexHome ?? ''}` };
}

/** A variable of the app-server's environment; `undefined` where it is empty, too. */
export function readVariable(env: ResolvedOptions['env'], name: string): string | undefined {
	return (Object.hasOwn(env, name) ? env[name] : process.env[name]) || undefined;
}

/** The app-server's whole environment. */
export function buildEnvironment(catalog: ResolvedOptions, codexHome: string | undefined): NodeJS.ProcessEnv {
	const environment = { ...process.env };
	const overlay = codexHome === undefined ? catalog.env : { ...catalog.env, CODEX_HOME: codexHome };
	for (const [name, value] of Object.entries(overlay)) {
		if (process.platform === 'win32') {
			// Names do not tell case there, but this copy does: "PATH" must not stand beside "Path".
			for (const other of Object.keys(environment)) {
				if (other.toUpperCase() === name.toUpperCase()) delete environment[other];
			}
		}
		if (value === undefined) delete environment[name];
		else environment[name] = value;
	}
	return environment;
}
