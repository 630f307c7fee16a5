const redacted = '[redacted]';

// Every repetition below is bounded or stops where its text is consumed: the texts are long, and not ours.

/** What is a secret wherever it stands. */
const secrets: [RegExp, string][] = [
	[/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}-----)?/g, redacted],
	// https://user:password@host, and https://token@host; not ssh://git@host. A password may hold an "@", a user no "/".
	[
		/\b([a-z][a-z\d+.-]{0,20}:\/\/)(?:[^\s/@"'`]{0,400}:|(?=[^\s/@"'`]{16}))[^\s/"'`]{0,400}@/gi,
		`$1${redacted}@`,
	],
	// ?key=…, &code=…
	[/([?&](?:key|code|sig|signature)=)[^\s"'`\\&#]+/gi, `$1${redacted}`],
	// sk-…, sk-proj-…, sess-…; a folder of such a name only where it looks random.
	[/(?<![A-Za-z\d/\\])(?:sk|sess)-[\w*-]{6,}|(?<=[/\\])sk-(?=\D{0,200}\d|[\w-]{20})[\w-]{6,}/g, redacted],
	// OpenAI's refresh tokens; keys of GitHub, GitLab, Google, Amazon, Slack, Stripe, Hugging Face, npm.
	[/(?<![A-Za-z\d])(?:rt|gh[opsur]|github_pat|[sr]k_(?:live|test)|hf|npm)_[\w-]{8,}/g, redacted],
	[/(?<![A-Za-z\d])(?:glpat-|xox[a-z]-|xai-|AIza|AKIA)[\w-]{12,}/g, redacted],
	// A JWT: base64url of '{"', then two more parts; one that is cut off, too.
	[/(?<![A-Za-z\d])eyJ[\w-]{6,}(?:\.[\w-]*){0,4}/g, redacted],
	// Authorization: Token abc
	[
		/(\bauthorization\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?(?:bearer|basic|token|digest|apikey)\s{1,8})[^\s"'`\\,;]+/gi,
		`$1${redacted}`,
	],
	// Bearer abc; not "bearer authentication".
	[/\b(bearer\s{1,8})(?!(?:[a-z]{1,20}(?!\S)|or\b))[^\s"'`\\,;]+/gi, `$1${redacted}`],
	[/\b(basic\s{1,8})(?=[^\s"'`\\]{0,40}\d|[^\s"'`\\]{20})[^\s"'`\\,;]+/gi, `$1${redacted}`],
];

/** The last word of a name that stands for a secret: `token`, `OPENAI_API_KEY`, `clientSecret`. */
const secretName =
	'(?:token|secret|passw(?:or)?d|passphrase|(?:api|secret|private|access)[ _-]?key|credentials?|authorization|bearer|code_?verifier)';

/** name=value, "name": "value", name: Some("value"), --name value; also in JSON that is a string in JSON. */
const assignment = new RegExp(
	[
		String.raw`(?<![\w/])(?<name>(?<flag>--)?(?:[\w-]{0,60}|(?<phrase>(?:refresh|access|id|auth|bearer|client|session) ))${secretName})`,
		String.raw`(?<between>\\?["'\x60]?\s{0,8}(?:=>|[=:])\s{0,8}|(?<=--[\w-]{1,80})\s{1,8})`,
		String.raw`(?<wrap>(?:\w{1,30}\(\s{0,8}){0,3})`,
		String.raw`(?:(?<quote>\\?["'\x60])(?<quoted>[^\n]*?)(?=\k<quote>|\n|$)|(?<group>[{[][^\n}\]]*)|(?<bare>[^\s"'\x60\\,;&(){}[\]]+))`,
	].join(''),
	'gi',
);

/** What stands where a secret could, and is none: how it is with it. */
const state =
	/^(?:null|none|nil|undefined|true|false|empty|missing|expired|invalid|revoked|required|unknown|absent|unset|not|no|is|was|has|must|cannot|could|failed|error|rejected|refused|denied|unauthorized|forbidden|already|found|set|expected|unavailable|malformed|corrupt(?:ed)?|stale|string|the|a|an)[.!?:…]?$|^</i;

/** Of a name that is also a word of sentences, such as "unexpected token: gpt-5.1": what is not taken for a secret. */
const ordinary =
	/^(?:[A-Za-z/'’-]{1,19}|(?:gpt|o\d|codex)\b[\w.-]*|v?\d+(?:\.\d+)*|\d{4}-\d\d-\d\d\S*|HTTP\/\S*|[a-z]+:\/\/\S*|~?\.{0,2}\/\S*|\w+=.*|\W*)[.!?:]?$/i;

function isSecret(value: string, name: string, isSure: boolean): boolean {
	if (state.test(value)) return false;
	// A status, or a number of tokens.
	if (/token$/i.test(name) && /^\d{1,8}[.:]?$/.test(value)) return false;
	return isSure || !ordinary.test(value);
}

/** What looks like a token, a key or a password becomes `[redacted]`. */
export function redact(text: string): string {
	const result = secrets.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
	return result.replace(assignment, (whole: string, ...rest: unknown[]) => {
		const {
			name,
			flag,
			phrase,
			between,
			wrap,
			quote = '',
			quoted,
			group,
			bare,
		} = rest.at(-1) as Record<string, string>;
		const value = quoted ?? group ?? bare ?? '';
		if (value === '' || value.startsWith('[redacted')) return whole;
		const isWord =
			phrase !== undefined || /^(?:token|secret|credentials?|authorization|bearer)$/i.test(name as string);
		const isSure = flag !== undefined || !isWord || (between?.includes('=') ?? false);
		const found = group === undefined ? isSecret(value, name as string, isSure) : isSure;
		return found ? `${name}${between}${wrap}${quote}${redacted}` : whole;
	});
}

const wholeName = new RegExp(`${secretName}$`, 'i');

/** The same for every string in a JSON value, its keys taken into account. */
export function redactJson(value: unknown): unknown {
	if (value === undefined) return undefined;
	return redactPart(JSON.parse(JSON.stringify(value)), '', false);
}

function redactPart(part: unknown, key: string, isInSecret: boolean): unknown {
	const isHere = isInSecret || wholeName.test(key);
	if (typeof part === 'string') return isHere && isSecret(part, key, true) ? redacted : redact(part);
	if (Array.isArray(part)) return part.map((item) => redactPart(item, key, isHere));
	if (typeof part !== 'object' || part === null) return part;
	return Object.fromEntries(
		Object.entries(part).map(([name, item]) => [name, redactPart(item, name, isHere)]),
	);
}
