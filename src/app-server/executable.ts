import { realpath } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { findSpelling, isWindows } from '../system/environment.js';
import { readRegularFile } from '../system/files.js';
import { findProblem } from '../system/find-executable.js';

export type Executable = { file: string; env: NodeJS.ProcessEnv };

const platform = `${process.platform}-${process.arch}`;

/** The folders of the program below `vendor`, by Node's name of the platform. */
const triples: Record<string, string> = {
	'linux-x64': 'x86_64-unknown-linux-musl',
	'linux-arm64': 'aarch64-unknown-linux-musl',
	'darwin-x64': 'x86_64-apple-darwin',
	'darwin-arm64': 'aarch64-apple-darwin',
	'win32-x64': 'x86_64-pc-windows-msvc',
	'win32-arm64': 'aarch64-pc-windows-msvc',
};

/** The folders below `vendor/TRIPLE`: of the program, and of what the launcher puts on PATH (since 0.136.0; before). */
const layouts = [['bin', 'codex-path'] as const, ['codex', 'path'] as const];

/** The largest launcher that is read, in bytes; real ones have 9,000. */
const maxFileBytes = 256 * 1024;

/**
 * Resolves the npm launcher to the native binary behind it. The launcher is a Node script that adds some variables and starts
 * the binary, which takes about half of a cold call; on Windows a shell is saved, too. Where anything is not as the
 * launchers of 0.66.0 to 0.171.0 have it, the result is the file itself.
 */
export async function resolveNativeBinary(
	file: string,
	env: NodeJS.ProcessEnv,
): Promise<Executable> {
	const behind = await findBehindLauncher(file, env).catch(() => undefined);
	return behind ?? { file, env };
}

async function findBehindLauncher(
	file: string,
	env: NodeJS.ProcessEnv,
): Promise<Executable | undefined> {
	const launcher = await findLauncher(await realpath(file));
	const root = path.dirname(path.dirname(launcher));
	if (!/node_modules[\\/]@openai[\\/]codex$/.test(root)) return undefined;
	const source = (await readRegularFile(launcher, maxFileBytes)) ?? '';
	// A package manager puts the package of the platform below that of the launcher, or beside it; up to 0.98.0 there is none.
	const homes = source.includes(`@openai/codex-${platform}`)
		? [path.join(root, `node_modules/@openai/codex-${platform}`), `${root}-${platform}`]
		: [root];
	for (const home of homes) {
		for (const [program, extra] of layouts) {
			const folder = path.join(home, 'vendor', triples[platform] ?? '');
			const binary = path.join(folder, program, isWindows ? 'codex.exe' : 'codex');
			if (await findProblem('isFile', binary)) continue;
			return { file: binary, env: addVariables(env, source, root, path.join(folder, extra)) };
		}
	}
	return undefined;
}

/** The launcher that a script of npm or pnpm for a shell starts, by a path from its own folder; any other file is returned. */
async function findLauncher(file: string): Promise<string> {
	if (path.extname(file) === '.js') return file;
	const script = (await readRegularFile(file, maxFileBytes)) ?? '';
	const [, launcher] = /"(?:\$basedir|%~?dp0%?)[\\/]([^"]+[\\/]codex\.js)"/.exec(script) ?? [];
	return launcher ? realpath(path.join(path.dirname(file), launcher)) : file;
}

/** Repeats what the launcher does, of which releases do more or less. */
function addVariables(
	env: NodeJS.ProcessEnv,
	source: string,
	root: string,
	extraFolder: string,
): NodeJS.ProcessEnv {
	const result = { ...env };
	for (const [, name = ''] of source.matchAll(/delete env\.(\w+)/g)) delete result[name];
	const manager = `CODEX_MANAGED_BY_${nameManager(root, env)}`;
	result[source.includes(manager) ? manager : 'CODEX_MANAGED_BY_NPM'] = '1';
	if (source.includes('CODEX_MANAGED_PACKAGE_ROOT')) result.CODEX_MANAGED_PACKAGE_ROOT = root;
	if (source.includes('getUpdatedPath')) {
		const name = findSpelling(env, 'PATH');
		const folders = [extraFolder, ...(env[name] ?? '').split(path.delimiter)];
		result[name] = folders.filter(Boolean).join(path.delimiter);
	}
	return result;
}

/** The launcher works out its package manager, and tells the binary in a variable. */
function nameManager(root: string, env: NodeJS.ProcessEnv): string {
	if (/[\\/]\.pnpm[\\/]/.test(root)) return 'PNPM';
	const isBun =
		/[\\/]\.bun[\\/]install[\\/]global[\\/]/.test(root) ||
		`${env.npm_config_user_agent} ${env.npm_execpath}`.includes('bun');
	return isBun ? 'BUN' : 'NPM';
}
