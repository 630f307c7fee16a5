import path from 'node:path';
import { lookAtLogin } from '../api/codex-login.js';
import type { Target } from '../api/model-list.js';
import { buildEnvironment } from '../system/environment.js';
import { type FileState, lookAt, toAbsence } from '../system/files.js';
import { findExecutable } from '../system/find-executable.js';
import { hash } from '../system/hash.js';

/** The inputs of a list at one look. Plain data: kept in memory, in part in stores, and compared. */
export type Inputs = {
	/** The time of the look, in epoch ms. */
	at: number;
	/** The digest of the login; `undefined` where it cannot be read now. */
	login?: string;
	/** The version of the file that holds the login, which a refresh of the same login changes. */
	loginVersion?: string;
	/** The name or path of the program; '' with `fetchModels`. */
	command: string;
	/** The state of each file by its path, and that of the program by `command`; `undefined` for one that cannot be looked at. */
	files: Record<string, FileState | undefined>;
};

/**
 * Looks at the login, at the program, at the files that Codex reads for each list, and at those that it has named. Never
 * rejects.
 */
export async function lookAtInputs(
	{ home, cwd }: Target,
	command: string,
	overlay: NodeJS.ProcessEnv,
	named: readonly string[],
): Promise<Inputs> {
	const at = Date.now();
	const environment = buildEnvironment(overlay, undefined);
	const program = command && lookAtProgram(command, environment);
	// Otherwise one file at a time, because each look at a dead network mount keeps a thread of libuv.
	const login = await lookAtLogin(home, environment);
	const configFiles = [path.join(home, 'config.toml'), path.join(cwd, '.codex', 'config.toml')];
	const files: Inputs['files'] = {};
	for (const file of new Set([...configFiles, ...named])) files[file] = await lookAt(file);
	if (program) files[command] = await program;
	return { at, ...login, command, files };
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

/** Tells whether an app-server that was started from one look would be started from another one alike. */
export const digest = (look: Inputs | undefined) => hash({ ...look, at: undefined });

/** Whether the files of a list are as they were. A file that cannot be looked at now counts as at the last look. */
export const isCurrent = (then: Inputs | undefined, now: Inputs, wasCurrent: boolean) =>
	Object.entries(then?.files ?? {}).every(([file, state]) => {
		const version = now.files[file]?.version;
		return version === undefined ? wasCurrent : version === state?.version;
	});

/**
 * Whether the inputs held still from one look to the next. A file that cannot be looked at counts as changed, and one that
 * was not known at first held still if its last change came before.
 */
export function heldStill(before: Inputs | undefined, after: Inputs | undefined): boolean {
	if (before?.login === undefined || before.login !== after?.login) return false;
	if (before.loginVersion !== after.loginVersion || before.command !== after.command) return false;
	return Object.entries(after.files).every(([file, now]) => {
		if (now === undefined) return false;
		// A file's time has fractions of a millisecond.
		if (!(file in before.files)) return now.changedAt < before.at + 1;
		return before.files[file]?.version === now.version;
	});
}
