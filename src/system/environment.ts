import { homedir, userInfo } from 'node:os';
import path from 'node:path';
import process from 'node:process';

/** Environment variables that are laid over those of this process; `undefined` removes one. */
export type EnvironmentOverlay = Readonly<Record<string, string | undefined>>;

export const isWindows = process.platform === 'win32';

/** The user's home directory; the root where there is none, as for a user id of a container that has no name. */
export function findHome(): string {
	// An empty HOME counts as none (Node 20 returns it).
	return findDirectory(homedir) ?? findProfile() ?? path.parse(process.execPath).root;
}

/** The directory in which Codex looks for `.codex` when its environment has no CODEX_HOME. */
export function findCodexUserHome(environment: NodeJS.ProcessEnv): string {
	// Codex asks Windows for the profile's folder and ignores HOME and USERPROFILE there (0.169.0).
	const own = isWindows ? findProfile() : findDirectory(() => environment.HOME);
	return own ?? findHome();
}

const findProfile = () => findDirectory(() => userInfo().homedir);

/** Node throws where neither HOME nor an entry of the user in the password file exists (20). */
function findDirectory(find: () => string | undefined): string | undefined {
	try {
		const directory = find();
		return directory !== undefined && path.isAbsolute(directory) ? directory : undefined;
	} catch {
		return undefined;
	}
}

/** An absolute path; the parts as they are where the current directory was deleted, so that their user meets a missing file. */
export function resolvePath(...parts: string[]): string {
	try {
		return path.resolve(...parts);
	} catch {
		return parts.join(path.sep);
	}
}

/** The value of a variable in an environment; on Windows in any spelling, also in a worker's copy of `process.env`. */
export function lookUp(environment: NodeJS.ProcessEnv, name: string): string | undefined {
	return environment[findSpelling(environment, name) ?? name];
}

/** The name under which an environment holds a variable: `Path` for `PATH` on Windows. */
export function findSpelling(environment: NodeJS.ProcessEnv, name: string): string | undefined {
	if (!isWindows) return Object.hasOwn(environment, name) ? name : undefined;
	return Object.keys(environment).find((other) => other.toUpperCase() === name.toUpperCase());
}

/** The app-server's whole environment. `process.env` may have got another CODEX_HOME since `codexHome` was found out. */
export function buildEnvironment(
	overlay: EnvironmentOverlay,
	codexHome: string | undefined,
): NodeJS.ProcessEnv {
	const environment = { ...process.env };
	for (const [name, value] of Object.entries({ ...overlay, CODEX_HOME: codexHome })) {
		delete environment[findSpelling(environment, name) ?? name];
		if (value !== undefined) environment[name] = value;
	}
	return environment;
}
