import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import KeyvRedis, { createKeyv } from '@keyv/redis';
import Keyv from 'keyv';
import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions, ModelListStore } from '../../src/api/options.js';
import {
	afterTest,
	idsOf,
	makeCatalog,
	makeDirectory,
	neverMs,
	type Step,
	until,
} from '../harness.js';
import { serve } from '../host.js';

const program = ['redis-server', 'valkey-server'].find((name) => {
	try {
		execFileSync(name, ['--version'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
});
if (!program) {
	console.warn('Skipped: a real Redis. Neither redis-server nor valkey-server is on PATH.');
}
const testWithRedis = test.runIf(program);

/** A port of the loopback that is free now. */
async function findPort(): Promise<number> {
	const probe = createServer().listen(0, '127.0.0.1');
	await once(probe, 'listening');
	const { port } = probe.address() as AddressInfo;
	await new Promise((resolve) => probe.close(resolve));
	return port;
}

/** A Redis of its own, without a file, that ends with the test. */
async function startRedis() {
	const directory = makeDirectory();
	for (let attempt = 1; ; attempt++) {
		const port = await findPort();
		const options = `--port ${port} --bind 127.0.0.1 --appendonly no --dir ${directory} --save`;
		const child = spawn(program as string, [...options.split(' '), ''], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		const gone = once(child, 'close');
		let log = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			log += text;
		});
		const end = async () => {
			child.kill('SIGKILL');
			await gone;
		};
		afterTest(end);
		const isReady = () => /ready to accept connections/i.test(log);
		await until('it is ready, or gone', () => isReady() || child.exitCode !== null);
		// Another process may have taken the port.
		if (!isReady() && attempt < 5) continue;
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

/** One app-server, in a home of its own, for any number of catalogs. */
function setUp(...steps: Step[]) {
	const { server, facts } = serve(...steps);
	const options = { ...facts.options, retries: 0, deadlineMs: 60_000, fetchTimeoutMs: neverMs };
	return {
		server,
		open: (store: ModelListStore, more: CodexModelCatalogOptions = {}) =>
			makeCatalog({ ...options, store, ...more }),
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
	expect(idsOf(await other.catalog.list())).toEqual(['a']);
	expect(idsOf(await other.catalog.list({ includeHidden: true }))).toEqual(['a', 'b\u2028😀']);
	expect(other.catalog.peek()).toEqual(snapshot);
	expect(server.starts).toBe(1);
	expect([...one.events.ofType('store-failed'), ...other.events.ofType('store-failed')]).toEqual(
		[],
	);
});

testWithRedis(
	'a list stays in Redis until it may no longer be served, and clear() deletes it',
	async () => {
		const { url } = await startRedis();
		const { open } = setUp();
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

testWithRedis('a call is answered a second after Redis has hung', async () => {
	const redis = await startRedis();
	const { server, open } = setUp();
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
	// The wait of close() ends, too.
	await catalog.close();
	// The same failure of another operation is told of once.
	expect(events.count('store-failed')).toBe(1);
	redis.thaw();
	expect(server.starts).toBe(1);
});

test.each([
	['Keyv as it is made by hand', (url: string) => new Keyv(new KeyvRedis(url))],
	['Keyv as its adapter makes it', (url: string) => createKeyv(url)],
	[
		'Keyv that throws',
		(url: string) => createKeyv(url, { throwOnErrors: true, throwOnConnectError: true }),
	],
])('%s costs an event and no call where no Redis listens', async (_, make) => {
	const url = `redis://127.0.0.1:${await findPort()}`;
	const store = make(url);
	afterTest(() => (store.store as KeyvRedis<unknown>).disconnect(true).catch(() => {}));
	// Keyv emits the failure, too.
	store.on('error', () => {});
	const { server, open } = setUp();
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await events.nth('store-failed');
	await catalog.close();
	expect(events.count('failed')).toBe(0);
	expect(server.starts).toBe(1);
});
