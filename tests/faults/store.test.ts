import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { answers, runHost, serve, served, startHost } from './host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('store');

const lists = `
	const catalog = make({ store: openStore(), deadlineMs: 20_000 });
	const startedAt = performance.now();
	tell({ ...(await settle(catalog.list())), ms: performance.now() - startedAt });
	await catalog.close();
`;

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
		const longAgo = Date.now() / 1_000 - 3 * 24 * 3_600;
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
