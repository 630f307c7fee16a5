import { execFileSync } from 'node:child_process';
import {
	chmodSync,
	mkdirSync,
	readdirSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { makeDirectory, type Step } from '../harness.js';
import { answers, runHost, serve, served, startHost } from './host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('store');

const lists = `
	const failures = [];
	const onEvent = ({ type, reason }) => type === 'store-failed' && failures.push(reason);
	const catalog = make({ store: openStore(), deadlineMs: 40_000, onEvent });
	const startedAt = performance.now();
	const list = settle(catalog.list());
	if (facts.tells) tell(await settle(catalog.list({ deadlineMs: 50 })));
	tell({ ...(await list), ms: performance.now() - startedAt, failures });
	await catalog.close();
`;

const gated = (gate: string, step: Step = answers): Step => [
	step[0],
	{ ...step[1], gates: { 'model/list': gate } },
];

/** Hosts that wait for the lock, because another one holds it: each has told that its first call ran out of time. */
async function startWaiting(count: number, facts: object) {
	const hosts = Array.from({ length: count }, () =>
		startHost(lists, { facts: { ...facts, tells: true } }),
	);
	for (const host of hosts) expect(await host.nth(1)).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	return hosts;
}

/** The lock of the only list in the store. */
const lockIn = (directory: string) => {
	const [name = ''] = readdirSync(directory).filter((other) => other.endsWith('.lock'));
	return path.join(directory, name);
};

testFault(
	'the process that fetches for others is stopped (SIGSTOP), and goes on later',
	'model/list',
	'the list',
	async () => {
		const { server, facts } = serve(
			['answers', { models: [{ id: 'a' }], gates: { 'model/list': 'open' } }],
			answers,
		);
		const holder = startHost(lists, { facts });
		await server.untilAsked('model/list');
		holder.child.kill('SIGSTOP');
		const [told] = await runHost(lists, { facts });
		expect(told).toMatchObject(served);
		expect(told.ms).toBeLessThan(10_000);
		holder.child.kill('SIGCONT');
		server.open('open');
		expect((await holder.done).told).toMatchObject([served]);
	},
);

testFault(
	'the directory holds 600 expired lists, unused locks and drafts of killed writers',
	'any',
	'they go',
	async () => {
		const { directory, facts } = serve();
		const fill = `
		// No write of these sweeps.
		Math.random = () => 0.5;
		const store = openStore();
		for (let n = 0; n < 200; n++) {
			await store.set('list ' + n, {}, 1);
			const release = await store.lock('lock ' + n, new AbortController().signal);
			await release();
		}
		for (const name of readdirSync(facts.directory)) {
			if (name.endsWith('.json')) writeFileSync(facts.directory + '/' + name + '.' + crypto.randomUUID(), '');
		}
	`;
		await runHost(fill, { facts });
		expect(readdirSync(directory).length).toBeGreaterThanOrEqual(600);
		const longAgo = Date.now() / 1_000 - 31 * 24 * 3_600;
		for (const name of readdirSync(directory))
			utimesSync(path.join(directory, name), longAgo, longAgo);
		await runHost(
			`Math.random = () => 0;
		for (let n = 0; n < 10; n++) await openStore().set('last', {}, 60_000);`,
			{ facts },
		);
		expect(readdirSync(directory)).toHaveLength(1);
	},
);

const damages = {
	'a FIFO': 'mkfifo "$0"',
	'a directory': 'mkdir "$0"',
	'9 MiB long': 'truncate -s 9M "$0"',
	'half of a list': 'printf \'{"fetchedAt":99\' > "$0"',
};

testFault(
	`the file of the list is ${Object.keys(damages).join(', ')}`,
	'any',
	'the list',
	async () => {
		const { directory, facts } = serve();
		await runHost(lists, { facts });
		for (const damage of Object.values(damages)) {
			const [name = ''] = readdirSync(directory).filter((other) => other.endsWith('.json'));
			rmSync(path.join(directory, name), { recursive: true });
			execFileSync('sh', ['-ec', damage, path.join(directory, name)]);
			expect(await runHost(lists, { facts })).toMatchObject([served]);
		}
	},
);

testFault(
	'six processes want the list, and Codex takes 13 s for it',
	'model/list',
	'the list, from one app-server',
	async () => {
		const { server, facts } = serve(gated('open'));
		const holder = startHost(lists, { facts });
		await server.untilAsked('model/list');
		const hosts = [holder, ...(await startWaiting(5, facts))];
		// Longer than a lock without beats lasts.
		await new Promise((resolve) => setTimeout(resolve, 13_000));
		expect(server.starts).toBe(1);
		server.open('open');
		for (const host of hosts) expect((await host.done).told.at(-1)).toMatchObject(served);
		expect(server.starts).toBe(1);
	},
);

testFault(
	'the directory of the store is removed while a process fetches, which then fails',
	'model/list',
	'one other process fetches at a time',
	async () => {
		const { server, directory, facts } = serve(
			gated('fail', ['exits', { at: 'model/list', code: 1 }]),
			gated('answer'),
		);
		const holder = startHost(lists, { facts });
		await server.untilAsked('model/list');
		const hosts = await startWaiting(3, facts);
		rmSync(directory, { recursive: true });
		await server.untilAsked('model/list', 2);
		server.open('fail');
		expect((await holder.done).told).toMatchObject([{ code: 'ERR_CODEX_EXITED' }]);
		await startWaiting(1, facts);
		expect(server.starts).toBe(2);
		server.open('answer');
		for (const host of hosts) expect((await host.done).told.at(-1)).toMatchObject(served);
		expect(server.starts).toBe(2);
	},
);

testFault(
	'fetches end for want of time while another process holds the lock',
	'before the spawn',
	'`ERR_CODEX_TIMEOUT`, and no look at the lock afterwards',
	async () => {
		const { server, facts } = serve(gated('open'));
		const holder = startHost(lists, { facts });
		await server.untilAsked('model/list');
		const before = `
			const { default: fs } = await import('node:fs');
			const { readdir } = fs.promises;
			let looks = 0;
			fs.promises.readdir = (...parameters) => (looks++, readdir(...parameters));
			(await import('node:module')).syncBuiltinESMExports();
		`;
		const source = `
			const catalog = make({ store: openStore(), fetchTimeoutMs: 500 });
			const cwds = ['/', '/usr', '/etc'];
			const calls = cwds.map((cwd) => settle(catalog.list({ cwd })));
			tell({ all: await Promise.all(calls), looks: looks > 0 });
			// A look that is under way may end.
			await new Promise((resolve) => setTimeout(resolve, 200));
			looks = 0;
			await new Promise((resolve) => setTimeout(resolve, 500));
			tell(looks);
			await catalog.close();
		`;
		const [told, looks] = await runHost(source, { facts, before });
		expect(told.all[0]).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
		expect([told.looks, looks]).toEqual([true, 0]);
		server.open('open');
		await holder.done;
	},
);

const isRoot = process.getuid?.() === 0;

testFault(
	'another user made the directory of the store, or may write to it',
	'any',
	'the list, without the store, and an event',
	async () => {
		const { directory, facts } = serve();
		await runHost(lists, { facts });
		const files = readdirSync(directory);
		const before = isRoot
			? ['chown 54321 "$0"', 'chown 0 "$0"; chmod 0720 "$0"']
			: ['chmod 0720 "$0"'];
		for (const plant of before) {
			execFileSync('sh', ['-ec', plant, directory]);
			const [told] = await runHost(lists, { facts: { ...facts, ...serve().facts, directory } });
			expect(told).toMatchObject(served);
			expect(new Set(told.failures)).toEqual(
				new Set([expect.stringContaining(`(chmod go-w): ${directory}`)]),
			);
			expect(readdirSync(directory)).toEqual(files);
		}
		chmodSync(directory, 0o700);
	},
);

testFault(
	'a lock of the store is a link to a folder of the user',
	'any',
	'the list; the folder is left alone',
	async () => {
		const { directory, facts } = serve();
		await runHost(lists, { facts });
		const [lock, elsewhere] = [lockIn(directory), makeDirectory()];
		rmSync(lock, { recursive: true });
		for (const name of ['12', 'letter']) writeFileSync(path.join(elsewhere, name), name);
		utimesSync(elsewhere, 0, 0);
		symlinkSync(elsewhere, lock);
		for (const name of readdirSync(directory).filter((other) => other.endsWith('.json')))
			rmSync(path.join(directory, name));
		// Each write sweeps.
		const [told] = await runHost(`Math.random = () => 0; ${lists}`, { facts });
		expect(told).toMatchObject(served);
		expect(told.failures).toEqual([`Not a directory: ${lock}`]);
		expect(readdirSync(elsewhere)).toEqual(['12', 'letter']);
	},
);

testFault(
	'the lock holds the claim `12` of a killed process, `007`, a folder, and 20,000 claims that were left behind',
	'before the spawn',
	'the list',
	async () => {
		const { directory, facts } = serve();
		await runHost(lists, { facts });
		const [name = ''] = readdirSync(directory).filter((other) => other.endsWith('.json'));
		const [lock, list] = [lockIn(directory), path.join(directory, name)];
		for (const make of [
			() => writeFileSync(path.join(lock, '12'), ''),
			() => writeFileSync(path.join(lock, '007'), ''),
			() => mkdirSync(path.join(lock, '99')),
			() => {
				for (let claim = 1_000; claim < 21_000; claim++)
					writeFileSync(path.join(lock, `${claim}`), '');
			},
		]) {
			make();
			rmSync(list);
			const [told] = await runHost(lists, { facts });
			expect(told).toMatchObject({ ...served, failures: [] });
			expect(told.ms).toBeLessThan(10_000);
		}
		expect(readdirSync(lock)).toEqual(expect.arrayContaining(['007', '99']));
	},
);
