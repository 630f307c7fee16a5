import { spawnSync } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	realpathSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { resolveNativeBinary } from '../src/app-server/executable.js';
import { findExecutable, listFolders } from '../src/system/find-executable.js';
import { afterTest, makeDirectory, realCodex } from './harness.js';
import { pretendPlatform } from './pretend-platform.js';

vi.resetModules();
const load = () => import('../src/system/find-executable.js');
const onWindows = await pretendPlatform('win32', load);

const isPosix = process.platform !== 'win32';

/** A program that prints the name under which it runs. */
function writeProgram(file: string, mode = 0o755) {
	mkdirSync(path.dirname(file), { recursive: true });
	writeFileSync(file, '#!/bin/sh\necho "$0"\n');
	chmodSync(file, mode);
	return file;
}

/** A folder with a program. */
function makeProgram(mode?: number) {
	const folder = makeDirectory();
	return { folder, file: writeProgram(path.join(folder, 'program'), mode) };
}

test.runIf(isPosix)('the search takes the first program on PATH, and follows no link', async () => {
	const first = makeProgram();
	const second = makeProgram();
	const empty = makeDirectory();
	const find = (...folders: string[]) => findExecutable('program', { PATH: folders.join(':') });
	expect(await find(empty, `${empty}/gone`, first.folder, second.folder)).toBe(first.file);
	const link = path.join(empty, 'program');
	symlinkSync(second.file, link);
	expect(await find(empty, first.folder)).toBe(link);
	const files = [first.file, second.file, link];
	// Searches at the same time have a result each.
	const all = [...files, `${empty}/gone`].map((file) => findExecutable(file, {}).catch(String));
	expect(await Promise.all(all)).toEqual([...files, `Error: spawn ${empty}/gone ENOENT`]);
});

test.runIf(isPosix)('on Windows the search takes programs by their suffix', async () => {
	const folder = makeDirectory();
	const names = ['a', 'a.js', 'b.cmd', 'b.bat', 'c.cmd', 'd.com', 'd.exe', 'E.CMD', 'f.js'];
	for (const name of names) writeProgram(path.join(folder, name));
	const find = (name: string) =>
		onWindows.findExecutable(name, { Path: folder }).then(path.basename, ({ code }) => code);
	const commands = ['a', 'b', 'c', 'd', 'd.exe', 'E.CMD', 'f.js'];
	const found = ['ENOENT', 'b.bat', 'c.cmd', 'd.com', 'd.exe', 'E.CMD', 'ENOENT'];
	expect(await Promise.all(commands.map(find))).toEqual(found);
});

// A thread of mutation testing cannot change the working directory.
test.runIf(isPosix && isMainThread)(
	'the search skips empty and relative entries of PATH, and the current directory',
	async () => {
		const { folder, file } = makeProgram();
		const other = makeProgram();
		const before = process.cwd();
		afterTest(() => process.chdir(before));
		process.chdir(folder);
		const name = path.basename(folder);
		for (const PATH of ['', ':', '.', `:.:./:../${name}:`, `.:/nowhere`]) {
			await expect(findExecutable('program', { PATH })).rejects.toMatchObject({ code: 'ENOENT' });
			expect(await findExecutable('program', { PATH: `${PATH}:${other.folder}` })).toBe(other.file);
		}
		// A path is no name: the caller named the directory.
		for (const command of ['./program', `../${name}/program`, file])
			expect(await findExecutable(command, { PATH: '' })).toBe(file);
	},
);

test.runIf(isPosix)(
	'the search goes on behind a folder and a file that may not be run, and tells of those in the end',
	async () => {
		const plain = makeProgram(0o644);
		const withFolder = makeDirectory();
		mkdirSync(path.join(withFolder, 'program'));
		const good = makeProgram();
		const find = (...folders: string[]) => findExecutable('program', { PATH: folders.join(':') });
		expect(await find(plain.folder, withFolder, good.folder)).toBe(good.file);
		for (const folder of [plain.folder, withFolder])
			await expect(find('/nowhere', folder, '/gone')).rejects.toMatchObject({ code: 'EACCES' });
		const missing = { code: 'ENOENT', folders: [] };
		for (const command of [path.join(plain.file, 'below'), '/nowhere/program'])
			await expect(findExecutable(command, {})).rejects.toMatchObject(missing);
	},
);

test.runIf(isPosix)('without a PATH the search looks into the folders of the system', async () => {
	expect(await findExecutable('sh', {})).toMatch(/^\/(?:usr\/)?bin\/sh$/);
	await expect(findExecutable('sh', { PATH: '' })).rejects.toMatchObject({ code: 'ENOENT' });
});

/** On Linux, unless the machine has a Codex for all users, which would be found first. */
const isFree =
	process.platform === 'linux' &&
	!['/home/linuxbrew/.linuxbrew/bin', '/usr/local/bin', '/usr/lib/chatgpt/resources'].some(
		(folder) => existsSync(`${folder}/codex`),
	);
const npmPackage = 'lib/node_modules/@openai/codex/bin/codex.js';
const bunPackage = 'install/global/node_modules/@openai/codex/bin/codex.js';

test.runIf(isFree).each([
	["OpenAI's installer", '.local/bin', '.codex/packages/standalone/current/bin/codex', ''],
	['npm with a folder of its own', '.npm-global/bin', `.npm-global/${npmPackage}`, ''],
	['npm with a prefix', 'a/bin', `a/${npmPackage}`, 'NPM_CONFIG_PREFIX=a'],
	['npm with a prefix in lower case', 'a/bin', `a/${npmPackage}`, 'npm_config_prefix=a'],
	['npm of nvm', '.nvm/versions/node/v22.1.0/bin', `.nvm/versions/node/v22.1.0/${npmPackage}`, ''],
	['Volta', '.volta/bin', '.volta/bin/volta-shim', ''],
	['Volta in a folder', 'a/bin', 'a/bin/volta-shim', 'VOLTA_HOME=a'],
	['Bun', '.bun/bin', `.bun/${bunPackage}`, ''],
	['Bun in a folder', 'a/bin', `a/${bunPackage}`, 'BUN_INSTALL=a'],
	['pnpm', '.local/share/pnpm/bin', undefined, ''],
	['pnpm before 11', '.local/share/pnpm', undefined, ''],
	['pnpm in a folder', 'a/bin', undefined, 'PNPM_HOME=a'],
	['pnpm before 11 in a folder', 'a', undefined, 'PNPM_HOME=a'],
])('codex is found where %s puts it, and starts there', async (_, folder, target, variable) => {
	const HOME = makeDirectory();
	const file = path.join(HOME, folder, 'codex');
	if (target) {
		mkdirSync(path.dirname(file), { recursive: true });
		symlinkSync(writeProgram(path.join(HOME, target)), file);
	} else writeProgram(file);
	const [name = '', value = ''] = variable.split('=');
	const environment = { HOME, PATH: makeDirectory(), [name]: path.join(HOME, value) };
	const found = await findExecutable('codex', environment);
	expect(spawnSync(found, { encoding: 'utf8' }).stdout).toBe(`${file}\n`);
	// A codex on PATH comes first.
	const first = writeProgram(path.join(environment.PATH, 'codex'));
	expect(await findExecutable('codex', environment)).toBe(first);
});

test.runIf(isFree)('of the versions of nvm, the last installed codex counts', async () => {
	const HOME = makeDirectory();
	const locate = (version: string) => path.join(HOME, '.nvm/versions/node', version, 'bin/codex');
	for (const [version, time] of Object.entries({ v9: 1, v22: 3, v20: 2 }))
		utimesSync(writeProgram(locate(version)), time, time);
	mkdirSync(path.dirname(locate('v24')), { recursive: true });
	expect(await findExecutable('codex', { HOME, PATH: '' })).toBe(locate('v22'));
});

test.runIf(isFree)("npm's codex runs where PATH has neither it nor Node", async () => {
	const environment = { HOME: makeDirectory(), PATH: makeDirectory() };
	const file = path.join(environment.HOME, '.npm-global/bin/codex');
	mkdirSync(path.dirname(file), { recursive: true });
	symlinkSync(realpathSync(realCodex), file);
	expect(await findExecutable('codex', environment)).toBe(file);
	const native = await resolveNativeBinary(file);
	const { stdout } = spawnSync(native, ['--version'], { env: environment, encoding: 'utf8' });
	expect(stdout).toMatch(/^codex-cli /);
});

test.runIf(isPosix)('a search skips relative folders, also those of variables', () => {
	const PATH = ['.', '', 'tools', '"/quoted"', '/usr/local/bin', '/a', '/a'];
	const environment = { PATH: PATH.join(':'), HOME: '/a', PNPM_HOME: 'pnpm', BUN_INSTALL: '' };
	const onPath = ['/quoted', '/usr/local/bin', '/a'];
	expect(listFolders('other', environment)).toEqual(onPath);
	const folders = listFolders('codex', environment);
	expect(folders.slice(0, 3)).toEqual(onPath);
	expect(folders).toContain('/a/.volta/bin');
	for (const folder of folders) expect(folder).toMatch(/^\/(?!bin$)[^$?~]+$/);
});

test.runIf(isFree)('the error for a missing codex names the folders of the search', async () => {
	const search = findExecutable('codex', { PATH: '/first', HOME: '/nowhere' });
	const folders = expect.arrayContaining(['/first', '/nowhere/.bun/bin']);
	await expect(search).rejects.toMatchObject({ code: 'ENOENT', folders });
});
