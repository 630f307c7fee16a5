import path from 'node:path';
import { findSpelling, lookUp, resolvePath } from '../system/environment.js';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';
import {
	absolutePath,
	aPath,
	boolean,
	check,
	duration,
	durationOrInfinity,
	func,
	integer,
	isCommand,
	isFunction,
	isString,
	misuse,
	type Rule,
} from './option-rules.js';
import type { CodexModelCatalogOptions, ListOptions, TargetOptions } from './options.js';

declare const PACKAGE_VERSION: string;

/** The version of this package: the build and the tests put in that of `package.json`. */
export const version = PACKAGE_VERSION;

/** The options of a catalog, checked, and with their defaults. */
export type Settings = CodexModelCatalogOptions &
	Required<Omit<CodexModelCatalogOptions, 'codexHome' | 'store' | 'fetchModels' | 'onEvent'>> & {
		/** Whether CODEX_HOME is that of `process.env` at each call: neither `codexHome` nor `env` says which. */
		inheritsCodexHome: boolean;
	};

export const targetRules: Record<keyof TargetOptions, Rule> = {
	includeHidden: boolean,
	cwd: aPath,
	codexHome: absolutePath,
};

export const listRules: Record<keyof ListOptions, Rule> = {
	...targetRules,
	deadlineMs: durationOrInfinity(),
	signal: {
		expected: 'an AbortSignal',
		// That of jsdom is of another class.
		test: (value) => isObject(value) && isFunction(value.throwIfAborted),
	},
	refresh: boolean,
};

const commandWords = `a name without arguments, which belong in "args", or ${aPath.expected}`;

/** The default of `codexHome` is found out at each call. */
const catalogRules: Record<keyof CodexModelCatalogOptions, Rule> = {
	command: {
		default: 'codex',
		expected: `${commandWords}, or a function`,
		test: (value) => isCommand(value) || isFunction(value),
	},
	args: {
		default: ['app-server', '-c', 'features.plugins=false'],
		expected: 'an array of strings without NUL',
		test: (value) => Array.isArray(value) && value.every(isString),
	},
	cwd: { default: path.parse(process.execPath).root, ...aPath },
	codexHome: absolutePath,
	env: {
		default: {},
		expected: 'an object whose values are strings without NUL, or undefined',
		test: (value) => isObject(value) && Object.entries(value).flat().every(isStringOrUndefined),
	},
	clientInfo: {
		default: { name: 'codex-models', title: 'codex-models', version },
		expected: 'an object with the strings name and version, and perhaps title',
		test: (value) =>
			isObject(value) &&
			isString(value.name) &&
			isString(value.version) &&
			isStringOrUndefined(value.title),
	},
	deadlineMs: durationOrInfinity(15_000),
	fetchTimeoutMs: duration(60_000),
	maxAgeMs: durationOrInfinity(300_000),
	staleWhileRevalidateMs: durationOrInfinity(86_400_000),
	cooldownMs: duration(30_000),
	retries: integer('attempts', 0, 100, 2),
	maxEntries: integer('lists', 1, 1_000_000, 100),
	keepAliveMs: duration(0),
	store: {
		expected: 'an object with the methods get, set and delete',
		// The methods of a Keyv instance are inherited.
		test: (value) =>
			isObject(value) && ['get', 'set', 'delete'].every((name) => isFunction(value[name])),
	},
	fetchModels: func,
	onEvent: func,
};

const ofAppServer = ['command', 'args', 'env', 'clientInfo', 'retries', 'keepAliveMs'] as const;

export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	const settings = check(options, catalogRules) as Settings;
	const { command, codexHome } = settings;
	for (const name of settings.fetchModels ? ofAppServer : []) {
		if (options[name] === undefined) continue;
		throw new MisuseError(
			`Option "${name}" means nothing beside "fetchModels". Leave one of them out`,
		);
	}
	const env = { ...settings.env };
	return {
		...settings,
		env,
		args: [...settings.args],
		codexHome: codexHome ?? (lookUp(env, 'CODEX_HOME') || undefined),
		inheritsCodexHome: codexHome === undefined && !(findSpelling(env, 'CODEX_HOME') in env),
		command: typeof command === 'string' ? toCommandPath(command) : command,
		cwd: resolvePath(settings.cwd),
	};
}

function isStringOrUndefined(value: unknown): boolean {
	return value === undefined || isString(value);
}

/** Paths start from the working directory of this process, not from that of the app-server. */
const toCommandPath = (command: string) => (/[\\/]/.test(command) ? resolvePath(command) : command);

/** The command that a function returned. @throws MisuseError that shows the type of the value only. */
export function checkCommand(command: unknown): string {
	if (isCommand(command)) return toCommandPath(command);
	throw new MisuseError(
		`Expected the function "command" to return ${commandWords}, got a value (${typeof command})`,
	);
}

export function checkListener(listener: unknown): void {
	if (!isFunction(listener)) throw misuse('listener', 'a function', listener);
}
