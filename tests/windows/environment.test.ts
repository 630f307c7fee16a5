import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	listAndClose,
	listed,
	makeAppServer,
	makeCommand,
	makeFolder,
	runHost,
	runListAndClose,
	systemFolder,
	toWindows,
} from './wine.js';

/** A folder with a `codex.cmd` behind which no app-server answers: the wrong one to find. */
const makeDecoy = () => toWindows(makeCommand(makeAppServer('fails')));

for (const name of ['PATH', 'Path', 'path']) {
	test(`the option env finds the command by the variable ${name}, laid over the host's PATH`, async () => {
		const folder = toWindows(makeCommand(makeAppServer('answers')));
		const reports = await runListAndClose(
			{ env: { [name]: folder } },
			{ env: { PATH: makeDecoy() } },
		);
		expect(reports).toMatchObject(listed);
	});

	test(`a worker thread finds the command by the variable ${name} of its own environment`, async () => {
		const folder = `${toWindows(makeCommand(makeAppServer('answers')))};${systemFolder}`;
		const source = `
			const { isMainThread, Worker } = await import('node:worker_threads');
			if (isMainThread) {
				const { SystemRoot } = process.env;
				const env = { SystemRoot, [facts.name]: facts.folder };
				await new Promise((resolve) => new Worker(new URL(import.meta.url), { env }).once('exit', resolve));
			} else {
				${listAndClose}
			}
		`;
		const reports = await runHost(source, { facts: { name, folder } });
		expect(reports).toMatchObject(listed);
	});
}

test('an app-server gets one PATH, however the option env spells the name', async () => {
	const appServer = makeAppServer('answers');
	const pAtH = `${toWindows(makeCommand(appServer))};${systemFolder}`;
	expect(await runListAndClose({ env: { pAtH } })).toMatchObject(listed);
	expect(appServer.starts).toMatchObject([{ path: pAtH }]);
});

test('the search ignores an extension of PATHEXT that Windows cannot start by itself', async () => {
	const folder = makeCommand(makeAppServer('answers'));
	const decoy = makeFolder();
	writeFileSync(path.join(decoy, 'codex.js'), 'process.exit(7);');
	writeFileSync(path.join(decoy, 'codex'), '#!/bin/sh\nexit 7\n');
	const PATH = `${toWindows(decoy)};"${toWindows(folder)}"`;
	const reports = await runListAndClose({}, { env: { PATH, PATHEXT: '.JS;.CMD;.EXE' } });
	expect(reports).toMatchObject(listed);
});
