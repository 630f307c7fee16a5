import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	listed,
	makeAppServer,
	makeCommand,
	makeFolder,
	nodeProgram,
	runHost,
	runListAndClose,
	systemFolder,
	toWindows,
} from './wine.js';

test('list() starts the path of a .cmd file in a folder with a space, an umlaut and cmd.exe characters', async () => {
	const appServer = makeAppServer('answers');
	const folder = makeCommand(appServer, makeFolder('Grüße & co (1)'));
	const args = ['app-server', 'a b', 'a & echo b', 'say "hi"', 'a|b', 'a^b', '<x>', '', '!OS!'];
	args.push('C:\\a b\\');
	const command = `${toWindows(folder)}\\codex.cmd`;
	expect(await runListAndClose({ command, args })).toMatchObject(listed);
	expect(appServer.starts.map(({ rest }) => rest)).toEqual([args]);
});

test('list() rejects with the exit code in decimal and hex, and the last words on stderr', async () => {
	const { args } = makeAppServer('fails');
	const [{ error }] = await runListAndClose({ command: nodeProgram, args });
	const stderr = 'error: the database is locked';
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 3_221_225_781, stderr });
	for (const part of ['3221225781', '0xC0000135', stderr]) expect(error.message).toContain(part);
});

test('the command line prints the models, and its second run starts no app-server', async () => {
	const appServer = makeAppServer('answers');
	const folder = toWindows(makeCommand(appServer));
	const local = makeFolder();
	const source = `
		const { spawnSync } = await import('node:child_process');
		const { fileURLToPath } = await import('node:url');
		const manifest = new URL(import.meta.resolve('codex-models/package.json'));
		const { bin } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
		const file = fileURLToPath(new URL(bin['codex-models'], manifest));
		for (const run of [1, 2]) {
			// Output goes to a file: pipes of console programs are not reliable under Wine 8.
			const outputs = ['out', 'err'].map((name) => facts.folder + name);
			const stdio = outputs.map((name) => fs.openSync(name, 'w'));
			const { status } = spawnSync(process.execPath, [file, '--json'], { stdio: ['ignore', ...stdio] });
			const [stdout, stderr] = outputs.map((name) => fs.readFileSync(name, 'utf8'));
			report({ status, stdout, stderr });
		}
	`;
	const reports = await runHost(source, {
		env: { PATH: `${folder};${systemFolder}`, LOCALAPPDATA: toWindows(local) },
		facts: { folder: `${toWindows(makeFolder())}\\` },
	});
	expect(reports).toMatchObject([1, 2].map(() => ({ status: 0, stderr: '' })));
	for (const { stdout } of reports)
		expect(JSON.parse(stdout)).toMatchObject([{ id: 'gpt-windows' }]);
	expect(appServer.starts).toHaveLength(1);
	expect(existsSync(path.join(local, 'codex-models', 'Cache'))).toBe(true);
});
