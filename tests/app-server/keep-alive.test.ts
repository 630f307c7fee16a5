import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { timings } from '../../src/app-server/child-process.js';
import { failureOf, isAlive, makeCatalog, makeDirectory, neverMs, realCodex } from '../harness.js';
import { deaf, list, makeShellCatalog, refuse, say, setTimings } from './shell-server.js';

beforeEach(() => setTimings());

const keeps = { keepAliveMs: neverMs, retries: 0 };
const isFirst = (then: string, otherwise: string) =>
	`[ $n = 1 ] && { ${then}; } || { ${otherwise}; }`;
/** Lists once; the second request is met otherwise. The next app-server lists as usual. */
const listsOnce = (otherwise: string) => [
	{ list: isFirst(list('old'), otherwise) },
	{ list: list('new') },
];

test('fetches share a kept app-server, one connection and one initialize', async () => {
	const { refresh, log, starts, events } = makeShellCatalog([{}], keeps);
	for (let count = 0; count < 3; count++) expect(await refresh()).toEqual(['a']);
	expect(starts()).toBe(1);
	const round = ['model/list', 'config/read'];
	expect(log.methods()).toEqual(['initialize', 'initialized', ...round, ...round, ...round]);
	expect([events.count('spawned'), events.count('exited')]).toEqual([1, 0]);
});

test('the real Codex lists twice on one connection', async () => {
	const { catalog, events } = makeCatalog({
		keepAliveMs: neverMs,
		command: realCodex,
		codexHome: makeDirectory(),
	});
	// Codex makes files in a new home, so that its first app-server is not kept.
	await catalog.list();
	const first = await catalog.list({ refresh: true });
	const { length: starts } = events.ofType('spawned');
	expect(await catalog.list({ refresh: true })).toBe(first);
	expect(first.length).toBeGreaterThan(1);
	expect(events.count('spawned')).toBe(starts);
});

test('each target has an app-server of its own, and one that starts makes room in its CODEX_HOME', async () => {
	const { refresh, starts, events } = makeShellCatalog([{}], keeps);
	const [one, two] = [{ codexHome: makeDirectory() }, { codexHome: makeDirectory() }];
	for (const target of [one, two, one, two]) await refresh(target);
	expect([starts(), events.count('exited')]).toEqual([2, 0]);
	await refresh({ ...one, cwd: '/tmp' });
	expect(await events.nth('exited')).toMatchObject({ pid: events.ofType('spawned')[0]?.pid });
	await refresh(two);
	expect(starts()).toBe(3);
});

test('an app-server is kept for keepAliveMs after its last answer, by a timer that keeps nothing alive', async () => {
	const { refresh, starts, events } = makeShellCatalog([{}], { keepAliveMs: 1_234 });
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	await refresh();
	const keepTimers = () =>
		setTimeout.mock.calls.flatMap(([step, ms], index) =>
			ms === 1_234
				? { step: step as () => void, timer: setTimeout.mock.results[index]?.value }
				: [],
		);
	expect(keepTimers().map(({ timer }) => timer.hasRef())).toEqual([false]);
	await refresh();
	expect([keepTimers().length, starts()]).toEqual([2, 1]);
	expect(events.count('exited')).toBe(0);
	keepTimers()[1]?.step();
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0, signal: null });
	await refresh();
	expect(starts()).toBe(2);
});

test('with another login, configuration or program the kept app-server is ended, and a new one is asked and kept', async () => {
	const commands = ['/bin/sh', '/bin/sh', '/bin/sh', '/bin/sh', '/bin/dash'];
	const { refresh, starts, events, home } = makeShellCatalog([{}], {
		...keeps,
		command: () => commands.shift() ?? '/bin/dash',
	});
	await refresh();
	const changes = [
		() => writeFileSync(path.join(home, 'auth.json'), '{"OPENAI_API_KEY":"other"}'),
		() => writeFileSync(path.join(home, 'config.toml'), 'model = "other"'),
	];
	for (const [index, change] of changes.entries()) {
		change();
		await refresh();
		const { pid } = await events.nth('exited', index + 1);
		expect(pid).toBe(events.ofType('spawned')[index]?.pid);
	}
	await refresh();
	expect(starts()).toBe(3);
	for (let count = 0; count < 2; count++) await refresh();
	expect(starts()).toBe(4);
});

test('a kept app-server that was ended is replaced, whether its end is known yet or not', async () => {
	for (const isKnown of [true, false]) {
		const { refresh, starts, events } = makeShellCatalog(
			[{ list: list('old') }, { list: list('new') }],
			keeps,
		);
		expect(await refresh()).toEqual(['old']);
		process.kill(events.ofType('spawned')[0]?.pid ?? 0, 'SIGKILL');
		if (isKnown) await events.nth('exited');
		expect(await refresh()).toEqual(['new']);
		expect([starts(), events.count('retried')]).toEqual([2, 0]);
	}
});

test('a kept app-server that ends because of the request is gone before a new one is asked, without a retry', async () => {
	const { refresh, events } = makeShellCatalog(listsOnce('exit 3'), keeps);
	await refresh();
	expect(await refresh()).toEqual(['new']);
	const processes = events.all.map(({ type }) => type).filter((type) => /ed$/.test(type));
	expect(processes).toEqual(['spawned', 'refreshed', 'exited', 'spawned', 'refreshed']);
});

test('a kept app-server that answers with an error is ended, and where it is overloaded, a new one is asked', async () => {
	for (const [code, hasFailed] of [
		[-32_600, true],
		[-32_001, false],
	] as const) {
		const { refresh, events } = makeShellCatalog(listsOnce(refuse({ code, message: 'no' })), {
			keepAliveMs: neverMs,
		});
		await refresh();
		const outcome = await refresh().catch(({ rpcCode }) => rpcCode);
		expect(outcome).toEqual(hasFailed ? code : ['new']);
		await events.nth('exited');
		expect(await refresh()).toEqual(['new']);
	}
});

test('a kept app-server that hangs is ended with its fetch, and the next fetch starts another', async () => {
	const { refresh, starts, events } = makeShellCatalog(listsOnce(deaf), {
		...keeps,
		fetchTimeoutMs: 3_000,
	});
	await refresh();
	const error = await failureOf(refresh());
	expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'model/list' });
	await events.nth('exited');
	expect(isAlive(events.ofType('spawned')[0]?.pid ?? 0)).toBe(false);
	expect(await refresh()).toEqual(['new']);
	expect(starts()).toBe(2);
});

test('the output and the requests of an idle app-server harm nothing', async () => {
	const idle = `${list('a')}; echo idle >&2; ${say('{"id":"x","method":"ask"}')}; ${say('noise')}`;
	const { refresh, starts } = makeShellCatalog([{ list: idle }], keeps);
	for (let count = 0; count < 3; count++) expect(await refresh()).toEqual(['a']);
	expect(starts()).toBe(1);
});

test('a built-in list does not keep its app-server, which would not complain again', async () => {
	const complaint = `echo 'ERROR failed to refresh available models: offline' >&2`;
	const { catalog, events } = makeShellCatalog([{ list: `${complaint}; ${list('a')}` }], keeps);
	for (let count = 1; count <= 2; count++) {
		const { warnings } = await catalog.read({ refresh: true });
		expect(warnings).toMatchObject([{ type: 'built-in-list' }]);
		await events.nth('exited', count);
	}
});

test('clear ends the kept app-servers, and the next fetch starts another', async () => {
	const { catalog, refresh, events } = makeShellCatalog(
		[{ list: list('old') }, { list: list('new') }],
		keeps,
	);
	await refresh();
	catalog.clear();
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0 });
	expect(await refresh()).toEqual(['new']);
});

test('clear does not keep the app-server of a fetch under way', async () => {
	const shells = [{ list: list('old') }, { list: list('new') }];
	const { catalog, refresh, events } = makeShellCatalog(shells, keeps);
	const answer = refresh();
	await events.nth('spawned');
	catalog.clear();
	expect(await answer).toEqual(['old']);
	expect(await refresh()).toEqual(['new']);
});

test('close ends the kept app-servers, also deaf ones', async () => {
	timings.gracefulShutdown = { endOfInputMs: neverMs, terminateMs: neverMs };
	const { catalog, refresh, events } = makeShellCatalog([{ end: deaf }], keeps);
	for (let count = 0; count < 2; count++) await refresh({ codexHome: makeDirectory() });
	await catalog.close();
	const pids = events.ofType('spawned').map(({ pid }) => pid);
	expect([pids.length, pids.filter(isAlive)]).toEqual([2, []]);
});
