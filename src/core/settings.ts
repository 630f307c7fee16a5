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

/** A test, and the words for what passes it. A secret option shows the type of its value only. */
type Check = { test(value: unknown): boolean; expected: string; isSecret?: boolean };

function misuse(name: string, { expected, isSecret }: Omit<Check, 'test'>, value: unknown): MisuseError {
	const limits = { depth: 0, customInspect: false, maxStringLength: 100, maxArrayLength: 3 };
	const shown = isSecret ? `a value of type ${typeof value}` : `${inspect(value, limits)} (${typeof value})`;
	return new MisuseError(`Expected option "${name}" to be ${expected}, got ${shown}`);
}

function integer(min: number, max: number, unit: string, allowsInfinity = false): Check {
	return {
		expected: `a whole number of ${unit} from ${min} to ${max}${allowsInfinity ? ', or Infinity' : ''}`,
		test: (value) =>
			(Number.isInteger(value) && (value as number) >= min && (value as number) <= max) ||
			(allowsInfinity && value === Number.POSITIVE_INFINITY),
	};
}

// The operating system ends a string at a NUL byte, and `spawn` refuses it.
const isString = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');
const isFilled = (value: unknown) => isString(value) && value.trim() !== '';

const duration = integer(0, maxTimeoutMs, 'milliseconds');
const durationOrInfinity = integer(0, maxTimeoutMs, 'milliseconds', true);
const boolean: Check = { expected: 'a boolean', test: (value) => typeof value === 'boolean' };
const filledString: Check = { expected: 'a string that is not blank and has no NUL', test: isFilled };
const aFunction: Check = { expected: 'a function', test: (value) => typeof value === 'function' };
const command: Check = {
	expected: 'a string that is not blank and has no NUL, or a function',
	test: (value) => typeof value === 'function' || isFilled(value),
};

const listChecks: Record<keyof ListOptions, Check> = {
	includeHidden: boolean,
	deadlineMs: durationOrInfinity,
	signal: {
		expected: 'an AbortSignal',
		test: (value) => isObject(value) && typeof value.aborted === 'boolean' && 'addEventListener' in value,
	},
	refresh: boolean,
	cwd: filledString,
	codexHome: filledString,
};

const catalogChecks: Record<keyof CodexModelCatalogOptions, Check> = {
	command,
	args: {
		expected: 'an array of strings without NUL',
		isSecret: true,
		test: (value) => Array.isArray(value) && value.every(isString),
	},
	cwd: filledString,
	codexHome: filledString,
	env: {
		expected: 'an object whose values are strings without NUL, or undefined',
		isSecret: true,
		test: (value) =>
			isObject(value) &&
			// The entries of a Map or the like are not properties.
			!(Symbol.iterator in value) &&
			Object.entries(value).every(([name, item]) => isString(name) && name !== '' && (item === undefined || isString(item))),
	},
	clientInfo: {
		expected: 'an object with the strings name and version, and perhaps title',
		test: (value) =>
			isObject(value) && isFilled(value.name) && isFilled(value.version) && (value.title === undefined || isString(value.title)),
	},
	deadlineMs: durationOrInfinity,
	fetchTimeoutMs: duration,
	maxAgeMs: durationOrInfinity,
	staleWhileRevalidateMs: durationOrInfinity,
	cooldownMs: duration,
	retries: integer(0, 100, 'attempts'),
	maxEntries: integer(1, 1_000_000, 'lists'),
	keepAliveMs: duration,
	store: {
		expected: 'an object with the methods get, set and delete',
		// The methods of a Keyv instance are inherited, and other stores may be functions.
		test: (value) =>
			value !== null &&
			['get', 'set', 'delete'].every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
	},
	onEvent: aFunction,
};

/** Each option of `checks` that has a value; also an inherited one, such as a getter of a class. */
function check(options: unknown, checks: Record<string, Check>): Record<string, unknown> {
	if (!isObject(options)) throw misuse('options', { expected: 'an object' }, options);
	for (const name in options) {
		// A mistyped `deadlineMs` must not mean 15 seconds.
		if (!Object.hasOwn(checks, name) && options[name] !== undefined) {
			throw new MisuseError(`Unknown option "${name}"; the options are ${Object.keys(checks).join(', ')}`);
		}
	}
	const given: Record<string, unknown> = {};
	for (const name in checks) {
		const value = options[name];
		if (value === undefined) continue;
		const rule = checks[name] as Check;
		if (!rule.test(value)) throw misuse(name, rule, value);
		given[name] = value;
	}
	return given;
}

/** @throws TypeError that names the option, its bounds and the value. */
export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	const settings = { ...defaults, ...check(options, catalogChecks) } as Omit<Settings, 'inheritsCodexHome'>;
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
	if (typeof listener !== 'function') throw misuse('listener', aFunction, listener);
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
		if (!isFilled(command)) throw misuse('command', filledString, command);
		this.#latest = toCommandPath(command);
		return this.#latest;
	}
}
