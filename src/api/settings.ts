import { inspect } from 'node:util';
import { findSpelling, resolvePath } from '../system/environment.js';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';
import type { CodexModelCatalogOptions, ListOptions, TargetOptions } from './options.js';
import { version } from './version.js';

type Defaulted = Required<
	Omit<CodexModelCatalogOptions, 'cwd' | 'codexHome' | 'store' | 'onEvent'>
>;

/**
 * The options of a catalog, checked, and with their defaults. It inherits CODEX_HOME from `process.env`, as that is at each
 * call, where neither `codexHome` nor `env` says which.
 */
export type Settings = Readonly<
	CodexModelCatalogOptions & Defaulted & { inheritsCodexHome: boolean }
>;

/** A test, the words for what passes it, and the default. */
type Rule = { expected: string; test(value: unknown): boolean; default?: unknown };

/** Names the option, its bounds and the value. */
function misuse(name: string, expected: string, value: unknown): MisuseError {
	const limits = { depth: 0, customInspect: false, maxStringLength: 100, maxArrayLength: 3 };
	const isSecret = name === 'env' || name === 'args';
	const shown = isSecret
		? `a value of type ${typeof value}`
		: `${inspect(value, limits)} (${typeof value})`;
	return new MisuseError(`Expected option "${name}" to be ${expected}, got ${shown}`);
}

const integer = (min: number, max: number, unit: string): Rule => ({
	expected: `a whole number of ${unit} from ${min} to ${max}`,
	test: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
});

// `setTimeout` takes anything longer for 1 ms.
const duration = integer(0, 2_147_483_647, 'milliseconds');
const durationOrInfinity: Rule = {
	expected: `${duration.expected}, or Infinity`,
	test: (value) => value === Number.POSITIVE_INFINITY || duration.test(value),
};

// The operating system ends a string at a NUL byte, and `spawn` refuses it.
const isString = (value: unknown): value is string =>
	typeof value === 'string' && !value.includes('\0');
const isStringOrUndefined = (value: unknown) => value === undefined || isString(value);
const isFilled = (value: unknown): value is string => isString(value) && value.trim() !== '';
const isFunction = (value: unknown) => typeof value === 'function';

const boolean: Rule = { expected: 'a boolean', test: (value) => typeof value === 'boolean' };
const filledString: Rule = {
	expected: 'a string that is not blank and has no NUL',
	test: isFilled,
};

const targetRules: Record<keyof TargetOptions, Rule> = {
	includeHidden: boolean,
	cwd: filledString,
	codexHome: filledString,
};

const listRules: Record<keyof ListOptions, Rule> = {
	...targetRules,
	deadlineMs: durationOrInfinity,
	signal: {
		expected: 'an AbortSignal',
		test: (value) =>
			isObject(value) &&
			['addEventListener', 'throwIfAborted'].every((name) => isFunction(value[name])),
	},
	refresh: boolean,
};

/** The defaults of `cwd` and `codexHome` are found out at each call. */
const catalogRules: Record<keyof CodexModelCatalogOptions, Rule> = {
	command: {
		default: 'codex',
		expected: `${filledString.expected}, or a function`,
		test: (value) => isFunction(value) || isFilled(value),
	},
	args: {
		default: ['app-server', '-c', 'features.plugins=false'],
		expected: 'an array of strings without NUL',
		test: (value) => Array.isArray(value) && Array.from(value).every(isString),
	},
	cwd: filledString,
	codexHome: filledString,
	env: {
		default: {},
		expected: 'an object whose values are strings without NUL, or undefined',
		// The entries of a Map or the like are not properties.
		test: (value) =>
			isObject(value) &&
			!(Symbol.iterator in value) &&
			Object.entries(value).every(([name, item]) => isFilled(name) && isStringOrUndefined(item)),
	},
	clientInfo: {
		default: { name: 'codex-models', title: 'codex-models', version },
		expected: 'an object with the strings name and version, and perhaps title',
		test: (value) =>
			isObject(value) &&
			isFilled(value.name) &&
			isFilled(value.version) &&
			isStringOrUndefined(value.title),
	},
	deadlineMs: { default: 15_000, ...durationOrInfinity },
	fetchTimeoutMs: { default: 60_000, ...duration },
	maxAgeMs: { default: 300_000, ...durationOrInfinity },
	staleWhileRevalidateMs: { default: 86_400_000, ...durationOrInfinity },
	cooldownMs: { default: 30_000, ...duration },
	retries: { default: 2, ...integer(0, 100, 'attempts') },
	maxEntries: { default: 100, ...integer(1, 1_000_000, 'lists') },
	keepAliveMs: { default: 0, ...duration },
	store: {
		expected: 'an object with the methods get, set and delete',
		// The methods of a Keyv instance are inherited, and other stores may be functions.
		test: (value) =>
			['get', 'set', 'delete'].every((name) =>
				isFunction((value as Record<string, unknown> | null)?.[name]),
			),
	},
	onEvent: { expected: 'a function', test: isFunction },
};

/** The value of each option, or its default; also an inherited one, such as a getter of a class. */
function check(options: unknown, rules: Record<string, Rule>): Record<string, unknown> {
	if (!isObject(options)) throw misuse('options', 'an object', options);
	for (const name in options) {
		// A mistyped `deadlineMs` must not mean 15 seconds.
		if (Object.hasOwn(rules, name) || options[name] === undefined) continue;
		throw new MisuseError(
			`Unknown option "${name}"; the options are ${Object.keys(rules).join(', ')}`,
		);
	}
	const checked: Record<string, unknown> = {};
	for (const name in rules) {
		const rule = rules[name] as Rule;
		const value = options[name];
		if (value !== undefined && !rule.test(value)) throw misuse(name, rule.expected, value);
		checked[name] = value === undefined ? rule.default : value;
	}
	return checked;
}

export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	const settings = check(options, catalogRules) as Omit<Settings, 'inheritsCodexHome'>;
	const { command, cwd, codexHome } = settings;
	const env = { ...settings.env };
	const spelling = findSpelling(env, 'CODEX_HOME');
	return {
		...settings,
		codexHome: codexHome ?? ((spelling && env[spelling]) || undefined),
		inheritsCodexHome: codexHome === undefined && spelling === undefined,
		// Paths start from the working directory of this process, not from that of the app-server.
		command: typeof command === 'string' ? toCommandPath(command) : command,
		cwd: cwd === undefined ? undefined : resolvePath(cwd),
		args: [...settings.args],
		env,
		clientInfo: { ...settings.clientInfo },
	};
}

const toCommandPath = (command: string) => (/[\\/]/.test(command) ? resolvePath(command) : command);

/** The checks throw a `MisuseError`. */
export const checkListOptions = (options: ListOptions) => void check(options, listRules);
export const checkTargetOptions = (options: TargetOptions) => void check(options, targetRules);
export const checkStoreOptions = (options: object) =>
	void check(options, { directory: filledString });

export function checkListener(listener: unknown): void {
	if (!isFunction(listener)) throw misuse('listener', 'a function', listener);
}

/** The command of an app-server, found out before each fetch. */
export class CommandSource {
	/** The latest command; `undefined` before a function was first called. */
	latest: string | undefined;
	readonly #command: Settings['command'];

	constructor(command: Settings['command']) {
		this.#command = command;
		if (typeof command === 'string') this.latest = command;
	}

	/** @throws TypeError when a function returns no command; and whatever the function throws. */
	async resolve(): Promise<string> {
		if (typeof this.#command === 'string') return this.#command;
		const command = await this.#command();
		if (!isFilled(command)) throw misuse('command', filledString.expected, command);
		this.latest = toCommandPath(command);
		return this.latest;
	}
}
