import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { findHome, isWindows, lookUp } from './environment.js';
import { hasCode, lookOnce } from './files.js';

/** Folders of programs that need no Node come first, those of desktop programs last. `$HOME` is the user's home everywhere, and `*` any name. */
const posixFolders = [
	'$HOME/.local/bin',
	'/usr/local/bin',
	'$NPM_CONFIG_PREFIX/bin',
	'$npm_config_prefix/bin',
	'$HOME/.npm-global/bin',
	'$HOME/.nvm/versions/node/*/bin',
	'$VOLTA_HOME/bin',
	'$HOME/.volta/bin',
	'$BUN_INSTALL/bin',
	'$HOME/.bun/bin',
	// Since pnpm 11, and before.
	'$PNPM_HOME/bin',
	'$PNPM_HOME',
];

const installFolders: Record<string, string[]> = {
	linux: [
		'/home/linuxbrew/.linuxbrew/bin',
		...posixFolders,
		'$HOME/.local/share/pnpm/bin',
		'$HOME/.local/share/pnpm',
		'/usr/lib/chatgpt/resources',
	],
	darwin: [
		'/opt/homebrew/bin',
		...posixFolders,
		'$HOME/Library/pnpm/bin',
		'$HOME/Library/pnpm',
		// Since September 2026 in `codex-cli`.
		'/Applications/ChatGPT.app/Contents/Resources/codex-cli/bin',
		'/Applications/ChatGPT.app/Contents/Resources',
		'/Applications/Codex.app/Contents/Resources/codex-cli/bin',
		'/Applications/Codex.app/Contents/Resources',
		'$HOME/Applications/ChatGPT.app/Contents/Resources/codex-cli/bin',
		'$HOME/Applications/ChatGPT.app/Contents/Resources',
		'$HOME/Applications/Codex.app/Contents/Resources/codex-cli/bin',
		'$HOME/Applications/Codex.app/Contents/Resources',
	],
	win32: [
		'$LOCALAPPDATA/Programs/OpenAI/Codex/bin',
		'$LOCALAPPDATA/Microsoft/WinGet/Links',
		'$NPM_CONFIG_PREFIX',
		'$APPDATA/npm',
		'$VOLTA_HOME/bin',
		'$LOCALAPPDATA/Volta/bin',
		'$BUN_INSTALL/bin',
		'$HOME/.bun/bin',
		'$PNPM_HOME/bin',
		'$PNPM_HOME',
		'$LOCALAPPDATA/pnpm/bin',
		'$LOCALAPPDATA/pnpm',
		'$HOME/.local/bin',
		// The desktop program has a folder for each release; an older one had a file.
		'$LOCALAPPDATA/OpenAI/Codex/bin/*',
		'$LOCALAPPDATA/OpenAI/Codex/bin',
	],
};

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
			const pattern = path.resolve(folder, command + suffix);
			const file = pattern.includes('*') ? await findLatest(pattern) : pattern;
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

/**
 * The folders in which a command is looked up. PATH comes first. Relative and empty entries are left out: they stand for the
 * current directory, where anyone may have put a program.
 */
export function listFolders(command: string, environment: NodeJS.ProcessEnv): string[] {
	const variables = { ...environment, HOME: findHome(environment) };
	const fill = (_: string, name: string) => lookUp(variables, name) || '?';
	const installed = command === 'codex' ? (installFolders[process.platform] ?? []) : [];
	// Without a PATH, POSIX systems search their own folders. Windows allows quotes.
	const onPath = (lookUp(environment, 'PATH') ?? '/usr/bin:/bin').replaceAll('"', '');
	const folders = onPath
		.split(path.delimiter)
		.concat(installed.map((folder) => path.normalize(folder.replace(/^\$(\w+)/, fill))))
		.filter(path.isAbsolute);
	return [...new Set(folders)];
}

/** The file that was changed last, with any folder in place of the `*`; the pattern where there is none. */
async function findLatest(pattern: string) {
	const [parent = '', below] = pattern.split('*');
	let latest = { file: pattern, mtimeMs: 0 };
	for (const name of await readdir(parent).catch(() => [])) {
		const file = parent + name + below;
		const { mtimeMs } = await stat(file).catch(() => latest);
		if (mtimeMs > latest.mtimeMs) latest = { file, mtimeMs };
	}
	return latest.file;
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
