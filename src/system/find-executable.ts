import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { isWindows, lookUp } from './environment.js';
import { hasCode, lookOnce } from './files.js';

/** The programs that Windows starts by itself or through cmd.exe; PATHEXT also lists scripts that need a host of their own. */
const startable = isWindows ? ['.com', '.exe', '.bat', '.cmd'] : [];

/**
 * Finds the file that a command stands for, on PATH unless the command is a path. Links are not followed. A relative or empty
 * entry of PATH is skipped: it stands for the current directory, where anyone may have put a program.
 *
 * @throws an error whose `code` is ENOENT, or EACCES where a file may not be run, or that of the system's failure.
 */
export async function findExecutable(
	command: string,
	environment: NodeJS.ProcessEnv,
): Promise<string> {
	let failure: NodeJS.ErrnoException | undefined;
	for (const file of listCandidates(command, environment)) {
		const problem = await findProblem('isFile', file);
		if (!problem) return file;
		// A folder of PATH that is missing, or is a file, tells nothing.
		if (!hasCode(problem, 'ENOENT', 'ENOTDIR')) failure ??= problem;
	}
	throw failure ?? makeError('ENOENT', command);
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
	Object.assign(new Error(`spawn ${file} ${code}`), { code, syscall: 'spawn', path: file });

function listCandidates(command: string, environment: NodeJS.ProcessEnv): string[] {
	const isPath = isWindows ? /[\\/:]/.test(command) : command.includes('/');
	const folders = isPath ? [''] : listFolders(environment);
	// On Windows `codex` alone is npm's script for a POSIX shell, and `codex.cmd` the program.
	const isWhole = !isWindows || startable.includes(path.extname(command).toLowerCase());
	const suffixes = isWhole ? ['', ...startable] : startable;
	return folders.flatMap((folder) =>
		suffixes.map((suffix) => path.resolve(folder, command + suffix)),
	);
}

function listFolders(environment: NodeJS.ProcessEnv): string[] {
	// Without a PATH, POSIX systems search their own folders.
	const folders = (lookUp(environment, 'PATH') ?? (isWindows ? '' : '/usr/bin:/bin')).split(
		path.delimiter,
	);
	if (!isWindows) return folders.filter((folder) => path.isAbsolute(folder));
	// Windows allows quotes there; `\tools` and `C:tools` depend on the current drive and directory.
	return folders
		.map((folder) => folder.replace(/^"(.*)"$/, '$1'))
		.filter((folder) => /^(?:[a-z]:[\\/]|[\\/]{2})/i.test(folder));
}
