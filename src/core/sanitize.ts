const redacted = '[redacted]';

/** The last word of a name that stands for a secret: `token`, `OPENAI_API_KEY`, `clientSecret`. */
const secretName =
	'(?:token|secret|passw(?:or)?d|passphrase|(?:api|secret|private|access)[ _-]?key|credentials?|authorization|bearer|code_?verifier)';

// Every repetition is bounded, or stops where its text is consumed, because the texts are long and come from elsewhere.

const secrets: [RegExp, string][] = [
	[/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}-----)?/g, redacted],
	// https://user:password@host and https://token@host, but not ssh://git@host.
	[/\b([a-z][a-z\d+.-]{0,20}:\/\/)(?:[^\s/@"'`]{0,400}:|(?=[^\s/@"'`]{16}))[^\s/"'`]{0,400}@/gi, `$1${redacted}@`],
	[/([?&](?:key|code|sig|signature)=)[^\s"'`\\&#]+/gi, `$1${redacted}`],
	// sk-… and sess-…: a path's folder of such a name only where the name looks random.
	[/(?<![A-Za-z\d/\\])(?:sk|sess)-[\w*-]{6,}|(?<=[/\\])sk-(?=\D{0,200}\d|[\w-]{20})[\w-]{6,}/g, redacted],
	// OpenAI's refresh tokens; keys of GitHub, Stripe, Hugging Face, npm, GitLab, Slack, xAI, Google, Amazon.
	[/(?<![A-Za-z\d])(?:rt|gh[opsur]|github_pat|[sr]k_(?:live|test)|hf|npm)_[\w-]{8,}/g, redacted],
	[/(?<![A-Za-z\d])(?:glpat-|xox[a-z]-|xai-|AIza|AKIA)[\w-]{12,}/g, redacted],
	// A JWT: base64url of '{"' and two more parts, which may be cut off.
	[/(?<![A-Za-z\d])eyJ[\w-]{6,}(?:\.[\w-]*){0,4}/g, redacted],
	// Authorization: Token abc, Bearer abc, Basic abc; not "bearer authentication".
	[/(\bauthorization\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?[a-z]{1,20}\s{1,8})[^\s"'`\\,;]+/gi, `$1${redacted}`],
	[/\b(bearer\s{1,8})(?![a-z]{1,20}(?!\S))[^\s"'`\\,;]+/gi, `$1${redacted}`],
	[/\b(basic\s{1,8})(?=[^\s"'`\\]{0,40}\d|[^\s"'`\\]{20})[^\s"'`\\,;]+/gi, `$1${redacted}`],
	// name=value, "name": "value", name: Some("value"), --name value; also in JSON that is a string in JSON.
	[
		new RegExp(
			String.raw`([\w-]{0,60}${secretName}\\?["'\x60]?\s{0,8}(?:=>|[=:])\s{0,8}(?:\w{1,30}\(\s{0,8}){0,3}|--[\w-]{0,60}${secretName}\s{1,8})` +
				String.raw`(\\?["'\x60]?)(?!\[redacted)(?:(?<=["'\x60])[^"'\x60\n]+|[^\s"'\x60\\,;&(){}[\]]+)`,
			'gi',
		),
		`$1$2${redacted}`,
	],
];

/** Replaces every text that looks like a token, a key or a password by `[redacted]`. */
function redact(text: string): string {
	return secrets.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
}

/**
 * A control sequence (CSI), a control string (OSC, DCS and the like) or another escape. `stripVTControlCharacters` of
 * `node:util` takes quadratic time for some texts (Node 20 to 24: 5 s for 80 KB); no repetition here can run over the next
 * start of a match.
 */
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: the expression exists to find control characters.
const terminalCode =
	/(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[P\]X^_]|[\u0090\u0098\u009d-\u009f])\P{Cc}*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]/gu;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: the end of the expression.

export const stripTerminalCodes = (text: string) => text.replaceAll(terminalCode, '');

/**
 * The text without terminal codes, control characters (line feeds and tabs excepted), bidirectional controls and secrets.
 * The time is linear, and the caller bounds the length.
 */
export function sanitize(text: string): string {
	const plain = stripTerminalCodes(text).replaceAll(
		/(?![\n\t])\p{Cc}|[\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu,
		'',
	);
	return redact(plain);
}

/** The text on one line of at most `maxLength` characters, sanitized. */
export function sanitizeLine(text: string, maxLength: number): string {
	// The text is cut twice: cleaning must be bounded, and the second cut must not split a token before it is redacted.
	const clean = sanitize(text.slice(0, 4 * maxLength))
		.replaceAll(/\s+/g, ' ')
		.trim();
	return clean.length > maxLength ? `${clean.slice(0, maxLength - 2)} …` : clean;
}

/** The reason that an error or another thrown value gives, on one line. */
export function toReason(error: unknown): string {
	try {
		return sanitizeLine(error instanceof Error ? error.message : String(error), 500);
	} catch {
		return 'a value that cannot be shown';
	}
}

const isSecretName = new RegExp(`${secretName}$`, 'i');

/** A JSON value with every string sanitized; a placeholder where it takes more than `maxBytes` or nests too deep. */
export function sanitizeJson(value: unknown, maxBytes: number): unknown {
	const placeholder = `[omitted: more than ${maxBytes} bytes of JSON, or nested too deep]`;
	let budget = maxBytes;
	const clean = (part: unknown, isSecret: boolean, depth: number): unknown => {
		budget -= typeof part === 'string' ? part.length + 2 : 1;
		if (budget < 0 || depth > 64) throw placeholder;
		if (typeof part === 'string') return isSecret ? redacted : sanitize(part);
		if (Array.isArray(part)) return part.map((item) => clean(item, isSecret, depth + 1));
		if (typeof part !== 'object' || part === null) return part;
		return Object.fromEntries(
			Object.entries(part).map(([name, item]) => {
				budget -= name.length + 2;
				return [budget < 0 ? '' : sanitize(name), clean(item, isSecret || isSecretName.test(name), depth + 1)];
			}),
		);
	};
	try {
		if (value === undefined) return undefined;
		const result = clean(value, false, 0);
		return Buffer.byteLength(JSON.stringify(result)) > maxBytes ? placeholder : result;
	} catch {
		return placeholder;
	}
}
