import { access, constants, stat } from 'node:fs/promises';
import { type CodexModelsError, notFoundError } from '../core/errors.js';
import { sanitizeLine } from '../core/sanitize.js';

/** The codes of a file that cannot be run; any other failure is one of the system, such as EMFILE or EAGAIN. */
const notExecutableCodes = /^(?:EACCES|EPERM|ENOTDIR|ELOOP|ENAMETOOLONG|ENOEXEC|EISDIR|EFTYPE|UNKNOWN)$/;

/** The reason why a directory cannot be entered; `undefined` where it can. */
export async function findDirectoryProblem(directory: string): Promise<NodeJS.ErrnoException | undefined> {
	try {
		if (!(await stat(directory)).isDirectory()) {
			return Object.assign(new Error(`ENOTDIR: not a directory, '${directory}'`), { code: 'ENOTDIR' });
		}
		await access(directory, constants.X_OK);
		return undefined;
	} catch (error) {
		return error as NodeJS.ErrnoException;
	}
}

/** The error for a process that could not be started because of its file or directory; `undefined` for other reasons. */
export async function explainSpawnError(
	{ file, cwd, args, displayCommand: command }: { file: string; cwd: string; args: readonly string[]; displayCommand: string },
	cause: NodeJS.ErrnoException,
	elapsedMs: number,
): Promise<CodexModelsError | undefined> {
	// Node adds the arguments, which are shown to all who print the error.
	Object.assign(cause, { spawnargs: [sanitizeLine(args.join(' '), 1_000)] });
	// A missing directory gives the ENOENT or EACCES of a missing program.
	const directoryProblem = await findDirectoryProblem(cwd);
	if (directoryProblem) {
		return notFoundError({ elapsedMs, command, problem: 'no directory', directory: cwd, cause: directoryProblem });
	}
	if (notExecutableCodes.test(cause.code ?? '')) return notFoundError({ elapsedMs, command, problem: 'not executable', cause });
	if (cause.code !== 'ENOENT') return undefined;
	// A file that is there and not found is a script without its interpreter, or a program for another libc.
	const problem = await access(file).then(
		() => 'no interpreter' as const,
		() => 'missing' as const,
	);
	return notFoundError({ elapsedMs, command, problem, cause });
}
