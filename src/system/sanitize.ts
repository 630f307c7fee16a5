import { stripVTControlCharacters } from 'node:util';

const redacted = '[redacted]';

/** A part of the names of secrets: `OPENAI_API_KEY`, `refresh_token`, `clientSecret`. */
const secretName = /token|secret|password|api[ _-]?key|authorization/i;
const scheme = '(?:basic|bearer|token|apikey|negotiate)';

/** The part of a text that is replaced stands in brackets in each example. No expression takes more than linear time. */
const secrets = [
	// https://[user:password]@host
	/(?<=:\/\/)[^\s/"'`]{1,400}(?=@)/g,
	// [sk-proj-a1b2c3], [sess-a1b2c3], [rt_a1b2c3], [eyJhbGci.eyJlbWFp.c2lnbmF0] (a JWT)
	/\b(?:sk-|sess-|rt_|eyJ)[\w*-]{6,}(?:\.[\w-]*){0,4}/g,
	// "refresh_token": "[a1b2c3]", OPENAI_API_KEY=[a1b2c3], Authorization: [Basic a1b2c3]
	new RegExp(
		String.raw`(?<=(?:${secretName.source})\W{0,3}[=:]\W{0,3})(?:${scheme} )?[^\s"'\\]+`,
		'gi',
	),
	// Bearer [a1b2c3], but not "Missing bearer or basic authentication"
	/(?<=\bbearer\W{1,3})(?!(?:or|auth|authentication|tokens?)(?![\w-]))[^\s"'\\]+/gi,
];

/** The text without terminal codes, control and invisible characters (line feeds and tabs excepted), and secrets. */
export function sanitize(text: string): string {
	let plain = stripVTControlCharacters(text).replaceAll(/[^\P{Cc}\n\t]|\p{Cf}/gu, '');
	for (const secret of secrets) plain = plain.replaceAll(secret, redacted);
	return plain;
}

export const cut = (text: string, maxLength: number) =>
	text.length > maxLength ? `${text.slice(0, maxLength - 2)} …` : text;

/** The text on one line of at most `maxLength` characters, sanitized. */
export function sanitizeLine(text: string, maxLength: number): string {
	// The text is cut twice: cleaning must be bounded, and the second cut must not split a token before it is redacted.
	const clean = sanitize(text.slice(0, 4 * maxLength));
	return cut(clean.replaceAll(/\s+/g, ' ').trim(), maxLength);
}

/** The reason that an error or another thrown value gives, on one line. */
export function toReason(error: unknown): string {
	try {
		return sanitizeLine(error instanceof Error ? error.message : String(error), 500);
	} catch {
		return 'a value that cannot be shown';
	}
}

/** A value of JSON with the strings in it sanitized, the names of its members excepted; a placeholder where it takes more than `maxBytes`. */
export function sanitizeJson(value: unknown, maxBytes: number): unknown {
	if (value === undefined) return undefined;
	const json = JSON.stringify(value);
	if (Buffer.byteLength(json) > maxBytes) return `[omitted: more than ${maxBytes} bytes of JSON]`;
	return JSON.parse(json, (name, part) => {
		if (typeof part !== 'string') return part;
		return secretName.test(name) ? redacted : sanitize(part);
	});
}
