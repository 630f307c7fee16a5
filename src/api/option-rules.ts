import path from 'node:path';
import { inspect } from 'node:util';
import { isObject } from './codex-model.js';
import { MisuseError } from './errors.js';

/** A test, the words for what passes it, and the default. */
export type Rule = { expected: string; test(value: unknown): boolean; default?: unknown };

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

export const boolean: Rule = { expected: 'a boolean', test: (value) => typeof value === 'boolean' };
export const func: Rule = { expected: 'a function', test: isFunction };
export const aPath: Rule = {
	expected: 'a path that is not blank and has no NUL, with the home directory in place of "~"',
	test: isPath,
};
export const absolutePath: Rule = {
	expected: 'an absolute path of a folder, such as path.join(os.homedir(), ".codex")',
	test: (value) => isPath(value) && path.isAbsolute(value),
};

export const integer = (unit: string, min: number, max: number, byDefault?: number): Rule => ({
	expected: `a whole number of ${unit} from ${min} to ${max}`,
	test: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
	default: byDefault,
});

// `setTimeout` takes anything longer for 1 ms.
export const duration = (byDefault?: number) =>
	integer('milliseconds', 0, 2_147_483_647, byDefault);

export function durationOrInfinity(byDefault?: number): Rule {
	const { expected, test } = duration();
	return {
		expected: `${expected}, or Infinity`,
		test: (value) => value === Number.POSITIVE_INFINITY || test(value),
		default: byDefault,
	};
}

/** Whether a name is a letter off another one, or a part of it, as `maxage` of `maxagems`. */
function isSimilar(name: string, known: string): boolean {
	// Elsewhere, the wait of a caller mostly has that name. A `fetchTimeoutMs` in its place would end slow fetches.
	if (name.startsWith('timeout')) return known === 'deadlinems';
	if (name.length > 3 && known.includes(name)) return true;
	const shorten = (word: string) =>
		Array.from(word, (_, at) => word.slice(0, at) + word.slice(at + 1));
	const forms = [known, ...shorten(known)];
	return [name, ...shorten(name)].some((form) => forms.includes(form));
}

/** The value of each option, or its default; also an inherited one, such as a getter of a class. */
export function check(options: unknown, rules: Record<string, Rule>): Record<string, unknown> {
	if (!isObject(options)) throw misuse('options', 'an object', options);
	for (const name in options) {
		// A mistyped `deadlineMs` must not mean 15 seconds.
		if (Object.hasOwn(rules, name) || options[name] === undefined) continue;
		const names = Object.keys(rules);
		const similar = names.find((known) => isSimilar(name.toLowerCase(), known.toLowerCase()));
		const question = similar === undefined ? '' : `Did you mean "${similar}"? `;
		const all = names.join(', ');
		throw new MisuseError(`Unknown option "${name}". ${question}The options are ${all}`);
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
