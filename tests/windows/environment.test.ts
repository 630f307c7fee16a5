import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeAppServer, makeCommand, makeFolder, runHost, type Timed, toWindows } from './wine.js';

type Ids = string[];

const list = `time(new CodexModelCatalog({ retries: 0, deadlineMs: 10_000, ...facts.options }).list()
	.then((models) => models.map(({ id }) => id)))`;

/** A folder with a `codex.cmd` behind which nothing answers: the wrong one to find. */
const makeDecoy = () => toWindows(makeCommand(makeAppServer('fails')));

for (const name of ['PATH', 'Path', 'path']) {
	test(`the option env finds the command by the variable ${name}, laid over the host's PATH`, async () => {
		const folder = toWindows(makeCommand(makeAppServer('answers')));
		const { reports } = await runHost<Timed<Ids>>(`report(await ${list});`, {
			env: { PATH: makeDecoy() },
			facts: { options: { env: { [name]: folder } } },
		});

		expect(reports).toMatchObject([{ outcome: 'resolved', value: ['gpt-windows'] }]);
	});

	test(`a worker thread finds the command by the variable ${name} of its own environment`, async () => {
		const folder = `${toWindows(makeCommand(makeAppServer('answers')))};C:\\windows\\system32`;
		const source = `
			const { isMainThread, Worker } = await import('node:worker_threads');
			if (isMainThread) {
				const { SystemRoot } = process.env;
				const env = { SystemRoot, [facts.name]: facts.folder };
				await new Promise((resolve) => new Worker(new URL(import.meta.url), { env }).once('exit', resolve));
			} else {
				report(await ${list});
			}
		`;
		const { reports } = await runHost<Timed<Ids>>(source, { facts: { name, folder } });

		expect(reports).toMatchObject([{ outcome: 'resolved', value: ['gpt-windows'] }]);
	});
}

test('an app-server gets one PATH, however the option env spells the name', async () => {
	const appServer = makeAppServer('answers');
	const folder = toWindows(makeCommand(appServer));
	const all = `${folder};C:\\windows\\system32`;
	const source = `process.env.Path = 'C:\\\\old';\nreport(await ${list});`;
	const { reports } = await runHost<Timed<Ids>>(source, {
		facts: { options: { env: { pAtH: all } } },
	});

	expect(reports).toMatchObject([{ outcome: 'resolved', value: ['gpt-windows'] }]);
	expect(appServer.starts).toMatchObject([{ path: all }]);
});

test('the option env ignores an extension of PATHEXT that Windows cannot start by itself', async () => {
	const folder = makeCommand(makeAppServer('answers'));
	const decoy = makeFolder();
	writeFileSync(path.join(decoy, 'codex.js'), 'process.exit(7);');
	writeFileSync(path.join(decoy, 'codex'), '#!/bin/sh\nexit 7\n');
	const { reports } = await runHost<Timed<Ids>>(`report(await ${list});`, {
		env: { PATH: `${toWindows(decoy)};"${toWindows(folder)}"`, PATHEXT: '.JS;.CMD;.EXE' },
	});

	expect(reports).toMatchObject([{ outcome: 'resolved', value: ['gpt-windows'] }]);
});
