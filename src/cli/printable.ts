import { stripTerminalCodes } from '../core/sanitize.js';

/** The characters that JSON may hold and a terminal may obey: DEL and C1, formats such as U+202E, U+2028 and U+2029. */
const unsafe = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text on one line, without anything that a terminal obeys and without invisible characters. */
export function toPrintable(text: string): string {
	return stripTerminalCodes(text)
		.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
		.replaceAll(/\p{Cf}+/gu, '');
}

/** The value as JSON whose strings are the same, and in which nothing is left that a terminal obeys. */
export function toPrintableJson(value: unknown): string {
	const toEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
	// A character may be two code units, and so two escapes.
	return JSON.stringify(value, null, 2).replaceAll(unsafe, (character) => character.split('').map(toEscape).join(''));
}
