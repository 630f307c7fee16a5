import { copyFileSync, linkSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	drive,
	listed,
	makeAppServer,
	makeCommand,
	makeFolder,
	nodeProgram,
	readLines,
	runListAndClose,
	systemFolder,
	toWindows,
} from './wine.js';

/** Writes the files that `npm install --global @openai/codex` puts into a folder; `codex.exe` is Node. Returns its path. */
function makeNpmCommand(folder: string): string {
	const scope = path.join(folder, 'node_modules', '@openai');
	const launcher = path.join(scope, 'codex', 'bin', 'codex.js');
	const vendor = path.join('vendor', 'x86_64-pc-windows-msvc', 'bin');
	const program = path.join(scope, 'codex-win32-x64', vendor, 'codex.exe');
	for (const file of [launcher, program]) mkdirSync(path.dirname(file), { recursive: true });
	const files = {
		'codex/package.json': '{ "name": "@openai/codex", "version": "0.169.0" }',
		'codex/bin/codex.js': '// It looks for "@openai/codex-win32-x64".\nprocess.exit(7);\n',
		'codex-win32-x64/package.json': '{ "name": "@openai/codex-win32-x64" }',
		'../../codex': '#!/bin/sh\nexit 7\n',
		'../../codex.cmd': `@"${nodeProgram}" "%~dp0\\node_modules\\@openai\\codex\\bin\\codex.js" %*\r\n`,
	};
	for (const [name, text] of Object.entries(files)) writeFileSync(path.join(scope, name), text);
	linkSync(path.join(drive, 'node', 'node.exe'), program);
	return toWindows(program);
}

for (const command of ['no-such-codex', 'C:\\no such folder\\codex.cmd']) {
	test(`the command ${command} rejects with ERR_CODEX_NOT_FOUND within 2 s, and close() resolves`, async () => {
		const [list, close] = await runListAndClose({ command });
		expect(list.error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND' });
		expect(close.outcome).toBe('resolved');
		for (const { elapsedMs } of [list, close]) expect(elapsedMs).toBeLessThan(2_000);
	});
}

for (const { where, entries } of [
	{ where: 'that PATH does not name', entries: [] },
	{ where: 'that an empty entry of PATH stands for', entries: ['', ''] },
	{ where: 'that a relative entry of PATH stands for', entries: ['.'] },
]) {
	test(`a codex.cmd in a current directory ${where} is not run before the one on PATH`, async () => {
		const appServer = makeAppServer('answers');
		const cwd = makeFolder();
		makeNpmCommand(cwd);
		const folder = makeFolder();
		const program = makeNpmCommand(folder);
		const env = { PATH: [...entries, toWindows(folder)].join(';') };
		const reports = await runListAndClose({ args: appServer.args }, { cwd, env });
		expect(reports).toMatchObject(listed);
		expect(appServer.starts.map((start) => start.program)).toEqual([program]);
	});
}

test('a codex.cmd in the current directory alone counts as not found', async () => {
	const appServer = makeAppServer('answers');
	const cwd = makeFolder();
	makeNpmCommand(cwd);
	const env = { PATH: `.;;${systemFolder}` };
	const [{ error }] = await runListAndClose({ args: appServer.args }, { cwd, env });
	expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND' });
	expect(appServer.starts).toEqual([]);
});

test('a taskkill.exe in the current directory or on PATH is not run in place of the one of Windows', async () => {
	const cwd = makeFolder();
	// Copies of this program report their folder in the file that TASKKILL_LOG names.
	const taskkill = path.join(drive, 'windows', 'system32', 'taskkill.exe');
	copyFileSync(taskkill, path.join(cwd, 'taskkill.exe'));
	const log = path.join(makeFolder(), 'taskkill');
	const folder = makeCommand(makeAppServer('deaf'));
	const PATH = [toWindows(cwd), toWindows(folder), systemFolder].join(';');
	const env = { PATH, TASKKILL_LOG: toWindows(log) };
	expect(await runListAndClose({}, { cwd, env })).toMatchObject(listed);
	const runs = readLines(log).map((line) => line.toLowerCase());
	expect(new Set(runs)).toEqual(new Set(['c:\\windows\\system32\\taskkill.exe']));
});

test('a codex.cmd of npm in a folder with a space and an umlaut resolves to the codex.exe behind it', async () => {
	const appServer = makeAppServer('answers');
	const folder = makeFolder('Grüße von npm');
	const program = makeNpmCommand(folder);
	const env = { PATH: `${systemFolder};${toWindows(folder)}` };
	expect(await runListAndClose({ args: appServer.args }, { env })).toMatchObject(listed);
	expect(appServer.starts).toMatchObject([{ program }]);
});
