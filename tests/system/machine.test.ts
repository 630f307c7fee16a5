import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
	afterTest,
	failureOf,
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	neverMs,
	realCodex,
	type Step,
	script,
	until,
	untilGone,
} from '../harness.js';
import { type Lister, startLister } from '../hosts/start-lister.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];
const gatedLists = (gate: string, ...ids: string[]): Step => [
	'answers',
	{ models: ids.map((id) => ({ id })), gates: { 'model/list': gate } },
];

/** One scripted app-server, and as many hosts as are wanted, that share a file store in a new directory. */
function setUp(...steps: Step[]) {
	const server = script(...steps);
	const directory = makeDirectory();
	const codexHome = makeDirectory();
	const { command, args } = server;
	const start = (options: object = {}): Lister =>
		startLister({ options: { command, args, codexHome, retries: 0, ...options }, directory });
	const startAll = async (count: number, options: object = {}) => {
		const hosts = Array.from({ length: count }, () => start(options));
		await Promise.all(hosts.map((host) => host.untilReady()));
		return hosts;
	};
	return { server, directory, codexHome, start, startAll };
}

/** Which of them has started an app-server; how long that takes to come up is not the library's concern. */
const takenOver = (hosts: Lister[]) => Promise.any(hosts.map((host) => host.nth('spawned')));

/** Resolves when all of them want the lock that somebody holds: they have looked into the store, and it was empty. */
const untilBehindTheHolder = (hosts: Lister[]) =>
	Promise.all(hosts.map((host) => host.failsSoon()));

test('twenty processes that start at once start one app-server, and all have its list', async () => {
	const { server, startAll } = setUp(gatedLists('open', 'a', 'b'));
	const hosts = await startAll(20);
	const calls = hosts.map((host) => host.list());
	await server.untilAsked('model/list');
	// None of the others has one, however long the first takes.
	await untilBehindTheHolder(hosts);
	expect(server.starts).toBe(1);
	server.open('open');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a', 'b']);
	expect(server.starts).toBe(1);
	const snapshots = await Promise.all(hosts.map((host) => host.peek()));
	expect(new Set(snapshots.map(({ fetchedAt }) => fetchedAt)).size).toBe(1);
	expect(snapshots.every(({ isFresh }) => isFresh)).toBe(true);
	expect(
		hosts.flatMap(({ events }) => events).filter(({ type }) => /fail|retried/.test(type)),
	).toEqual([]);
});

test('processes that start at once with the real Codex and a new CODEX_HOME start one, and all have its list', async () => {
	const { directory, codexHome } = setUp(lists());
	const options = { command: realCodex, codexHome, retries: 0 };
	const hosts = Array.from({ length: 8 }, () => startLister({ options, directory }));
	await Promise.all(hosts.map((host) => host.untilReady()));
	const results = await Promise.all(hosts.map((host) => host.list()));
	expect(results[0]?.length).toBeGreaterThan(1);
	expect(new Set(results.map((ids) => ids.join())).size).toBe(1);
	expect(hosts.map((host) => host.count('spawned')).reduce((sum, count) => sum + count)).toBe(1);
});

test('a process that comes later starts nothing, and its list is as old as it is', async () => {
	const { server, start } = setUp(lists('a'));
	const one = start();
	expect(await one.list()).toEqual(['a']);
	const snapshot = await one.peek();
	// It does no more than most: it is done, and ends.
	one.leave();
	expect(await one.gone).toEqual({ exitCode: 0, signal: null });
	const other = start();
	expect(await other.list()).toEqual(['a']);
	expect(await other.peek()).toEqual(snapshot);
	expect(other.events.map(({ type }) => type)).toEqual(['loaded', 'miss']);
	expect(server.starts).toBe(1);
});

test('where the holder is killed another takes over within 5 s, and all get the list', async () => {
	const { server, start, startAll } = setUp(gatedLists('never', 'lost'), lists('a'));
	const holder = start();
	const lost = failureOf(holder.list());
	await server.untilAsked('model/list');
	const hosts = await startAll(5);
	const calls = hosts.map((host) => host.list());
	await untilBehindTheHolder(hosts);
	expect(server.starts).toBe(1);

	const killedAt = Date.now();
	holder.kill('SIGKILL');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	expect(server.starts).toBe(2);
	expect((await takenOver(hosts)).at - killedAt).toBeLessThan(5_000);
	await lost;
	await untilGone(...server.pids);
});

test('nor does it hold the others up that its app-server outlives it', async () => {
	const { server, start, startAll } = setUp(
		['answers', { gates: { 'model/list': 'never' }, ignores: ['end', 'SIGTERM'] }],
		lists('a'),
	);
	const holder = start();
	const lost = failureOf(holder.list());
	await server.untilAsked('model/list');
	const [orphan = 0] = server.pids;
	afterTest(() => process.kill(orphan, 'SIGKILL'));
	const hosts = await startAll(2);
	const calls = hosts.map((host) => host.list());
	await untilBehindTheHolder(hosts);

	const killedAt = Date.now();
	holder.kill('SIGKILL');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	expect(isAlive(orphan)).toBe(true);
	expect(server.starts).toBe(2);
	expect((await takenOver(hosts)).at - killedAt).toBeLessThan(5_000);
	await lost;
});

test('where one holder after the other is killed the last one gets the list', async () => {
	const { server, startAll } = setUp(
		gatedLists('never', 'lost'),
		gatedLists('never', 'lost'),
		gatedLists('never', 'lost'),
		lists('a'),
	);
	const hosts = await startAll(4);
	const calls = hosts.map((host) => host.list().catch(() => 'lost'));
	for (let killed = 1; killed <= 3; killed++) {
		await server.untilAsked('model/list', killed);
		const holder = hosts.find(({ events }) =>
			events.some((event) => event.type === 'spawned' && event.pid === server.pids.at(-1)),
		);
		if (!holder) throw new Error('Nobody has started it');
		holder.kill('SIGKILL');
		await holder.gone;
	}
	const outcomes = await Promise.all(calls);
	expect(outcomes.filter((outcome) => outcome === 'lost')).toHaveLength(3);
	expect(outcomes.filter((outcome) => outcome !== 'lost')).toEqual([['a']]);
	expect(server.starts).toBe(4);
	await untilGone(...server.pids);
});

test('what a process that was killed leaves behind blocks nobody', async () => {
	const { server, directory, start } = setUp(gatedLists('never', 'lost'), lists('a'));
	const holder = start();
	const lost = failureOf(holder.list());
	await server.untilAsked('model/list');
	holder.kill('SIGKILL');
	await holder.gone;
	await lost;
	expect(readdirSync(directory)).toEqual([expect.stringMatching(/\.lock$/)]);
	const next = start();
	expect(await next.list({ deadlineMs: 10_000 })).toEqual(['a']);
	expect(next.count('store-failed')).toBe(0);
	expect(server.starts).toBe(2);
});

test('a holder that lives and is stuck blocks a caller until its own deadline only', async () => {
	const { server, startAll } = setUp(gatedLists('open', 'a'));
	const [holder, other] = (await startAll(2)) as [Lister, Lister];
	const list = holder.list();
	await server.untilAsked('model/list');
	holder.kill('SIGSTOP');
	const failures = [
		other.list({ deadlineMs: 100 }),
		other.list({ refresh: true, deadlineMs: 300 }),
	];
	for (const failure of failures) {
		expect(await failureOf(failure)).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	}
	expect(other.events.map(({ type }) => type)).toEqual(['timed-out', 'timed-out']);
	expect(server.starts).toBe(1);

	// Their fetch has gone on, and gets what the holder brings.
	holder.kill('SIGCONT');
	server.open('open');
	expect(await list).toEqual(['a']);
	await other.nth('loaded');
	expect(await other.list()).toEqual(['a']);
});

test('a holder that is stuck does not keep a stale list from being served, nor a host from its end', async () => {
	const { server, start } = setUp(lists('old'), gatedLists('open', 'new'));
	const first = start();
	await first.list();
	await first.close();
	const holder = start();
	const list = holder.list({ refresh: true });
	await server.untilAsked('model/list', 2);
	const other = start({ maxAgeMs: 0 });
	expect(await other.list()).toEqual(['old']);
	expect(await failureOf(other.list({ refresh: true, deadlineMs: 50 }))).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
	});
	other.leave();
	expect(await other.gone).toEqual({ exitCode: 0, signal: null });
	expect(server.starts).toBe(2);
	server.open('open');
	expect(await list).toEqual(['new']);
});

test('with refresh: true only a list that is newer than the call is adopted', async () => {
	const { server, startAll } = setUp(lists('old'), gatedLists('open', 'new'));
	const [first, holder, other] = (await startAll(3)) as [Lister, Lister, Lister];
	expect(await first.list()).toEqual(['old']);
	const { fetchedAt } = await first.peek();
	await first.close();
	// Two answers of one millisecond are as new as each other.
	await until('the clock has moved on', () => Date.now() > fetchedAt);

	const list = holder.list({ refresh: true });
	await server.untilAsked('model/list', 2);
	// There is a fresh one in the store, which would do for any other call.
	const refreshed = other.list({ refresh: true });
	await other.failsSoon({ refresh: true });
	server.open('open');
	expect(await list).toEqual(['new']);
	expect(await refreshed).toEqual(['new']);
	await other.nth('loaded');
	expect(server.starts).toBe(2);
});

test('a holder whose fetch fails gives way to the next, one at a time', async () => {
	const { server, startAll } = setUp(
		['exits', { at: 'model/list', code: 1, gates: { 'model/list': 'open' } }],
		['exits', { at: 'model/list', code: 1 }],
		lists('a'),
	);
	const hosts = await startAll(4);
	const outcomes = hosts.map((host) => host.list().catch(({ code }) => code));
	await server.untilAsked('model/list');
	await untilBehindTheHolder(hosts);
	server.open('open');
	const codes = (await Promise.all(outcomes)).map(String);
	expect(codes.toSorted()).toEqual(['ERR_CODEX_EXITED', 'ERR_CODEX_EXITED', 'a', 'a']);
	expect(server.starts).toBe(3);
});

// Two that refresh one rotating login token at once can log the user out (openai/codex #10332).
test('the app-server of a fetch that failed is gone before another process starts one', async () => {
	const error = { code: -32_600, message: 'Not today' };
	const { server, start } = setUp(
		[
			'refuses',
			{ at: 'model/list', error, gates: { 'model/list': 'open' }, ignores: ['end', 'SIGTERM'] },
		],
		lists('a'),
	);
	const holder = start();
	const failure = failureOf(holder.list());
	await server.untilAsked('model/list');
	const other = start();
	const list = other.list();
	await other.failsSoon();
	server.open('open');
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_RPC' });
	expect(await list).toEqual(['a']);
	const [exited, spawned] = [await holder.nth('exited'), await other.nth('spawned')];
	expect(exited).toMatchObject({ signal: 'SIGKILL' });
	expect(spawned.at).toBeGreaterThanOrEqual(exited.at);
	expect(server.starts).toBe(2);
});

test('within one process, too, two catalogs start one app-server', async () => {
	const { server, directory, codexHome } = setUp(gatedLists('open', 'a'));
	const { fileStore } = await import('../../src/store/file-store.js');
	const { command, args } = server;
	const [one, other] = [fileStore({ directory }), fileStore({ directory })].map((store) =>
		makeCatalog({
			command,
			args,
			codexHome,
			store,
			retries: 0,
			deadlineMs: neverMs,
			fetchTimeoutMs: neverMs,
		}),
	) as [ReturnType<typeof makeCatalog>, ReturnType<typeof makeCatalog>];
	const calls = [one.catalog.list(), other.catalog.list()];
	await server.untilAsked('model/list');
	server.open('open');
	for (const models of await Promise.all(calls)) expect(idsOf(models)).toEqual(['a']);
	expect(server.starts).toBe(1);
});

test('processes with file stores in other directories have nothing to do with each other', async () => {
	const one = setUp(gatedLists('open', 'a'));
	const list = one.start().list();
	await one.server.untilAsked('model/list');
	const { command, args } = one.server;
	const other = startLister({
		options: { command, args, codexHome: one.codexHome, retries: 0 },
		directory: makeDirectory(),
	});
	const otherList = other.list();
	await one.server.untilAsked('model/list', 2);
	one.server.open('open');
	expect([await list, await otherList]).toEqual([['a'], ['a']]);
});
