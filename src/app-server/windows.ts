import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { lookUp } from '../system/environment.js';

/** The limit of one `taskkill`, in milliseconds; a working one takes some 30. */
const taskkillMs = 2_000;
/** The limit of all that are started while the parent process exits, in milliseconds. */
const exitBudgetMs = 4_000;

/** The file of a program of Windows itself, which is never searched on PATH or in the current directory. */
const systemProgram = (name: string) =>
	path.join(lookUp(process.env, 'SystemRoot') ?? 'C:\\Windows', 'System32', name);

type SpawnArguments = {
	file: string;
	args: readonly string[];
	env: NodeJS.ProcessEnv;
	windowsVerbatimArguments?: boolean;
};

/** Node refuses to start a .cmd or .bat file by itself (CVE-2024-27980): such a file runs in cmd.exe. */
export function toSpawnArguments({ file, args, env }: SpawnArguments): SpawnArguments {
	if (!/\.(?:cmd|bat)$/i.test(file)) return { file, args, env };
	const line = [file, ...args].map(quoteForCmd).join(' ');
	return {
		file: systemProgram('cmd.exe'),
		args: ['/d', '/e:on', '/v:off', '/s', '/c', `"${line}"`],
		// npm's script starts plain `node`, which cmd.exe would search in the current directory first.
		env: { ...env, NoDefaultCurrentDirectoryInExePath: '1' },
		windowsVerbatimArguments: true,
	};
}

/**
 * Quotes a word as Rust's standard library does (CVE-2024-24576): doubled quotes keep their number even, so that cmd.exe
 * takes all between them for text, here and where a script passes on its `%*`; an empty substring of the variable `cd`
 * keeps `%` from naming a variable. Throws for a line break, which ends the line of cmd.exe and cannot be escaped.
 */
function quoteForCmd(word: string): string {
	if (/[\r\n\0]/.test(word)) throw Object.assign(new Error('spawn EINVAL'), { code: 'EINVAL' });
	const slashed = word.replace(/(\\*)("|$)/g, '$1$1$2');
	return `"${slashed.replaceAll('"', '""').replaceAll('%', '%%cd:~,%')}"`;
}

const taskkill = (child: ChildProcess) =>
	[systemProgram('taskkill.exe'), ['/pid', String(child.pid), '/t', '/f']] as const;

/** Windows has neither groups nor signals: `taskkill` ends the tree; where it fails, the child alone is ended. */
export function endTree(child: ChildProcess): void {
	const killChild = () => child.kill('SIGKILL');
	try {
		const killer = spawn(...taskkill(child), {
			stdio: 'ignore',
			windowsHide: true,
			timeout: taskkillMs,
		});
		killer.once('error', killChild).once('exit', (code) => code === 0 || killChild());
		killer.unref();
	} catch {
		killChild();
	}
}

let spentMs = 0;

/** For the exit of the parent process, which an asynchronous `taskkill` does not outlive. */
export function endTreeNow(child: ChildProcess): void {
	const timeout = Math.min(taskkillMs, exitBudgetMs - spentMs);
	const startedAt = performance.now();
	const isDone =
		timeout > 0 &&
		spawnSync(...taskkill(child), { stdio: 'ignore', windowsHide: true, timeout }).status === 0;
	spentMs += performance.now() - startedAt;
	if (!isDone) child.kill('SIGKILL');
}
