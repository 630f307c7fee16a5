import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { isWindows } from './environment.js';
import { hasCode, lookOnce } from './files.js';
import { findLatest, listFolders } from './install-folders.js';

/**
 * The programs that Windows starts by itself or through cmd.exe; PATHEXT also lists scripts that need a host of their own. There
 * `codex` alone is npm's script for a POSIX shell, and `codex.cmd` the program.
 */
const suffixes = isWindows ? ['.com', '.exe', '.bat', '.cmd'] : [''];

/**
 * Finds the file that a command stands for: a name on PATH, and `codex` also where installers put it. Links are not followed.
 *
 * @throws an error whose `code` is ENOENT (with the `folders` that were searched), or EACCES where a file may not be run, or
 * that of the system's failure.
 */
export async function findExecutable(
	command: string,
	environment: NodeJS.ProcessEnv,
): Promise<string> {
	const isName = path.basename(command) === command;
	const folders = isName ? listFolders(command, environment) : [''];
	const isWhole = suffixes.includes(path.extname(command).toLowerCase());
	let failure: NodeJS.ErrnoException | undefined;
	for (const folder of folders) {
		for (const suffix of isWhole ? [''] : suffixes) {
			const file = await findLatest(path.resolve(folder, command + suffix));
			const problem = await findProblem('isFile', file);
			if (!problem) return file;
			// A folder that is missing, or is a file, tells nothing.
			if (!hasCode(problem, 'ENOENT', 'ENOTDIR')) failure ??= problem;
		}
	}
	throw (
		failure ?? Object.assign(makeError('ENOENT', command), { folders: folders.filter(Boolean) })
	);
}

/** The reason why a file cannot be run or a directory cannot be entered; `undefined` where it can. */
export function findProblem(
	kind: 'isFile' | 'isDirectory',
	file: string,
): Promise<NodeJS.ErrnoException | undefined> {
	return lookOnce(`${kind} ${file}`, async () => {
		try {
			// A directory has the permission to execute, too.
			if (!(await stat(file))[kind]())
				return makeError(kind === 'isFile' ? 'EACCES' : 'ENOTDIR', file);
			await access(file, constants.X_OK);
			return undefined;
		} catch (error) {
			return error as NodeJS.ErrnoException;
		}
	});
}

const makeError = (code: string, file: string) =>
	Object.assign(new Error(`spawn ${file} ${code}`), { code });
