import path from 'node:path';
import { isOfFile, lookAt, readRegularFile } from '../system/files.js';
import { hash } from '../system/hash.js';

/** The largest `auth.json` that is read, in bytes; a real one has some thousand. */
const maxBytes = 1024 * 1024;

/** The members of `auth.json`, and the claims of its id token, that a refresh of the same user's login changes. */
const rotating =
	/^(?:access_token|refresh_token|last_refresh|iat|exp|nbf|rat|auth_time|pwd_auth_time|jti|sid|session_id|nonce|at_hash|c_hash|chatgpt_subscription_(?:active_start|active_until|last_checked))$/;

/**
 * The digest of the login, and the version of `auth.json`; neither where they cannot be read now. A file that is never readable
 * counts by its version.
 */
export async function lookAtLogin(home: string, environment: NodeJS.ProcessEnv) {
	const file = path.join(home, 'auth.json');
	const loginVersion = (await lookAt(file))?.version;
	if (loginVersion === undefined) return {};
	let login: string | undefined;
	try {
		const text = await readRegularFile(file, maxBytes);
		login = text && withoutSession(text);
	} catch (error) {
		if (!isOfFile(error)) return {};
		login = loginVersion;
	}
	// The variables that log Codex in (0.136.0 to 0.171.0).
	const { CODEX_ACCESS_TOKEN, CODEX_API_KEY, CODEX_AGENT_IDENTITY } = environment;
	return {
		loginVersion,
		login: hash(login, CODEX_ACCESS_TOKEN, CODEX_API_KEY, CODEX_AGENT_IDENTITY),
	};
}

/** The text of an `auth.json` without what rotates; all of a text that is no JSON. */
function withoutSession(text: string) {
	const replace = (name: string, value: unknown) => {
		if (rotating.test(name)) return typeof value;
		return name === 'id_token' ? readClaims(value) : value;
	};
	try {
		return JSON.stringify(JSON.parse(text), replace);
	} catch {
		return text;
	}
}

/** The claims of a JWT; the value itself where it is none. */
function readClaims(idToken: unknown): unknown {
	try {
		const [, claims = ''] = String(idToken).split('.');
		return JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'));
	} catch {
		return idToken;
	}
}
