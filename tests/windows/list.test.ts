import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	findLeft,
	makeAppServer,
	makeCommand,
	makeFolder,
	nodeProgram,
	runHost,
	type Timed,
	toWindows,
} from './wine.js';

type Ids = string[];

const list = `
	const catalog = new CodexModelCatalog({ deadlineMs: 10_000, ...facts.options });
	report(await time(catalog.list().then((models) => models.map(({ id }) => id))));
	report(await time(catalog.close()));
`;

test('list() returns the models of a program that is started directly', async () => {
	const appServer = makeAppServer('answers');
	const { reports } = await runHost<Timed<Ids>>(list, {
		facts: { options: { command: nodeProgram, args: appServer.args } },
	});

	expect(reports).toMatchObject([
		{ outcome: 'resolved', value: ['gpt-windows'] },
		{ outcome: 'resolved' },
	]);
});

test('list() starts the path of a .cmd file in a folder with a space, an umlaut and cmd.exe characters', async () => {
	const appServer = makeAppServer('answers');
	const folder = makeCommand(appServer, makeFolder('Grüße & co (1)'));
	const args = [
		'app-server',
		'a b',
		'a & echo b',
		'say "hi"',
		'a|b',
		'a^b',
		'<x>',
		'',
		'C:\\a b\\',
		'!OS!',
	];
	const { reports } = await runHost<Timed<Ids>>(list, {
		facts: { options: { command: `${toWindows(folder)}\\codex.cmd`, args } },
	});

	expect(reports[0]).toMatchObject({ outcome: 'resolved', value: ['gpt-windows'] });
	expect(appServer.starts.map(({ rest }) => rest)).toEqual([args]);
});

test('list() rejects with the exit code in decimal and hex, and the last words on stderr', async () => {
	const appServer = makeAppServer('fails');
	const { reports } = await runHost<Timed<Ids>>(list, {
		facts: { options: { command: nodeProgram, args: appServer.args } },
	});

	expect(reports[0]).toMatchObject({
		error: {
			code: 'ERR_CODEX_EXITED',
			exitCode: 3_221_225_781,
			stderr: 'error: the database is locked',
		},
	});
	expect(reports[0]?.error.message).toContain('3221225781');
	expect(reports[0]?.error.message).toContain('0xC0000135');
	expect(reports[0]?.error.message).toContain('error: the database is locked');
});

test('list() rejects at its deadline where the app-server stalls, and close() ends the app-server', async () => {
	const folder = makeCommand(makeAppServer('stalls'));
	const { reports } = await runHost<Timed<Ids>>(list, {
		env: { PATH: `${toWindows(folder)};C:\\windows\\system32` },
		facts: { options: { deadlineMs: 1_000 } },
	});

	expect(reports).toMatchObject([
		{ error: { code: 'ERR_CODEX_TIMEOUT' } },
		{ outcome: 'resolved' },
	]);
	expect(reports[0]?.elapsedMs).toBeLessThan(2_500);
	expect(await findLeft()).toEqual([]);
});

test('the command line prints the models, and its second run starts no app-server', async () => {
	const appServer = makeAppServer('answers');
	const folder = makeCommand(appServer);
	const local = makeFolder();
	const source = `
		const { spawnSync } = await import('node:child_process');
		const fs = await import('node:fs');
		const manifest = new URL(import.meta.resolve('codex-models/package.json'));
		const { bin } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
		const { fileURLToPath } = await import('node:url');
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
	const { reports } = await runHost<{ status: number; stdout: string; stderr: string }>(source, {
		env: { PATH: `${toWindows(folder)};C:\\windows\\system32`, LOCALAPPDATA: toWindows(local) },
		facts: { folder: `${toWindows(makeFolder())}\\` },
	});

	expect(reports).toMatchObject([
		{ status: 0, stderr: '' },
		{ status: 0, stderr: '' },
	]);
	for (const { stdout } of reports)
		expect(JSON.parse(stdout)).toMatchObject([{ id: 'gpt-windows' }]);
	expect(appServer.starts).toHaveLength(1);
	expect(existsSync(path.join(local, 'codex-models', 'Cache'))).toBe(true);
});
