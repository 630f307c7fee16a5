const redacted = '[redacted]';

/** The last word of a name that stands for a secret: `token`, `OPENAI_API_KEY`, `clientSecret`. */
const secretName =
	'(?:token|secret|passw(?:or)?d|passphrase|(?:api|secret|private|access)[ _-]?key|credentials?|authorization|bearer|code_?verifier)';

// Every repetition is bounded, or stops where its text is consumed, because the texts are long and come from elsewhere.

const quote = String.raw`\\?["'\x60]?`;
/** name=value, "name": "value" (also in JSON that is a string in JSON), name: Some("value"); --name value; ?code=value. */
const assignment = String.raw`${secretName}${quote}\s{0,8}(?:=>|[=:])\s{0,8}(?:\w{1,30}\(\s{0,8}){0,3}`;
const lead = String.raw`(?:${assignment}|--[\w-]{0,60}${secretName}\s{1,8}|[?&](?:key|code|sig|signature)=)${quote}`;
const value = String.raw`(?:(?<=["'\x60])[^"'\x60\n]+|[^\s"'\x60\\,;&(){}[\]]+)`;

/** A word that may be a token; not the mark of one that is redacted already. */
const token = String.raw`(?!\[redacted)[^\s"'\x60\\,;]+`;

const secrets: [RegExp, string][] = [
	[
		/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}-----)?/g,
		redacted,
	],
	// https://user:password@host and https://token@host.
	[/(:\/\/)[^\s/"'`]{1,400}@/g, `$1${redacted}@`],
	// OpenAI (sk-, sess-, rt_), GitLab, Slack, xAI, Google, Amazon, JWTs, which may be cut off; GitHub, Stripe, Hugging Face, npm.
	[
		/(?<![A-Za-z\d])(?:sk-|sess-|rt_|glpat-|xox[a-z]-|xai-|AIza|AKIA|eyJ)[\w*-]{6,}(?:\.[\w-]*){0,4}/g,
		redacted,
	],
	[/(?<![A-Za-z\d])(?:gh[opsur]|github_pat|[sr]k_(?:live|test)|hf|npm)_\w{8,}/g, redacted],
	// Authorization: Scheme abc; Bearer abc; Basic YWJj.
	[
		new RegExp(
			`(\\bauthorization${quote}\\s{0,8}[=:]\\s{0,8}${quote})(?:[\\w-]{1,20} {1,8})?${token}`,
			'gi',
		),
		`$1${redacted}`,
	],
	[
		new RegExp(
			`\\b(bearer(?:\\s{1,8}|%20)${quote})(?!(?:or|auth|authentication|tokens?)(?![\\w-]))${token}`,
			'gi',
		),
		`$1${redacted}`,
	],
	[/\b([Bb]asic\s{1,8})(?=\S{0,40}[A-Z\d=])[A-Za-z\d+/]{8,}={0,2}/g, `$1${redacted}`],
	[new RegExp(`(${lead})${value}`, 'gi'), `$1${redacted}`],
];

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

const controls = /(?![\n\t])\p{Cc}|[\u00ad\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * The text without terminal codes, control characters (line feeds and tabs excepted), bidirectional controls and secrets.
 * The time is linear, and the caller bounds the length.
 */
export function sanitize(text: string): string {
	const plain = stripTerminalCodes(text).replaceAll(controls, '');
	return secrets.reduce(
		(rest, [pattern, replacement]) => rest.replace(pattern, replacement),
		plain,
	);
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

/** A JSON value with every string sanitized; a placeholder where it takes more than `maxBytes` or nests too deep. */
export function sanitizeJson(value: unknown, maxBytes: number): unknown {
	const isSmall = (part: unknown) => Buffer.byteLength(JSON.stringify(part) ?? '') <= maxBytes;
	try {
		if (isSmall(value)) {
			const clean = cleanJson(value, 64);
			if (isSmall(clean)) return clean;
		}
	} catch {}
	return `[omitted: more than ${maxBytes} bytes of JSON, or nested too deep]`;
}

const isSecretName = new RegExp(`${secretName}$`, 'i');

function cleanJson(part: unknown, maxDepth: number): unknown {
	if (typeof part === 'string') return sanitize(part);
	if (typeof part !== 'object' || part === null) return part;
	if (maxDepth === 0) throw new Error('nested too deep');
	if (Array.isArray(part)) return part.map((item) => cleanJson(item, maxDepth - 1));
	const clean = Object.entries(part).map(([name, item]) => {
		const isSecret = item !== null && isSecretName.test(name);
		return [sanitize(name), isSecret ? redacted : cleanJson(item, maxDepth - 1)];
	});
	return Object.fromEntries(clean);
}
