import { expect, test } from 'vitest';
import {
	afterTest,
	failureOf,
	isAlive,
	makeDirectory,
	type Step,
	script,
	until,
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
	return { server, directory, start, startAll };
}

/** Resolves when one of them starts an app-server; the time until that answers is not the library's. */
const takenOver = (hosts: Lister[]) => Promise.any(hosts.map((host) => host.nth('spawned')));

/** Resolves when all of them wait for the lock: they have looked into the store, and it was empty. */
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

test.each([
	['ends with its input', ['answers', { gates: { 'model/list': 'never' } }] satisfies Step],
	[
		'outlives it',
		['answers', { gates: { 'model/list': 'never' }, ignores: ['end', 'SIGTERM'] }] satisfies Step,
	],
])(
	'another process takes over within 5 s after a kill of the holder, when the app-server %s',
	async (_way, step: Step) => {
		const { server, start, startAll } = setUp(step, lists('a'));
		const holder = start();
		const lost = failureOf(holder.list());
		await server.untilAsked('model/list');
		const [orphan = 0] = server.pids;
		afterTest(() => isAlive(orphan) && process.kill(orphan, 'SIGKILL'));
		const hosts = await startAll(3);
		const calls = hosts.map((host) => host.list());
		await untilBehindTheHolder(hosts);
		expect(server.starts).toBe(1);

		const killedAt = Date.now();
		holder.kill('SIGKILL');
		for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
		expect(server.starts).toBe(2);
		expect((await takenOver(hosts)).at - killedAt).toBeLessThan(5_000);
		await lost;
	},
);

test('a slow holder keeps no stale list from being served, and no host from its end', async () => {
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
