import path from 'node:path';
import { inspect } from 'node:util';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';

/** A test, and the words for what passes it. */
export type Rule = { expected: string; test(value: unknown): boolean };

/** Names the option, its bounds and the value; only the type of one that may hold secrets. */
export function misuse(name: string, expected: string, value: unknown): MisuseError {
	const limits = { depth: 0, maxStringLength: 100, maxArrayLength: 3 };
	const isSecret = name === 'env' || name === 'args';
	const shown = isSecret ? 'a value' : inspect(value, limits);
	return new MisuseError(
		`Expected option "${name}" to be ${expected}, got ${shown} (${typeof value})`,
	);
}

// The operating system ends a string at a NUL byte, and `spawn` refuses it.
export const isString = (value: unknown): value is string =>
	typeof value === 'string' && !value.includes('\0');
export const isFunction = (value: unknown) => typeof value === 'function';
const isPath = (value: unknown): value is string =>
	isString(value) && value.trim() !== '' && !/^~(?:[\\/]|$)/.test(value);

/** A name with a blank in it mostly is a program with its arguments; a path may have blanks. */
export const isCommand = (value: unknown): value is string =>
	isPath(value) && (/[\\/]/.test(value) || !/\s/.test(value.trim()));

export const aBoolean: Rule = {
	expected: 'a boolean',
	test: (value) => typeof value === 'boolean',
};
export const aFunction: Rule = { expected: 'a function', test: isFunction };
export const aPath: Rule = {
	expected: 'a path that is not blank and has no NUL, with the home directory in place of "~"',
	test: isPath,
};
export const absolutePath: Rule = {
	expected: 'an absolute path of a folder, such as path.join(os.homedir(), ".codex")',
	test: (value) => isPath(value) && path.isAbsolute(value),
};
export const aCommand: Rule = {
	expected: `a name without arguments, which belong in "args", or ${aPath.expected}`,
	test: isCommand,
};

export const integer = (unit: string, min: number, max: number): Rule => ({
	expected: `a whole number of ${unit} from ${min} to ${max}`,
	test: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
});

export const either = (one: Rule, other: Rule): Rule => ({
	expected: `${one.expected}, or ${other.expected}`,
	test: (value) => one.test(value) || other.test(value),
});

// `setTimeout` takes anything longer for 1 ms.
export const duration = integer('milliseconds', 0, 2_147_483_647);
export const durationOrInfinity = either(duration, {
	expected: 'Infinity',
	test: (value) => value === Number.POSITIVE_INFINITY,
});

/** Whether two names begin alike, as `maxage` and `maxAgeMs`. */
function isSimilar(name: string, known: string): boolean {
	// Elsewhere, the wait of a caller mostly has that name. A `fetchTimeoutMs` in its place would end slow fetches.
	if (/^timeout/i.test(name)) return known === 'deadlineMs';
	return known.toLowerCase().startsWith(name.toLowerCase().slice(0, 4));
}

/** The options that are given, and not as `undefined`; also an inherited one, such as a getter of a class. */
export function check(options: unknown, rules: Record<string, Rule>): Record<string, unknown> {
	if (!isObject(options)) throw misuse('options', 'an object', options);
	const names = Object.keys(rules);
	for (const name in options) {
		// A mistyped `deadlineMs` must not mean 15 seconds.
		if (names.includes(name) || options[name] === undefined) continue;
		const similar = names.find((known) => isSimilar(name, known));
		const question = similar === undefined ? '' : `Did you mean "${similar}"? `;
		throw new MisuseError(
			`Unknown option "${name}". ${question}The options are ${names.join(', ')}`,
		);
	}
	const given: Record<string, unknown> = {};
	for (const [name, { expected, test }] of Object.entries(rules)) {
		const value = options[name];
		if (value === undefined) continue;
		if (!test(value)) throw misuse(name, expected, value);
		given[name] = value;
	}
	return given;
}
