import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import KeyvRedis, { createKeyv } from '@keyv/redis';
import Keyv from 'keyv';
import { expect, test } from 'vitest';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import {
	afterTest,
	idsOf,
	makeCatalog,
	makeDirectory,
	neverMs,
	plainModel,
	type Step,
	script,
	until,
} from '../harness.js';
import { startLister } from '../hosts/start-lister.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];

const program = ['redis-server', 'valkey-server'].find((name) => {
	try {
		execFileSync(name, ['--version'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
});
if (!program) {
	console.warn(
		'SKIPPED: all that a real Redis does; there is neither redis-server nor valkey-server on PATH.',
	);
}
const testWithRedis = test.runIf(program);

/** A port of the loopback that is free by now. */
const findPort = () =>
	new Promise<number>((resolve, reject) => {
		const probe = createServer()
			.once('error', reject)
			.listen(0, '127.0.0.1', () => {
				const { port } = probe.address() as { port: number };
				probe.close(() => resolve(port));
			});
	});

/** A Redis of its own, without a file, that ends with the test. */
async function startRedis() {
	const directory = makeDirectory();
	for (let attempt = 1; ; attempt++) {
		const port = await findPort();
		const options = [
			'--port',
			port,
			'--bind',
			'127.0.0.1',
			'--save',
			'',
			'--appendonly',
			'no',
			'--dir',
			directory,
		];
		const child = spawn(program as string, options.map(String), {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		let isGone = false;
		const gone = new Promise<void>((resolve) => {
			child.once('close', () => {
				isGone = true;
				resolve();
			});
		});
		let log = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			log += text;
		});
		const end = async () => {
			child.kill('SIGKILL');
			await gone;
		};
		afterTest(end);
		await until('it is ready, or gone', () => /ready to accept connections/i.test(log) || isGone);
		if (isGone && attempt < 5) continue;
		return {
			url: `redis://127.0.0.1:${port}`,
			end,
			freeze: () => child.kill('SIGSTOP'),
			thaw: () => child.kill('SIGCONT'),
		};
	}
}

/** As far as it is needed here; the types of the client tell its kinds apart. */
type Client = { sendCommand(words: string[]): Promise<unknown> };

/** The example of the README. */
function connect(url: string): Keyv {
	const store = new Keyv(new KeyvRedis(url));
	afterTest(async () => {
		await (store.store as KeyvRedis<unknown>).disconnect(true).catch(() => {});
	});
	return store;
}

/** One app-server, in a home of its own, for any number of catalogs and processes. */
function setUp(...steps: Step[]) {
	const server = script(...steps);
	const codexHome = makeDirectory();
	const { command, args } = server;
	const options = { command, args, codexHome, retries: 0 };
	return {
		server,
		options,
		open: (store: ModelListStore, more: CodexModelCatalogOptions = {}) =>
			makeCatalog({ ...options, store, deadlineMs: 60_000, fetchTimeoutMs: neverMs, ...more }),
	};
}

testWithRedis('two catalogs share a list through Keyv and Redis', async () => {
	const { url } = await startRedis();
	const { server, open } = setUp([
		'answers',
		{ models: [{ id: 'a' }, { id: 'b\u2028😀', hidden: true }] },
	]);
	const one = open(connect(url));
	await one.catalog.list();
	const snapshot = one.catalog.peek();
	await one.catalog.close();
	const other = open(connect(url));
	expect(await other.catalog.list()).toEqual([plainModel('a')]);
	expect(idsOf(await other.catalog.list({ includeHidden: true }))).toEqual(['a', 'b\u2028😀']);
	expect(other.catalog.peek()).toEqual(snapshot);
	expect(server.starts).toBe(1);
	expect([...one.events.ofType('store-failed'), ...other.events.ofType('store-failed')]).toEqual(
		[],
	);
});

testWithRedis('a process that comes later has the list of the one before', async () => {
	const { url } = await startRedis();
	const { server, options } = setUp(lists('a'));
	const one = startLister({ options, redis: url });
	expect(await one.list()).toEqual(['a']);
	const snapshot = await one.peek();
	await one.close();
	one.leave();
	expect(await one.gone).toEqual({ exitCode: 0, signal: null });
	const other = startLister({ options, redis: url });
	expect(await other.list()).toEqual(['a']);
	expect(await other.peek()).toEqual(snapshot);
	expect(server.starts).toBe(1);
});

testWithRedis(
	'a list is in Redis for as long as it is of any use, and clear() deletes it',
	async () => {
		const { url } = await startRedis();
		const { open } = setUp(lists('a'));
		const store = connect(url);
		const { catalog } = open(store, { maxAgeMs: 1_000, staleWhileRevalidateMs: 500_000 });
		await catalog.list();
		const client = (await (store.store as KeyvRedis<unknown>).getClient()) as unknown as Client;
		const keys = () => client.sendCommand(['KEYS', '*']) as Promise<string[]>;
		await expect.poll(keys).toHaveLength(1);
		const [key = ''] = await keys();
		const ttlMs = await client.sendCommand(['PTTL', key]);
		expect(ttlMs).toBeGreaterThan(0);
		expect(ttlMs).toBeLessThanOrEqual(501_000);
		catalog.clear();
		await expect.poll(keys).toEqual([]);
	},
);

testWithRedis('a Redis that stops in the middle costs an event and no call', async () => {
	const redis = await startRedis();
	const { server, open } = setUp(lists('old'), lists('new'));
	const { catalog, events } = open(connect(redis.url));
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await redis.end();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['new']);
	expect((await events.nth('store-failed')).operation).toMatch(/get|set/);
	expect(events.count('failed')).toBe(0);
	expect(server.starts).toBe(2);
});

testWithRedis('a Redis that hangs is given up soon, and the call is answered', async () => {
	const redis = await startRedis();
	const { server, open } = setUp(lists('a'));
	const store = connect(redis.url);
	await store.set('connected', true);
	redis.freeze();
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	const order = events.all.map((event) =>
		event.type === 'store-failed' ? event.operation : event.type,
	);
	expect(order.slice(0, order.indexOf('spawned') + 1)).toEqual(['get', 'spawned']);
	expect(events.ofType('store-failed')[0]?.reason).toMatch(/1000 ms/);
	// The end of the host does not wait for it either.
	await catalog.close();
	expect(events.ofType('store-failed').at(-1)).toMatchObject({ operation: 'set' });
	redis.thaw();
	expect(server.starts).toBe(1);
});

testWithRedis('with a Redis that hangs a list in memory is served as ever', async () => {
	const redis = await startRedis();
	const { server, open } = setUp(lists('old'), lists('new'));
	const { catalog, events } = open(connect(redis.url), { maxAgeMs: 0 });
	await catalog.list();
	await until('it has gone', () => server.find('end of input').length === 1);
	redis.freeze();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	redis.thaw();
});

test.each([
	['Keyv as it is made by hand', (url: string) => new Keyv(new KeyvRedis(url))],
	['Keyv as its adapter makes it', (url: string) => createKeyv(url)],
	[
		'Keyv that throws',
		(url: string) => createKeyv(url, { throwOnErrors: true, throwOnConnectError: true }),
	],
])('where nobody listens at the port, %s costs an event and no call', async (_, make) => {
	const url = `redis://127.0.0.1:${await findPort()}`;
	const store = make(url);
	afterTest(() => (store.store as KeyvRedis<unknown>).disconnect(true).catch(() => {}));
	// Its own word on the failure; the catalog says it once more.
	store.on('error', () => {});
	const { server, open } = setUp(lists('a'));
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await events.nth('store-failed');
	await catalog.close();
	expect(events.count('failed')).toBe(0);
	expect(server.starts).toBe(1);
});

testWithRedis('a fleet shares the list, and each machine its fetch', async () => {
	const { url } = await startRedis();
	const { server, options } = setUp([
		'answers',
		{ models: [{ id: 'a' }], gates: { 'model/list': 'open' } },
	]);
	const hosts = [1, 2].map(() => startLister({ options, redis: url }));
	await Promise.all(hosts.map((host) => host.untilReady()));
	const calls = hosts.map((host) => host.list());
	await server.untilAsked('model/list', 2);
	server.open('open');
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	await Promise.all(hosts.map((host) => host.close()));
	const third = startLister({ options, redis: url });
	expect(await third.list()).toEqual(['a']);
	expect(server.starts).toBe(2);
});
