// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these expressions exist to remove control characters.

/**
 * A control sequence (CSI), a control string (OSC, DCS and the like) or another escape. `stripVTControlCharacters` of
 * `node:util` takes quadratic time for some texts (Node 20 to 24: 5 s for 80 KB); no repetition here can run over the next
 * start of a match.
 */
const sequence =
	/(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[P\]X^_]|[\u0090\u0098\u009d-\u009f])\P{Cc}*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]/gu;

/** The characters that JSON may hold and a terminal may obey: DEL and C1, formats such as U+202E, U+2028 and U+2029. */
const unsafe = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

// biome-ignore-end lint/suspicious/noControlCharactersInRegex: the end of the expressions.

/** The text on one line, without anything that a terminal obeys and without invisible characters. */
export function toPrintable(text: string): string {
	return text
		.replaceAll(sequence, '')
		.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
		.replaceAll(/\p{Cf}+/gu, '');
}

/** The value as JSON whose strings are the same, and in which nothing is left that a terminal obeys. */
export function toPrintableJson(value: unknown): string {
	const toEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
	// A character may be two code units, and so two escapes.
	return JSON.stringify(value, null, 2).replaceAll(unsafe, (character) => character.split('').map(toEscape).join(''));
}
