import { expect, test } from 'vitest';
import {
	endAll,
	findCommandLines,
	findLeft,
	listAndClose,
	listed,
	makeAppServer,
	makeCommand,
	nodeProgram,
	runListAndClose,
	startHost,
	systemFolder,
	toWindows,
} from './wine.js';

/** The SIGKILL step comes 1.2 s after `close()`; a failed taskkill and a bounded wait follow. */
const boundMs = 5_000;

/** A PATH with a `codex.cmd` behind which this app-server is. */
const toPath = (appServer = makeAppServer('deaf')) =>
	`${systemFolder};${toWindows(makeCommand(appServer))}`;

for (const { taskkill, env } of [
	{ taskkill: 'works', env: { PATH: systemFolder } },
	{ taskkill: 'exits with code 1', env: { PATH: systemFolder, TASKKILL_FAILS: '1' } },
	{ taskkill: 'is missing', env: { PATH: 'C:\\', SystemRoot: 'C:\\no-such-folder' } },
]) {
	test(`close() resolves and a deaf app-server is gone where taskkill ${taskkill}`, async () => {
		const { args } = makeAppServer('deaf');
		const facts = { options: { command: nodeProgram, args } };
		// The host goes on after close(), so that its own exit does not end the app-server.
		const source = `${listAndClose}\nawait new Promise((resolve) => setTimeout(resolve, 15_000));`;
		const host = startHost(source, { env, facts });
		await host.untilReported(2);
		const left = findCommandLines();
		host.kill();

		expect(host.reportsSoFar()).toMatchObject(listed);
		expect(host.reportsSoFar()[1]?.elapsedMs).toBeLessThan(boundMs);
		expect(left.filter((line) => line.includes('app-server.mjs'))).toEqual([]);
		await host.done;
	});
}

test.each([
	['ends a deaf app-server', {}, false],
	// Only taskkill reaches a program that cmd.exe started; the README names this limit.
	['resolves where a failing taskkill leaves a deaf app-server', { TASKKILL_FAILS: '1' }, true],
])('close() %s behind cmd.exe', async (_way, env, isLeft) => {
	const reports = await runListAndClose({}, { env: { PATH: toPath(), ...env } });
	expect(reports).toMatchObject(listed);
	expect(reports[1].elapsedMs).toBeLessThan(boundMs);
	expect((await findLeft()).length > 0).toBe(isLeft);
	await endAll();
});

for (const { way, source, exitCode } of [
	{ way: 'calls process.exit()', source: 'process.exit(0);', exitCode: 0 },
	{ way: 'throws an error', source: 'throw new Error("the end");', exitCode: 1 },
	{ way: 'returns', source: '', exitCode: 0 },
]) {
	test(`a host that ${way} leaves no deaf app-server behind cmd.exe`, async () => {
		const env = { PATH: toPath() };
		const host = startHost(`await new CodexModelCatalog().list();\n${source}`, { env });
		expect(await host.done).toMatchObject({ exitCode });
		expect(await findLeft()).toEqual([]);
	});
}

test('a host that is killed leaves no app-server that exits at the end of its input', async () => {
	const source = `
		report(await listIds(new CodexModelCatalog({ keepAliveMs: 60_000 })));
		setInterval(() => {}, 1_000);
	`;
	const host = startHost(source, { env: { PATH: toPath(makeAppServer('answers')) } });
	await host.untilReported(1);
	host.kill();
	await host.done;
	expect(await findLeft()).toEqual([]);
});
