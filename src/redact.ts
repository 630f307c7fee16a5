const redacted = '[redacted]';

// Every repetition below is bounded or stops where its text is consumed: the texts are long, and not ours.

/** At least 20 characters, or a digit among them: words such as "Bearer authentication" stay as they are. */
const looksRandom = String.raw`(?=[^\s"'\\]{0,40}\d|[^\s"'\\]{20})`;

const secrets: [RegExp, string][] = [
	// https://user:password@host
	[/\b([a-z][a-z\d+.-]{0,20}:\/\/)[^\s/@"']{1,400}@/gi, `$1${redacted}@`],
	// sk-…, sk-proj-…, sess-…
	[/(?<![A-Za-z\d])(?:sk|sess)-[\w-]{6,}/g, redacted],
	// A JWT: base64url of '{"', then two more parts; one that is cut off, too.
	[/(?<![A-Za-z\d])eyJ[\w-]{6,}(?:\.[\w-]*){0,4}/g, redacted],
	[new RegExp(String.raw`\b(bearer|basic)(\s{1,8})${looksRandom}[^\s"'\\,;]+`, 'gi'), `$1$2${redacted}`],
	// refresh_token=…, "access_token": "…", api-key: …
	[
		/((?:(?:refresh|access|id|auth|bearer|session)[_-]?token|api[_-]?key|client[_-]?secret|code[_-]?verifier|password|passwd)\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?)(?!\[redacted\])[^\s"'\\,;&}]+/gi,
		`$1${redacted}`,
	],
	[
		new RegExp(
			String.raw`\b((?:token|secret|authorization)\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?)(?!\[redacted\])${looksRandom}[^\s"'\\,;&}]+`,
			'gi',
		),
		`$1${redacted}`,
	],
];

/** What looks like a token, a key or a password becomes `[redacted]`. */
export function redact(text: string): string {
	return secrets.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

/** The same for every string in a JSON value, its keys taken into account. */
export function redactJson(value: unknown): unknown {
	if (value === undefined) return undefined;
	return JSON.parse(JSON.stringify(value), (key, part: unknown) => {
		if (typeof part !== 'string') return part;
		const prefix = `${key}=`;
		const line = redact(prefix + part);
		return line.startsWith(prefix) ? line.slice(prefix.length) : redact(part);
	});
}
