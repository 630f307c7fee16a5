import { realpath } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { findSpelling, isWindows, lookUp } from '../system/environment.js';
import { readRegularFile } from '../system/files.js';
import { findProblem } from '../system/find-executable.js';

export type Executable = { file: string; env: NodeJS.ProcessEnv };

const architectures: Record<string, string> = { x64: 'x86_64', arm64: 'aarch64' };
const systems: Record<string, string> = {
	linux: 'unknown-linux-musl',
	darwin: 'apple-darwin',
	win32: 'pc-windows-msvc',
};

/** The folders below `vendor/TRIPLE`: of the program, and of what the launcher puts on PATH (since 0.136.0; before). */
const layouts = [['bin', 'codex-path'] as const, ['codex', 'path'] as const];

/** The largest launcher or manifest that is read, in bytes; real ones have 9,000. */
const maxFileBytes = 256 * 1024;

/**
 * Resolves the npm launcher to the native binary behind it. The launcher is a Node script that adds some variables and starts
 * the binary, which takes about half of a cold call; on Windows a shell is saved, too. Where anything is not as the
 * launchers of 0.66.0 to 0.169.0 have it, the result is the file itself.
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
	const manifest = (await readRegularFile(path.join(root, 'package.json'), maxFileBytes)) ?? '';
	if (JSON.parse(manifest).name !== '@openai/codex') return undefined;

	// Up to 0.98.0 the binary was in the package itself: a platform package that happens to stand above is another's.
	const platformPackage = `@openai/codex-${process.platform}-${process.arch}`;
	const home =
		(source.includes(platformPackage) && (await findPackage(root, platformPackage))) || root;
	const vendor = path.join(
		home,
		'vendor',
		`${architectures[process.arch]}-${systems[process.platform]}`,
	);
	for (const [program, extra] of layouts) {
		const binary = path.join(vendor, program, isWindows ? 'codex.exe' : 'codex');
		if (await findProblem('isFile', binary)) continue;
		const folder = path.join(vendor, extra);
		const isOnPath =
			source.includes('getUpdatedPath') && !(await findProblem('isDirectory', folder));
		return { file: binary, env: addVariables(env, source, root, isOnPath ? [folder] : []) };
	}
	return undefined;
}

/** Behind npm's `codex.cmd`, beside the packages of a prefix or in the `.bin` among them, and behind pnpm's shell script. */
async function findLauncher(file: string): Promise<string> {
	const folder = path.dirname(file);
	if (path.extname(file) === '.js') return file;
	if (isWindows && path.extname(file).toLowerCase() === '.cmd') {
		const packages =
			path.basename(folder) === '.bin' ? path.dirname(folder) : path.join(folder, 'node_modules');
		return realpath(path.join(packages, '@openai', 'codex', 'bin', 'codex.js'));
	}
	const [, launcher] =
		/"\$basedir\/([^"]+\/codex\.js)"/.exec((await readRegularFile(file, maxFileBytes)) ?? '') ?? [];
	return launcher ? realpath(path.join(folder, launcher)) : file;
}

/** The launcher works out its package manager, and tells the binary in a variable. */
function nameManager(root: string, env: NodeJS.ProcessEnv): string {
	const isBun =
		/[\\/]\.bun[\\/]install[\\/]global[\\/]/.test(root) ||
		`${env.npm_config_user_agent} ${env.npm_execpath}`.includes('bun');
	if (/[\\/]\.pnpm[\\/]/.test(root)) return 'PNPM';
	return isBun ? 'BUN' : 'NPM';
}

/** Node's own resolution, by hand: `createRequire` is not there in every bundle and compiled executable. */
async function findPackage(from: string, name: string): Promise<string | undefined> {
	for (let folder = from; ; folder = path.dirname(folder)) {
		const candidate = path.join(folder, 'node_modules', name);
		if (!(await findProblem('isDirectory', candidate))) return candidate;
		if (folder === path.dirname(folder)) return undefined;
	}
}

function addVariables(
	env: NodeJS.ProcessEnv,
	source: string,
	root: string,
	extraFolders: string[],
): NodeJS.ProcessEnv {
	const result: NodeJS.ProcessEnv = { ...env };
	for (const manager of ['NPM', 'BUN', 'PNPM', 'VITE_PLUS']) {
		if (source.includes(`delete env.CODEX_MANAGED_BY_${manager}`))
			delete result[`CODEX_MANAGED_BY_${manager}`];
	}
	const manager = `CODEX_MANAGED_BY_${nameManager(root, env)}`;
	result[source.includes(manager) ? manager : 'CODEX_MANAGED_BY_NPM'] = '1';
	if (source.includes('CODEX_MANAGED_PACKAGE_ROOT')) result.CODEX_MANAGED_PACKAGE_ROOT = root;
	const folders = (lookUp(env, 'PATH') ?? '').split(path.delimiter).filter(Boolean);
	if (extraFolders.length > 0)
		result[findSpelling(env, 'PATH')] = [...extraFolders, ...folders].join(path.delimiter);
	return result;
}
