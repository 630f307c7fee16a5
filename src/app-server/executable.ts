import { realpath } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { isWindows } from '../system/environment.js';
import { readRegularFile } from '../system/files.js';
import { findProblem } from '../system/find-executable.js';

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

/** The largest script that is read, in bytes; those of package managers have 2,000. */
const maxScriptBytes = 256 * 1024;

/**
 * Resolves the npm launcher to the native binary behind it. The launcher is a Node script that only starts the binary, which
 * takes about half of a cold call; on Windows a shell is saved, too. Where anything is not as the launchers of 0.66.0 to
 * 0.171.0 have it, the result is the file itself.
 */
export async function resolveNativeBinary(file: string): Promise<string> {
	try {
		const launcher = await findLauncher(await realpath(file));
		if (!/node_modules[\\/]@openai[\\/]codex[\\/]bin[\\/]codex\.js$/.test(launcher)) return file;
		const root = path.dirname(path.dirname(launcher));
		// Up to 0.98.0 the package of the launcher holds the binary. Since then that of the platform does, which a package
		// manager puts below the other, or beside it.
		const homes = [root, `${root}/node_modules/@openai/codex-${platform}`, `${root}-${platform}`];
		for (const home of homes) {
			const vendor = path.join(home, 'vendor', triples[platform] ?? '');
			// Since 0.136.0, and before.
			for (const folder of ['bin', 'codex']) {
				const binary = path.join(vendor, folder, isWindows ? 'codex.exe' : 'codex');
				if (!(await findProblem('isFile', binary))) return binary;
			}
		}
	} catch {
		// The file is missing, or is too large for a script.
	}
	return file;
}

/** The launcher that a script of npm or pnpm for a shell starts, by a path from its own folder; any other file is returned. */
async function findLauncher(file: string) {
	if (path.extname(file) === '.js') return file;
	const script = (await readRegularFile(file, maxScriptBytes)) ?? '';
	const [, launcher] = /"(?:\$basedir|%~?dp0%?)[\\/]([^"]+[\\/]codex\.js)"/.exec(script) ?? [];
	return launcher ? realpath(path.join(path.dirname(file), launcher)) : file;
}
