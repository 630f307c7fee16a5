import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	makeAppServer,
	makeCommand,
	makeFolder,
	makeNpmCommand,
	runHost,
	type Timed,
	taskkillFile,
	toWindows,
} from './wine.js';

type Ids = string[];

/** Lists the models with `args`, then closes the catalog. */
const listAndClose = `
	const catalog = new CodexModelCatalog({ deadlineMs: 10_000, retries: 0, ...facts.options });
	report(await time(catalog.list().then((models) => models.map(({ id }) => id))));
	report(await time(catalog.close()));
`;

test('an unknown command rejects with ERR_CODEX_NOT_FOUND within 2 s, and close() resolves', async () => {
	const source = `
		const catalog = new CodexModelCatalog({ command: 'no-such-codex' });
		report(await time(catalog.list()));
		report(await time(catalog.close()));
	`;
	const { reports } = await runHost<Timed<Ids>>(source);

	expect(reports).toMatchObject([
		{ error: { code: 'ERR_CODEX_NOT_FOUND' } },
		{ outcome: 'resolved' },
	]);
	expect(reports[0]?.elapsedMs).toBeLessThan(2_000);
	expect(reports[1]?.elapsedMs).toBeLessThan(2_000);
});

test('an unknown path of a program rejects with ERR_CODEX_NOT_FOUND', async () => {
	const facts = { options: { command: 'C:\\no such folder\\codex.cmd' } };
	const { reports } = await runHost<Timed<Ids>>(listAndClose, { facts });

	expect(reports).toMatchObject([
		{ error: { code: 'ERR_CODEX_NOT_FOUND' } },
		{ outcome: 'resolved' },
	]);
});

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

		const { reports } = await runHost<Timed<Ids>>(listAndClose, {
			cwd,
			env: { PATH: [...entries, toWindows(folder)].join(';') },
			facts: { options: { args: appServer.args } },
		});

		expect(reports[0]).toMatchObject({ outcome: 'resolved', value: ['gpt-windows'] });
		expect(appServer.starts.map((start) => start.program)).toEqual([program]);
	});
}

test('a codex.cmd in the current directory alone counts as not found', async () => {
	const appServer = makeAppServer('answers');
	const cwd = makeFolder();
	makeNpmCommand(cwd);

	const { reports } = await runHost<Timed<Ids>>(listAndClose, {
		cwd,
		env: { PATH: '.;;C:\\windows\\system32' },
		facts: { options: { args: appServer.args } },
	});

	expect(reports[0]).toMatchObject({ error: { code: 'ERR_CODEX_NOT_FOUND' } });
	expect(appServer.starts).toEqual([]);
});

test('a taskkill.exe in the current directory or on PATH is not run in place of the one of Windows', async () => {
	const appServer = makeAppServer('deaf');
	const cwd = makeFolder();
	copyFileSync(taskkillFile, path.join(cwd, 'taskkill.exe'));
	const log = path.join(makeFolder(), 'taskkill');

	const { reports } = await runHost<Timed<Ids>>(listAndClose, {
		cwd,
		env: {
			PATH: [toWindows(cwd), toWindows(makeCommand(appServer)), 'C:\\windows\\system32'].join(';'),
			TASKKILL_LOG: toWindows(log),
		},
	});

	expect(reports).toMatchObject([{ outcome: 'resolved' }, { outcome: 'resolved' }]);
	const runs = existsSync(log)
		? readFileSync(log, 'utf8').toLowerCase().split(/\r?\n/).filter(Boolean)
		: [];
	expect(new Set(runs)).toEqual(new Set(['c:\\windows\\system32\\taskkill.exe']));
});

test('a codex.cmd of npm in a folder with a space and an umlaut resolves to the codex.exe behind it', async () => {
	const appServer = makeAppServer('answers');
	const folder = makeFolder('Grüße von npm');
	const program = makeNpmCommand(folder);

	const { reports } = await runHost<Timed<Ids>>(listAndClose, {
		env: { PATH: `C:\\windows\\system32;${toWindows(folder)}` },
		facts: { options: { args: appServer.args } },
	});

	expect(reports[0]).toMatchObject({ outcome: 'resolved', value: ['gpt-windows'] });
	expect(appServer.starts).toMatchObject([{ program, managedByNpm: '1' }]);
});
