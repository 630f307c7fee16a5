import path from 'node:path';
import { findSpelling, resolvePath } from '../system/environment.js';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';
import {
	aPath,
	boolean,
	check,
	codexHome,
	commandWords,
	duration,
	durationOrInfinity,
	func,
	integer,
	isCommand,
	isFilled,
	isFunction,
	isString,
	isStringOrUndefined,
	misuse,
	type Rule,
} from './option-rules.js';
import type { CodexModelCatalogOptions, ListOptions, TargetOptions } from './options.js';

declare const PACKAGE_VERSION: string;

/** The version of this package: the build and the tests put in that of `package.json`. */
export const version = PACKAGE_VERSION;

type Defaulted = Required<
	Omit<CodexModelCatalogOptions, 'cwd' | 'codexHome' | 'store' | 'fetchModels' | 'onEvent'>
>;

/** The options of a catalog, checked, and with their defaults. */
export type Settings = Readonly<
	CodexModelCatalogOptions &
		Defaulted & {
			cwd: string;
			/** Whether CODEX_HOME is that of `process.env` at each call: neither `codexHome` nor `env` says which. */
			inheritsCodexHome: boolean;
		}
>;

const targetRules: Record<keyof TargetOptions, Rule> = {
	includeHidden: boolean,
	cwd: aPath,
	codexHome,
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

/** The default of `codexHome` is found out at each call. */
const catalogRules: Record<keyof CodexModelCatalogOptions, Rule> = {
	command: {
		default: 'codex',
		expected: `${commandWords}, or a function`,
		test: (value) => isFunction(value) || isCommand(value),
	},
	args: {
		default: ['app-server', '-c', 'features.plugins=false'],
		expected: 'an array of strings without NUL',
		test: (value) => Array.isArray(value) && Array.from(value).every(isString),
	},
	cwd: { default: path.parse(process.execPath).root, ...aPath },
	codexHome,
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
	fetchModels: func,
	onEvent: func,
};

const ofAppServer = ['command', 'args', 'env', 'clientInfo', 'retries', 'keepAliveMs'] as const;

export function resolveSettings(options: CodexModelCatalogOptions = {}): Settings {
	const settings = check(options, catalogRules) as Omit<Settings, 'inheritsCodexHome'>;
	const { command, fetchModels } = settings;
	for (const name of fetchModels ? ofAppServer : []) {
		if (options[name] === undefined) continue;
		throw new MisuseError(
			`Option "${name}" means nothing beside "fetchModels". Leave one of them out`,
		);
	}
	const env = { ...settings.env };
	const spelling = findSpelling(env, 'CODEX_HOME');
	return {
		...settings,
		codexHome: settings.codexHome ?? ((spelling && env[spelling]) || undefined),
		inheritsCodexHome: settings.codexHome === undefined && spelling === undefined,
		// Paths start from the working directory of this process, not from that of the app-server.
		command: typeof command === 'string' ? toCommandPath(command) : command,
		cwd: resolvePath(settings.cwd),
		args: [...settings.args],
		env,
		clientInfo: { ...settings.clientInfo },
	};
}

const toCommandPath = (command: string) => (/[\\/]/.test(command) ? resolvePath(command) : command);

/** The command that a function returned. @throws MisuseError that shows the type of the value only. */
export function checkCommand(command: unknown): string {
	if (isCommand(command)) return toCommandPath(command);
	throw new MisuseError(
		`Expected the function "command" to return ${commandWords}, got a value (${typeof command})`,
	);
}

/** The checks throw a `MisuseError`. */
export const checkListOptions = (options: ListOptions) => void check(options, listRules);
export const checkTargetOptions = (options: TargetOptions) => void check(options, targetRules);
export const checkStoreOptions = (options: object) => void check(options, { directory: aPath });

export function checkListener(listener: unknown): void {
	if (!isFunction(listener)) throw misuse('listener', 'a function', listener);
}
