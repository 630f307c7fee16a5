import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findExecutable } from '../../src/system/find-executable.js';
import { afterTest, makeDirectory } from '../harness.js';

const isPosix = process.platform !== 'win32';

/** A folder with a program. */
function makeProgram(name = 'codex', mode = 0o755) {
	const folder = makeDirectory();
	const file = path.join(folder, name);
	writeFileSync(file, '#!/bin/sh\n');
	chmodSync(file, mode);
	return { folder, file };
}

test.runIf(isPosix)('the search takes the first program on PATH, and follows no link', async () => {
	const first = makeProgram();
	const second = makeProgram();
	const empty = makeDirectory();
	const find = (...folders: string[]) => findExecutable('codex', { PATH: folders.join(':') });
	expect(await find(empty, `${empty}/gone`, first.folder, second.folder)).toBe(first.file);
	const link = path.join(empty, 'codex');
	symlinkSync(second.file, link);
	expect(await find(empty, first.folder)).toBe(link);
});

test.runIf(isPosix)(
	'the search skips empty and relative entries of PATH, and the current directory',
	async () => {
		const { folder, file } = makeProgram();
		const other = makeProgram();
		const before = process.cwd();
		afterTest(() => process.chdir(before));
		process.chdir(folder);
		const name = path.basename(folder);
		for (const PATH of ['', ':', '.', `:.:./:../${name}:`, `.:/nowhere`]) {
			await expect(findExecutable('codex', { PATH })).rejects.toMatchObject({ code: 'ENOENT' });
			expect(await findExecutable('codex', { PATH: `${PATH}:${other.folder}` })).toBe(other.file);
		}
		// A path is no name: the caller named the directory.
		for (const command of ['./codex', `../${name}/codex`, file])
			expect(await findExecutable(command, { PATH: '' })).toBe(file);
	},
);

test.runIf(isPosix)(
	'the search goes on behind a folder and a file that may not be run, and tells of those in the end',
	async () => {
		const plain = makeProgram('codex', 0o644);
		const withFolder = makeDirectory();
		mkdirSync(path.join(withFolder, 'codex'));
		const good = makeProgram();
		const find = (...folders: string[]) => findExecutable('codex', { PATH: folders.join(':') });
		expect(await find(plain.folder, withFolder, good.folder)).toBe(good.file);
		for (const folder of [plain.folder, withFolder]) {
			await expect(find('/nowhere', folder, '/gone')).rejects.toMatchObject({ code: 'EACCES' });
		}
		await expect(findExecutable(path.join(plain.file, 'below'), {})).rejects.toMatchObject({
			code: 'ENOENT',
		});
		await expect(findExecutable('/nowhere/codex', {})).rejects.toMatchObject({ code: 'ENOENT' });
	},
);

test.runIf(isPosix)('without a PATH the search looks into the folders of the system', async () => {
	expect(await findExecutable('sh', {})).toMatch(/^\/(?:usr\/)?bin\/sh$/);
	await expect(findExecutable('sh', { PATH: '' })).rejects.toMatchObject({ code: 'ENOENT' });
});
