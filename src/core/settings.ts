import path from 'node:path';
import { inspect } from 'node:util';
import { isObject } from './codex-model.js';
import { findSpelling } from './environment.js';
import type { CodexModelCatalogOptions, ListOptions } from './options.js';
import { version } from './version.js';

type Undefaulted = 'cwd' | 'codexHome' | 'store' | 'onEvent';

/** The options of a catalog, checked, and with their defaults. */
export type Settings = Readonly<
	Required<Omit<CodexModelCatalogOptions, Undefaulted>> & Pick<CodexModelCatalogOptions, Undefaulted>
> & {
	/** Whether neither `codexHome` nor `env` says which CODEX_HOME: that of `process.env` counts, as it is at each call. */
	readonly inheritsCodexHome: boolean;
};

/** The defaults, each only here; those of `cwd` and `codexHome` are found out at each call. */
const defaults = {
	command: 'codex',
	args: ['app-server', '-c', 'features.plugins=false'],
	env: {},
	clientInfo: { name: 'codex-models', title: 'codex-models', version },
	deadlineMs: 15_000,
	fetchTimeoutMs: 60_000,
	maxAgeMs: 300_000,
	staleWhileRevalidateMs: 86_400_000,
	cooldownMs: 30_000,
	retries: 2,
	maxEntries: 100,
	keepAliveMs: 0,
} satisfies CodexModelCatalogOptions;

/** The longest delay of `setTimeout`, which takes anything longer for 1 ms. */
const maxTimeoutMs = 2_147_483_647;

/** Misuse of the library; a class of its own tells it from a `TypeError` that is a defect. */
export class MisuseError extends TypeError {}

type Check = (value: unknown, name: string) => void;

/** @param isSecret - shows only the type of the value. */
function misuse(name: string, expected: string, value: unknown, isSecret = false): MisuseError {
	const limits = { depth: 0, customInspect: false, maxStringLength: 100, maxArrayLength: 3 };
	const shown = isSecret ? `a value of type ${typeof value}` : `${inspect(value, limits)} (${typeof value})`;
	return new MisuseError(`Expected option "${name}" to be ${expected}, got ${shown}`);
}

function integer(min: number, max: number, unit: string, infinity?: 'or Infinity'): Check {
	const expected = `a whole number of ${unit} from ${min} to ${max}${infinity ? `, ${infinity}` : ''}`;
	return (value, name) => {
		if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
		if (infinity && value === Number.POSITIVE_INFINITY) return;
		throw misuse(name, expected, value);
	};
}

const duration = integer(0, maxTimeoutMs, 'milliseconds');
const durationOrInfinity = integer(0, maxTimeoutMs, 'milliseconds', 'or Infinity');

const boolean: Check = (value, name) => {
	if (typeof value !== 'boolean') throw misuse(name, 'a boolean', value);
};

// The operating system ends a string at a NUL byte, and `spawn` refuses it.
const isString = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');

const filledString: Check = (value, name) => {
	if (!isString(value)) throw misuse(name, 'a string without NUL', value);
	if (value.trim() === '') throw misuse(name, 'a string that is not blank', value);
};

const aFunction: Check = (value, name) => {
	if (typeof value !== 'function') throw misuse(name, 'a function', value);
};

const listChecks: Record<keyof ListOptions, Check> = {
	includeHidden: boolean,
	deadlineMs: durationOrInfinity,
	signal(value, name) {
		const isSignal = isObject(value) && typeof value.aborted === 'boolean' && 'addEventListener' in value;
		if (!isSignal) throw misuse(name, 'an AbortSignal', value);
	},
	refresh: boolean,
	cwd: filledString,
	codexHome: filledString,
};

const catalogChecks: Record<keyof CodexModelCatalogOptions, Check> = {
	command(value, name) {
		if (typeof value !== 'function') filledString(value, name);
	},
	args(value, name) {
		if (!Array.isArray(value)) throw misuse(name, 'an array of strings', value, true);
		for (const [index, argument] of value.entries()) {
			if (!isString(argument)) throw misuse(`${name}[${index}]`, 'a string without NUL', argument, true);
		}
	},
	cwd: filledString,
	codexHome: filledString,
	env(value, name) {
		// The entries of a Map or the like are not properties.
		if (!isObject(value) || Symbol.iterator in value) throw misuse(name, 'an object of strings', value, true);
		for (const [variable, setting] of Object.entries(value)) {
			if (!isString(variable) || variable === '')
				throw misuse(`${name}'s name`, 'a filled string', variable, true);
			if (setting !== undefined && !isString(setting)) {
				throw misuse(`${name}.${variable}`, 'a string without NUL, or undefined', setting, true);
			}
		}
	},
	clientInfo(value, name) {
		if (!isObject(value)) throw misuse(name, 'an object with name and version', value);
		filledString(value.name, `${name}.name`);
		filledString(value.version, `${name}.version`);
		if (value.title !== undefined && !isString(value.title))
			throw misuse(`${name}.title`, 'a string', value.title);
	},
	deadlineMs: durationOrInfinity,
	fetchTimeoutMs: duration,
	maxAgeMs: durationOrInfinity,
	staleWhileRevalidateMs: durationOrInfinity,
	cooldownMs: duration,
	retries: integer(0, 100, 'attempts'),
	maxEntries: integer(1, 1_000_000, 'lists'),
	keepAliveMs: duration,
	store(value, name) {
		// The methods of a Keyv instance are inherited, and other stores may be functions.
		const store = value as Record<string, unknown> | null;
		const isStore =
			store !== null && ['get', 'set', 'delete'].every((method) => typeof store[method] === 'function');
		if (!isStore) throw misuse(name, 'an object with the methods get, set and delete', value);
	},
	onEvent: aFunction,
};

/** An unknown name is an error, too: a mistyped `deadlineMs` must not mean 15 seconds. */
function check(options: unknown, checks: Record<string, Check>): void {
	if (!isObject(options)) throw misuse('options', 'an object', options);
	for (const name in options) {
		if (!Object.hasOwn(checks, name) && options[name] !== undefined) {
			throw new MisuseError(`Unknown option "${name}"; the options are ${Object.keys(checks).join(', ')}`);
		}
	}
	for (const name in checks) {
		const value = options[name];
		if (value !== undefined) checks[name]?.(value, name);
	}
}

/** @throws TypeError that names the option, its bounds and the value. */
export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	check(options, catalogChecks);
	const given: Record<string, unknown> = {};
	// By name, because an option may be inherited: from a prototype of defaults, or a getter of a class.
	for (const name of Object.keys(catalogChecks) as (keyof CodexModelCatalogOptions)[]) {
		if (options[name] !== undefined) given[name] = options[name];
	}
	const settings = { ...defaults, ...given } as Omit<Settings, 'inheritsCodexHome'>;
	const { command, cwd, codexHome } = settings;
	const env = { ...settings.env };
	const spelling = findSpelling(env, 'CODEX_HOME');
	return {
		...settings,
		codexHome: codexHome ?? ((spelling && env[spelling]) || undefined),
		inheritsCodexHome: codexHome === undefined && spelling === undefined,
		// Paths start from the working directory of this process, not from that of the app-server.
		command: typeof command === 'string' ? toCommandPath(command) : command,
		cwd: cwd === undefined ? undefined : path.resolve(cwd),
		args: [...settings.args],
		env,
		clientInfo: { ...settings.clientInfo },
	};
}

const toCommandPath = (command: string) => (/[\\/]/.test(command) ? path.resolve(command) : command);

/** @throws TypeError that names the option, its bounds and the value. */
export function checkListOptions(options: ListOptions): void {
	check(options, listChecks);
}

/** @throws TypeError when the listener is no function. */
export function checkListener(listener: unknown): void {
	aFunction(listener, 'listener');
}

/** The command of an app-server, found out before each fetch. */
export class CommandSource {
	readonly #command: Settings['command'];
	#latest: string | undefined;

	constructor(command: Settings['command']) {
		this.#command = command;
		if (typeof command === 'string') this.#latest = command;
	}

	/** The latest command; `undefined` before a function was first called. */
	get latest(): string | undefined {
		return this.#latest;
	}

	/** @throws TypeError when a function returns no command; and whatever the function throws. */
	async resolve(): Promise<string> {
		if (typeof this.#command === 'string') return this.#command;
		const command = await this.#command();
		filledString(command, 'command');
		this.#latest = toCommandPath(command);
		return this.#latest;
	}
}
