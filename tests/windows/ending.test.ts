import { expect, test } from 'vitest';
import {
	endAll,
	findLeft,
	makeAppServer,
	makeCommand,
	nodeProgram,
	runHost,
	startHost,
	type Timed,
	toWindows,
} from './wine.js';

const system = 'C:\\windows\\system32';

const listAndClose = `
	const catalog = new CodexModelCatalog({ deadlineMs: 10_000, retries: 0, ...facts.options });
	report(await time(catalog.list().then((models) => models.map(({ id }) => id))));
	report(await time(catalog.close()));
`;

/** The SIGKILL step comes 1.2 s after `close()`; a failed taskkill and a bounded wait follow. */
const boundMs = 5_000;

for (const { taskkill, env } of [
	{ taskkill: 'works', env: { PATH: system } },
	{ taskkill: 'exits with code 1', env: { PATH: system, TASKKILL_FAILS: '1' } },
	{ taskkill: 'is missing', env: { PATH: 'C:\\', SystemRoot: 'C:\\no-such-folder' } },
]) {
	test(`close() resolves and a deaf app-server is gone where taskkill ${taskkill}`, async () => {
		const { args } = makeAppServer('deaf');
		const facts = { options: { command: nodeProgram, args } };
		// The host goes on after close(), so that its own exit does not end the app-server.
		const source = `${listAndClose}
			await new Promise((resolve) => setTimeout(resolve, 15_000));
		`;
		const host = startHost<Timed<string[]>>(source, { env, facts });
		await expect.poll(() => host.reportsSoFar().length, { timeout: 20_000 }).toBe(2);
		const left = await findLeft(0);
		host.kill();

		expect(host.reportsSoFar()).toMatchObject([
			{ outcome: 'resolved', value: ['gpt-windows'] },
			{ outcome: 'resolved' },
		]);
		expect(host.reportsSoFar()[1]?.elapsedMs).toBeLessThan(boundMs);
		expect(left.filter(({ commandLine }) => commandLine.includes('app-server.mjs'))).toEqual([]);
		await host.done;
	});
}

test('close() ends a deaf app-server behind cmd.exe', async () => {
	const folder = makeCommand(makeAppServer('deaf'));
	const { reports } = await runHost<Timed<string[]>>(listAndClose, {
		env: { PATH: `${system};${toWindows(folder)}` },
	});

	expect(reports).toMatchObject([
		{ outcome: 'resolved', value: ['gpt-windows'] },
		{ outcome: 'resolved' },
	]);
	expect(reports[1]?.elapsedMs).toBeLessThan(boundMs);
	expect(await findLeft()).toEqual([]);
});

test('close() resolves where a failing taskkill leaves a deaf app-server behind cmd.exe', async () => {
	const folder = makeCommand(makeAppServer('deaf'));
	const { reports } = await runHost<Timed<string[]>>(listAndClose, {
		env: { PATH: `${system};${toWindows(folder)}`, TASKKILL_FAILS: '1' },
	});

	expect(reports).toMatchObject([
		{ outcome: 'resolved', value: ['gpt-windows'] },
		{ outcome: 'resolved' },
	]);
	expect(reports[1]?.elapsedMs).toBeLessThan(boundMs);
	// Only taskkill reaches a program that cmd.exe started; the README names this limit.
	await endAll();
});

const endings = [
	{ way: 'calls process.exit()', source: 'process.exit(0);', exitCode: 0 },
	{ way: 'throws an error', source: 'throw new Error("the end");', exitCode: 1 },
	{ way: 'returns', source: '', exitCode: 0 },
];

for (const { way, source, exitCode } of endings) {
	test(`a host that ${way} leaves no deaf app-server behind cmd.exe`, async () => {
		const folder = makeCommand(makeAppServer('deaf'));
		const host = startHost(`await new CodexModelCatalog().list();\n${source}`, {
			env: { PATH: `${system};${toWindows(folder)}` },
		});

		expect(await host.done).toMatchObject({ exitCode });
		expect(await findLeft()).toEqual([]);
	});
}

test('a host that exits during a fetch leaves no deaf app-server behind cmd.exe', async () => {
	const appServer = makeAppServer('stalls');
	const folder = makeCommand(appServer);
	const source = `
		new CodexModelCatalog().list().catch(() => {});
		setTimeout(() => process.exit(0), 1_500);
	`;
	const host = await runHost(source, { env: { PATH: `${system};${toWindows(folder)}` } });

	expect(appServer.starts).toHaveLength(1);
	expect(host.elapsedMs).toBeLessThan(8_000);
	expect(await findLeft()).toEqual([]);
});

test('a host that is killed leaves no app-server that exits at the end of its input', async () => {
	const appServer = makeAppServer('answers');
	const source = `
		await new CodexModelCatalog({ keepAliveMs: 60_000 }).list();
		report('listed');
		setInterval(() => {}, 1_000);
	`;
	const folder = makeCommand(appServer);
	const host = startHost(source, { env: { PATH: `${system};${toWindows(folder)}` } });
	await expect.poll(() => host.reportsSoFar(), { timeout: 20_000 }).toEqual(['listed']);
	host.kill();
	await host.done;

	expect(await findLeft()).toEqual([]);
});
