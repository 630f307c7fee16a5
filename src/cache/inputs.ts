import path from 'node:path';
import type { Target } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';
import { buildEnvironment } from '../system/environment.js';
import { type FileState, isOfFile, lookAt, readRegularFile } from '../system/files.js';
import { findExecutable } from '../system/find-executable.js';
import { hash } from '../system/hash.js';
import { unref } from '../system/timers.js';

/** What a list was made from. Plain data: kept in memory and in stores, and compared. */
export type Inputs = {
	/** The digest of the login. */
	login: string;
	/** The name or path of the program; '' with `fetchModels`. */
	command: string;
	/** The version of each file by its path, and that of the program by `command`. */
	files: Record<string, string>;
};

/** One look at the inputs. A part that could not be looked at is `undefined`. */
export type Look = {
	at: number;
	login: string | undefined;
	command: string;
	files: Record<string, FileState | undefined>;
};

/** The largest `auth.json` that is read, in bytes; a real one has some thousand. */
const maxLoginBytes = 1024 * 1024;

/** The variables that log Codex in (0.136.0 to 0.171.0). */
const loginVariables = ['CODEX_ACCESS_TOKEN', 'CODEX_API_KEY', 'CODEX_AGENT_IDENTITY'];

const toLoginFile = ({ home }: Target) => path.join(home, 'auth.json');

/**
 * Looks at the login, at the program, at the files that Codex reads for each list, and at those that it has named. Never
 * rejects.
 */
export async function lookAtInputs(
	target: Target,
	{ env }: Settings,
	command: string,
	named: readonly string[],
): Promise<Look> {
	const at = Date.now();
	const environment = buildEnvironment(env, undefined);
	const loginFile = toLoginFile(target);
	const configFiles = [
		path.join(target.home, 'config.toml'),
		path.join(target.cwd, '.codex', 'config.toml'),
	];
	const files: Look['files'] = {};
	// One file at a time, because each look at a dead network mount keeps a thread of libuv.
	for (const file of new Set([loginFile, ...configFiles, ...named]))
		files[file] = await lookAt(file);
	if (command !== '') files[command] = await lookAtProgram(command, environment);
	const login = await readLogin(loginFile, files[loginFile], environment);
	return { at, login, command, files };
}

/** Another file of that name, or another version of it, mostly is another release. */
async function lookAtProgram(command: string, environment: NodeJS.ProcessEnv) {
	try {
		const file = await findExecutable(command, environment);
		const state = await lookAt(file);
		return state && { ...state, version: `${file} ${state.version}` };
	} catch (error) {
		return isOfFile(error) ? { version: 'none', changedAt: 0 } : undefined;
	}
}

/** The digest of the login; `undefined` where it cannot be read now. A file that is never readable counts by its version. */
async function readLogin(
	file: string,
	state: FileState | undefined,
	environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
	if (state === undefined) return undefined;
	const variables = loginVariables.map((name) => environment[name] ?? null);
	try {
		const text = await readRegularFile(file, maxLoginBytes);
		return hash('login', variables, text === undefined ? null : withoutSession(text));
	} catch (error) {
		return isOfFile(error) ? hash('login', variables, state.version) : undefined;
	}
}

/** The members of `auth.json`, and the claims of its id token, that a refresh of the same user's login changes. */
const rotatingMembers = /^(?:access_token|refresh_token|last_refresh)$/;
const rotatingClaims =
	/^(?:iat|exp|nbf|rat|auth_time|pwd_auth_time|jti|sid|session_id|nonce|at_hash|c_hash|chatgpt_subscription_(?:active_start|active_until|last_checked))$/;

/** The text of an `auth.json` without what rotates; all of a text that is no JSON. */
function withoutSession(text: string): string {
	const dropClaims = (name: string, value: unknown) =>
		rotatingClaims.test(name) ? typeof value : value;
	const dropMembers = (name: string, value: unknown) => {
		if (rotatingMembers.test(name)) return typeof value;
		return name === 'id_token' ? JSON.stringify(readClaims(value), dropClaims) : value;
	};
	try {
		return JSON.stringify(JSON.parse(text), dropMembers);
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

/** The inputs of a list that was made by the time of a look; the login file counts by the login in it. */
export function toInputs(target: Target, { login = '', command, files }: Look): Inputs {
	const { [toLoginFile(target)]: _, ...rest } = files;
	const versions = Object.entries(rest).map(([file, state]) => [file, state?.version ?? 'unknown']);
	return { login, command, files: Object.fromEntries(versions) };
}

/** Tells whether an app-server that was started from one look would be started from another one alike. */
export const digest = (look: Look | undefined) => hash(look?.login, look?.command, look?.files);

/** The files that Codex named for a list, and those that it reads for each. */
export const listFiles = (inputs: Inputs | undefined): string[] =>
	Object.keys(inputs?.files ?? {}).filter((file) => file !== inputs?.command);

/** Whether the files of a list are as they were. A file that cannot be looked at now counts as at the last look. */
export const isCurrent = ({ files }: Inputs, look: Look, wasCurrent = true): boolean =>
	Object.entries(files).every(([file, version]) => {
		const state = look.files[file];
		return state ? state.version === version : wasCurrent;
	});

/**
 * Whether the inputs held still from one look to the next. A file that cannot be looked at counts as changed, and one that
 * was not known at first held still if its last change came before.
 */
export function heldStill(before: Look | undefined, after: Look | undefined): after is Look {
	if (before?.login === undefined || before.login !== after?.login) return false;
	return Object.entries(after.files).every(([file, now]) => {
		if (now === undefined) return false;
		// A file's time has fractions of a millisecond.
		if (!(file in before.files)) return now.changedAt < before.at + 1;
		return before.files[file]?.version === now.version;
	});
}

const stepMs = 10;

/**
 * The result of a look, or `undefined` when it takes longer than that. The time in which the event loop stands still counts
 * as one step, because the look stands still, too.
 */
export function withPatience<T>(look: Promise<T>, limitMs: number): Promise<T | undefined> {
	let waitedMs = 0;
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<undefined>((resolve) => {
		timer = setInterval(() => {
			waitedMs += stepMs;
			if (waitedMs >= limitMs) resolve(undefined);
		}, stepMs);
		unref(timer);
	});
	return Promise.race([look, limit]).finally(() => clearInterval(timer));
}
