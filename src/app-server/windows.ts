import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { lookUp } from '../system/environment.js';

/** The file of a program of Windows itself, which is never searched on PATH or in the current directory. */
const systemProgram = (name: string) =>
	path.join(lookUp(process.env, 'SystemRoot') ?? 'C:\\Windows', 'System32', name);

/** `file` is an absolute path, and `env` the whole environment. */
export type SpawnSpec = {
	file: string;
	args: readonly string[];
	cwd: string;
	env: NodeJS.ProcessEnv;
	windowsVerbatimArguments?: boolean;
};

/** Node refuses to start a .cmd or .bat file by itself (CVE-2024-27980): such a file runs in cmd.exe. */
export function toWindowsSpec(spec: SpawnSpec): SpawnSpec {
	if (!/\.(?:cmd|bat)$/i.test(spec.file)) return spec;
	const line = [spec.file, ...spec.args].map(quoteForCmd).join(' ');
	return {
		...spec,
		file: systemProgram('cmd.exe'),
		args: ['/d', '/e:on', '/v:off', '/s', '/c', `"${line}"`],
		// npm's script starts plain `node`, which cmd.exe would search in the current directory first.
		env: { ...spec.env, NoDefaultCurrentDirectoryInExePath: '1' },
		windowsVerbatimArguments: true,
	};
}

/**
 * Quotes a word as Rust's standard library does (CVE-2024-24576): doubled quotes keep their number even, so that cmd.exe
 * takes all between them for text, here and where a script passes on its `%*`; an empty substring of the variable `cd`
 * keeps `%` from naming a variable. Throws for a line break, which ends the line of cmd.exe and cannot be escaped.
 */
function quoteForCmd(word: string) {
	if (/[\r\n\0]/.test(word)) throw Object.assign(new Error('spawn EINVAL'), { code: 'EINVAL' });
	const slashed = word.replace(/(\\*)("|$)/g, '$1$1$2');
	return `"${slashed.replaceAll('"', '""').replaceAll('%', '%%cd:~,%')}"`;
}

/** A working `taskkill` takes some 30 ms. */
const taskkill = ({ pid }: ChildProcess) =>
	[
		systemProgram('taskkill.exe'),
		['/pid', String(pid), '/t', '/f'],
		{ stdio: 'ignore', windowsHide: true, timeout: 2_000 },
	] as const;

/** Ends a child and all that it started. Windows has neither groups nor signals; where `taskkill` fails, the child alone is ended. */
export function endTree(child: ChildProcess): void {
	const killChild = () => child.kill('SIGKILL');
	try {
		const killer = spawn(...taskkill(child));
		killer.once('error', killChild).once('exit', (code) => code === 0 || killChild());
		killer.unref();
	} catch {
		killChild();
	}
}

/** For the exit of the parent process, which an asynchronous `taskkill` does not outlive. */
export function endTreeNow(child: ChildProcess): void {
	if (spawnSync(...taskkill(child)).status !== 0) child.kill('SIGKILL');
}
