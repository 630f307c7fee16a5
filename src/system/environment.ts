import { userInfo } from 'node:os';
import path from 'node:path';
import process from 'node:process';

export const isWindows = process.platform === 'win32';

/** The home of the user as Codex finds it, which ignores HOME and USERPROFILE on Windows (0.169.0). */
export function findHome({ HOME = '' }: NodeJS.ProcessEnv = process.env): string {
	if (!isWindows && path.isAbsolute(HOME)) return HOME;
	try {
		return userInfo().homedir;
	} catch {
		// A user id of a container may have neither a name nor a home (Node 20).
		return path.parse(process.execPath).root;
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

/** The name under which an environment holds a variable: on Windows in any spelling, such as `Path` for `PATH`. */
export function findSpelling(environment: NodeJS.ProcessEnv, name: string): string {
	const isSame = (other: string) => other.toUpperCase() === name.toUpperCase();
	return (isWindows && Object.keys(environment).find(isSame)) || name;
}

/** The value of a variable, on Windows in any spelling: a copy of `process.env` is not as tolerant as that itself. */
export const lookUp = (environment: NodeJS.ProcessEnv, name: string) =>
	environment[findSpelling(environment, name)];

/** The app-server's whole environment. `process.env` may have got another CODEX_HOME since `codexHome` was found out. */
export function buildEnvironment(
	overlay: NodeJS.ProcessEnv,
	codexHome: string | undefined,
): NodeJS.ProcessEnv {
	const environment = { ...process.env };
	for (const [name, value] of Object.entries({ ...overlay, CODEX_HOME: codexHome })) {
		delete environment[findSpelling(environment, name)];
		if (value !== undefined) environment[name] = value;
	}
	return environment;
}
