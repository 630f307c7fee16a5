import path from 'node:path';
import type { Target } from '../api/fetch.js';
import { buildEnvironment } from '../system/environment.js';
import { type FileState, isOfFile, lookAt, readRegularFile, toAbsence } from '../system/files.js';
import { findExecutable } from '../system/find-executable.js';
import { hash } from '../system/hash.js';
import { unref } from '../system/timers.js';
import type { CacheContext } from './context.js';

/** The inputs of a list at one look. Plain data: kept in memory, in part in stores, and compared. */
export type Inputs = {
	/** The time of the look, in epoch ms. */
	at: number;
	/** The digest of the login; `undefined` where it cannot be read now. */
	login: string | undefined;
	loginFile: FileState | undefined;
	/** The name or path of the program; '' with `fetchModels`. */
	command: string;
	/** The state of each file by its path, and that of the program by `command`; `undefined` for one that cannot be looked at. */
	files: Record<string, FileState | undefined>;
};

/** The largest `auth.json` that is read, in bytes; a real one has some thousand. */
const maxLoginBytes = 1024 * 1024;

/** The variables that log Codex in (0.136.0 to 0.171.0). */
const loginVariables = ['CODEX_ACCESS_TOKEN', 'CODEX_API_KEY', 'CODEX_AGENT_IDENTITY'];

/**
 * Looks at the login, at the program, at the files that Codex reads for each list, and at those that it has named. Never
 * rejects.
 */
export async function lookAtInputs(
	{ home, cwd }: Target,
	{ settings, command }: CacheContext,
	named: readonly string[],
): Promise<Inputs> {
	const at = Date.now();
	const environment = buildEnvironment(settings.env, undefined);
	const program = command && lookAtProgram(command, environment);
	// Otherwise one file at a time, because each look at a dead network mount keeps a thread of libuv.
	const authFile = path.join(home, 'auth.json');
	const loginFile = await lookAt(authFile);
	const configFiles = [path.join(home, 'config.toml'), path.join(cwd, '.codex', 'config.toml')];
	const files: Inputs['files'] = {};
	for (const file of new Set([...configFiles, ...named])) files[file] = await lookAt(file);
	if (program) files[command] = await program;
	const login = loginFile && (await readLogin(authFile, loginFile, environment));
	return { at, login, loginFile, command, files };
}

/** Another file of that name, or another version of it, mostly is another release. */
async function lookAtProgram(command: string, environment: NodeJS.ProcessEnv) {
	try {
		const file = await findExecutable(command, environment);
		const state = await lookAt(file);
		return state && { ...state, version: `${file} ${state.version}` };
	} catch (error) {
		return toAbsence(error);
	}
}

/** The digest of the login; `undefined` where it cannot be read now. A file that is never readable counts by its version. */
async function readLogin(file: string, { version }: FileState, environment: NodeJS.ProcessEnv) {
	const variables = loginVariables.map((name) => environment[name] ?? null);
	try {
		const text = await readRegularFile(file, maxLoginBytes);
		return hash('login', variables, text === undefined ? null : withoutSession(text));
	} catch (error) {
		return isOfFile(error) ? hash('login', variables, version) : undefined;
	}
}

/** The members of `auth.json`, and the claims of its id token, that a refresh of the same user's login changes. */
const rotating =
	/^(?:access_token|refresh_token|last_refresh|iat|exp|nbf|rat|auth_time|pwd_auth_time|jti|sid|session_id|nonce|at_hash|c_hash|chatgpt_subscription_(?:active_start|active_until|last_checked))$/;

/** The text of an `auth.json` without what rotates; all of a text that is no JSON. */
function withoutSession(text: string): string {
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

/** Tells whether an app-server that was started from one look would be started from another one alike. */
export const digest = (look: Inputs | undefined) => hash({ ...look, at: undefined });

/** Whether the files of a list are as they were. A file that cannot be looked at now counts as at the last look. */
export const isCurrent = ({ files }: Inputs, now: Inputs, wasCurrent: boolean) =>
	Object.entries(files).every(([file, state]) => {
		const version = now.files[file]?.version;
		return version === undefined ? wasCurrent : version === state?.version;
	});

/**
 * Whether the inputs held still from one look to the next. A file that cannot be looked at counts as changed, and one that
 * was not known at first held still if its last change came before.
 */
export function heldStill(
	before: Inputs | undefined,
	after: Inputs | undefined,
): after is Inputs & { login: string } {
	if (before?.login === undefined || before.login !== after?.login) return false;
	if (before.loginFile?.version !== after.loginFile?.version) return false;
	if (before.command !== after.command) return false;
	return Object.entries(after.files).every(([file, now]) => {
		if (now === undefined) return false;
		// A file's time has fractions of a millisecond.
		if (!(file in before.files)) return now.changedAt < before.at + 1;
		return before.files[file]?.version === now.version;
	});
}

/** How long a look may take, in milliseconds. A list that was made without a look is not remembered. */
const lookTimeoutMs = 1_000;

const stepMs = 10;

/**
 * The result of a look, or `undefined` when it takes longer than that. The time in which the event loop stands still counts
 * as one step, because the look stands still, too.
 */
export function withPatience<T>(look: Promise<T>, limitMs = lookTimeoutMs) {
	let waitedMs = 0;
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<undefined>((resolve) => {
		const step = () => {
			waitedMs += stepMs;
			if (waitedMs >= limitMs) resolve(undefined);
		};
		timer = unref(setInterval(step, stepMs));
	});
	return Promise.race([look, limit]).finally(() => clearInterval(timer));
}
