import { constants } from 'node:fs';
import { access, readFile, realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

/** What is started: a command, and its whole environment. */
export type Program = { command: string; env: NodeJS.ProcessEnv };

const triples: Record<string, string> = {
	'linux-x64': 'x86_64-unknown-linux-musl',
	'linux-arm64': 'aarch64-unknown-linux-musl',
	'darwin-x64': 'x86_64-apple-darwin',
	'darwin-arm64': 'aarch64-apple-darwin',
	'win32-x64': 'x86_64-pc-windows-msvc',
	'win32-arm64': 'aarch64-pc-windows-msvc',
};

/** Where the launcher looks below `vendor/TRIPLE`, and what it puts on PATH (0.66.0 to 0.100.0; since). */
const layouts = [
	{ program: 'bin', extra: 'codex-path' },
	{ program: 'codex', extra: 'path' },
];

/**
 * The real program behind the npm launcher, a Node script that does nothing but start it with some more variables and
 * takes about half of a cold call to do so; on Windows a shell is saved, too. Where anything is not as the launchers of
 * 0.66.0 to 0.169.0 have it, it is the command itself.
 */
export async function findProgram(command: string, env: NodeJS.ProcessEnv): Promise<Program> {
	try {
		return (await findBehindLauncher(command, env)) ?? { command, env };
	} catch {
		return { command, env };
	}
}

/** The file that a command stands for, links followed. */
export async function findFile(command: string, env: NodeJS.ProcessEnv): Promise<string> {
	if (process.platform !== 'win32' && command.includes('/')) {
		// A path needs no search, nor the 5 ms that its code takes to load (Node 20).
		await access(command, constants.X_OK);
		return realpath(command);
	}
	const { default: which } = await import('which');
	return realpath(await which(command, { path: env.PATH ?? env.Path ?? '' }));
}

async function findBehindLauncher(command: string, env: NodeJS.ProcessEnv): Promise<Program | undefined> {
	const launcher = await findLauncher(await findFile(command, env));
	const root = path.dirname(path.dirname(launcher));
	// How other package managers own it shows in a variable that the launcher works out from their files.
	if (!/node_modules[\\/]@openai[\\/]codex$/.test(root)) return undefined;
	if (
		/[\\/]\.(?:pnpm|bun)[\\/]/.test(root) ||
		`${env.npm_config_user_agent} ${env.npm_execpath}`.includes('bun')
	) {
		return undefined;
	}
	const [source, manifest] = await Promise.all([
		readFile(launcher, 'utf8'),
		readFile(path.join(root, 'package.json'), 'utf8'),
	]);
	const target = `${process.platform}-${process.arch}`;
	const triple = triples[target];
	if (JSON.parse(manifest).name !== '@openai/codex' || triple === undefined) return undefined;

	// Up to 0.98.0 or so everything was in the one package: another's, that happens to stand above it, is not its own.
	const isSplit = source.includes(`@openai/codex-${target}`);
	const platformPackage = isSplit ? findPlatformPackage(launcher, target) : undefined;
	const vendor = path.join(platformPackage ?? root, 'vendor', triple);
	const name = process.platform === 'win32' ? 'codex.exe' : 'codex';
	for (const { program, extra } of layouts) {
		const file = path.join(vendor, program, name);
		if (await isUsable(file, constants.X_OK)) {
			const folder = path.join(vendor, extra);
			const isOnPath = source.includes('getUpdatedPath') && (await isUsable(folder, constants.F_OK));
			return { command: file, env: addVariables(env, source, root, isOnPath ? folder : undefined) };
		}
	}
	return undefined;
}

/** npm's `codex.cmd` stands beside the packages of a prefix, or in the `.bin` among them. */
async function findLauncher(file: string): Promise<string> {
	if (process.platform !== 'win32' || path.extname(file).toLowerCase() !== '.cmd') return file;
	const folder = path.dirname(file);
	const packages =
		path.basename(folder) === '.bin' ? path.dirname(folder) : path.join(folder, 'node_modules');
	return realpath(path.join(packages, '@openai', 'codex', 'bin', 'codex.js'));
}

/** As the launcher finds it: Node's own resolution, from the launcher's place. */
function findPlatformPackage(launcher: string, target: string): string | undefined {
	try {
		return path.dirname(createRequire(launcher).resolve(`@openai/codex-${target}/package.json`));
	} catch {
		// Left out at the installation; the launcher looks into its own package then, too.
		return undefined;
	}
}

function addVariables(
	env: NodeJS.ProcessEnv,
	source: string,
	root: string,
	folder: string | undefined,
): NodeJS.ProcessEnv {
	const result: NodeJS.ProcessEnv = { ...env };
	for (const manager of ['NPM', 'BUN', 'PNPM', 'VITE_PLUS']) {
		if (source.includes(`delete env.CODEX_MANAGED_BY_${manager}`))
			delete result[`CODEX_MANAGED_BY_${manager}`];
	}
	result.CODEX_MANAGED_BY_NPM = '1';
	if (source.includes('CODEX_MANAGED_PACKAGE_ROOT')) result.CODEX_MANAGED_PACKAGE_ROOT = root;
	if (folder !== undefined) {
		const name = env.PATH === undefined && env.Path !== undefined ? 'Path' : 'PATH';
		result[name] = [folder, ...(env[name] ?? '').split(path.delimiter).filter(Boolean)].join(path.delimiter);
	}
	return result;
}

const isUsable = (file: string, mode: number) =>
	access(file, mode).then(
		() => true,
		() => false,
	);
