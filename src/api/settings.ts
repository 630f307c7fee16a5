import path from 'node:path';
import { resolvePath } from '../system/environment.js';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';
import {
	aBoolean,
	absolutePath,
	aCommand,
	aFunction,
	aPath,
	check,
	duration,
	durationOrInfinity,
	integer,
	isCommand,
	isFunction,
	isString,
	type Rule,
	rule,
} from './option-rules.js';
import type { CodexModelCatalogOptions, ListOptions, TargetOptions } from './options.js';

declare const PACKAGE_VERSION: string;

/** The version of this package: the build and the tests put in that of `package.json`. */
export const version = PACKAGE_VERSION;

/** That of `codexHome` is found out at each call. */
const defaults = {
	command: 'codex',
	args: ['app-server', '-c', 'features.plugins=false'],
	cwd: path.parse(process.execPath).root,
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

/** The options of a catalog, checked, and with their defaults. */
export type Settings = CodexModelCatalogOptions &
	Required<Pick<CodexModelCatalogOptions, keyof typeof defaults>>;

export const targetRules: Record<keyof TargetOptions, Rule> = {
	includeHidden: aBoolean,
	cwd: aPath,
	codexHome: absolutePath,
};

export const listRules: Record<keyof ListOptions, Rule> = {
	...targetRules,
	deadlineMs: durationOrInfinity,
	// That of jsdom is of another class.
	signal: rule('an AbortSignal', (value) => isObject(value) && isFunction(value.throwIfAborted)),
	refresh: aBoolean,
};

const catalogRules: Record<keyof CodexModelCatalogOptions, Rule> = {
	command: rule(
		`${aCommand.expected}, or a function`,
		(value) => isCommand(value) || isFunction(value),
	),
	args: rule(
		'an array of strings without NUL',
		(value) => Array.isArray(value) && value.every(isString),
	),
	cwd: aPath,
	codexHome: absolutePath,
	env: rule(
		'an object whose values are strings without NUL, or undefined',
		(value) =>
			isObject(value) &&
			Object.entries(value)
				.flat()
				.every((text) => text === undefined || isString(text)),
	),
	clientInfo: rule(
		'an object with the strings name and version, and perhaps title',
		(value) =>
			isObject(value) &&
			isString(value.name) &&
			isString(value.version) &&
			(value.title === undefined || isString(value.title)),
	),
	deadlineMs: durationOrInfinity,
	fetchTimeoutMs: duration,
	maxAgeMs: durationOrInfinity,
	staleWhileRevalidateMs: durationOrInfinity,
	cooldownMs: duration,
	retries: integer('attempts', 0, 100),
	maxEntries: integer('lists', 1, 1_000_000),
	keepAliveMs: duration,
	store: rule(
		'an object with the methods get, set and delete',
		// The methods of a Keyv instance are inherited.
		(value) => isObject(value) && ['get', 'set', 'delete'].every((name) => isFunction(value[name])),
	),
	fetchModels: aFunction,
	onEvent: aFunction,
};

const ofAppServer = ['command', 'args', 'env', 'clientInfo', 'retries', 'keepAliveMs'] as const;

export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	const given: CodexModelCatalogOptions = check(options, catalogRules);
	const unused = given.fetchModels && ofAppServer.find((name) => name in given);
	if (unused)
		throw new MisuseError(
			`Option "${unused}" means nothing beside "fetchModels". Leave one of them out`,
		);
	const settings = { ...defaults, ...given } as Settings;
	const { command } = settings;
	return {
		...settings,
		env: { ...settings.env },
		args: [...settings.args],
		clientInfo: { ...settings.clientInfo },
		command: typeof command === 'string' ? checkCommand(command) : command,
		cwd: resolvePath(settings.cwd),
	};
}

/**
 * The command, also one that a function returned. Paths start from the working directory of this process, not from that of
 * the app-server.
 *
 * @throws MisuseError that shows the type of the value only.
 */
export function checkCommand(command: unknown): string {
	if (isCommand(command)) return /[\\/]/.test(command) ? resolvePath(command) : command;
	throw new MisuseError(
		`Expected the function "command" to return ${aCommand.expected}, got a value (${typeof command})`,
	);
}
