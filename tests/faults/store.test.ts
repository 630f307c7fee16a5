import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import type { Step } from '../harness.js';
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
const _lockIn = (directory: string) => {
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

const damages = {
	'a FIFO': 'mkfifo "$0"',
	'a directory': 'mkdir "$0"',
	'9 MiB long': 'truncate -s 9M "$0"',
	'half of a list': 'printf \'{"expiresAt":99\' > "$0"',
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
