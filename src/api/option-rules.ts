import path from 'node:path';
import { inspect } from 'node:util';
import { isObject, type Properties } from './codex-model.js';
import { MisuseError } from './errors.js';

export type Rule = ReturnType<typeof rule>;

/** A rule for an option: the words for what passes, and the test. */
export const rule = (expected: string, test: (value: unknown) => boolean) => ({ expected, test });

// The operating system ends a string at a NUL byte, and `spawn` refuses it.
export const isString = (value: unknown): value is string =>
	typeof value === 'string' && !value.includes('\0');
export const isFunction = (value: unknown) => typeof value === 'function';
const isPath = (value: unknown): value is string =>
	isString(value) && value.trim() !== '' && !/^~(?:[\\/]|$)/.test(value);

/** A name with a blank in it mostly is a program with its arguments; a path may have blanks. */
export const isCommand = (value: unknown): value is string =>
	isPath(value) && (/[\\/]/.test(value) || !/\s/.test(value));

export const anObject = rule('an object', isObject);
export const aFunction = rule('a function', isFunction);
export const aBoolean = rule('a boolean', (value) => typeof value === 'boolean');
export const aPath = rule(
	'a path that is not blank and has no NUL, with the home directory in place of "~"',
	isPath,
);
export const absolutePath = rule(
	'an absolute path of a folder, such as path.join(os.homedir(), ".codex")',
	(value) => isPath(value) && path.isAbsolute(value),
);
export const aCommand = rule(
	`a name without arguments, which belong in "args", or ${aPath.expected}`,
	isCommand,
);

export const integer = (unit: string, min: number, max: number) =>
	rule(
		`a whole number of ${unit} from ${min} to ${max}`,
		(value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
	);

// `setTimeout` takes anything longer for 1 ms.
export const duration = integer('milliseconds', 0, 2_147_483_647);
export const durationOrInfinity = rule(
	`${duration.expected}, or Infinity`,
	(value) => value === Infinity || duration.test(value),
);

/** Throws where a value does not pass. Shows the value, but of one that may hold secrets the type only. */
export function checkValue(name: string, value: unknown, { expected, test }: Rule): void {
	if (test(value)) return;
	const isSecret = name === 'env' || name === 'args';
	const limits = { depth: 0, maxStringLength: 100, maxArrayLength: 3 };
	const shown = isSecret ? 'a value' : inspect(value, limits);
	throw new MisuseError(
		`Expected option "${name}" to be ${expected}, got ${shown} (${typeof value})`,
	);
}

/** Whether two names begin alike, as `maxage` and `maxAgeMs`. */
function isSimilar(name: string, known: string) {
	// Elsewhere, the wait of a caller mostly has that name. A `fetchTimeoutMs` in its place would end slow fetches.
	if (/^timeout/i.test(name)) return known === 'deadlineMs';
	return known.toLowerCase().startsWith(name.toLowerCase().slice(0, 4));
}

/** The options that are given, and not as `undefined`; also an inherited one, such as a getter of a class. */
export function check(options: Properties, rules: Record<string, Rule>): Properties {
	checkValue('options', options, anObject);
	const names = Object.keys(rules);
	for (const name in options) {
		// A mistyped `deadlineMs` must not mean 15 seconds.
		if (names.includes(name) || options[name] === undefined) continue;
		const similar = names.find((known) => isSimilar(name, known));
		const question = similar ? `Did you mean "${similar}"? ` : '';
		throw new MisuseError(
			`Unknown option "${name}". ${question}The options are ${names.join(', ')}`,
		);
	}
	const given: Properties = {};
	for (const [name, wanted] of Object.entries(rules)) {
		const value = options[name];
		if (value === undefined) continue;
		checkValue(name, value, wanted);
		given[name] = value;
	}
	return given;
}
