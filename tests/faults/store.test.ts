import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { afterTest, isAlive, type Step } from '../harness.js';
import { answers, deaf, gated, runHost, serve, served, startHost } from '../host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('store');

/** Lists once, also with a deadline of 50 ms where the host `tells` how far it is, and tells what happened. */
const lists = `
	const events = [];
	const onEvent = ({ type, at, reason, signal }) => events.push({ type, at, reason, signal });
	const catalog = make({ store: openStore(), deadlineMs: 40_000, onEvent });
	const startedAt = performance.now();
	const list = settle(catalog.list(facts.call));
	if (facts.tells) tell(await settle(catalog.list({ ...facts.call, deadlineMs: 50 })));
	const outcome = await list;
	const ms = performance.now() - startedAt;
	const { fetchedAt, isFresh } = catalog.peek() ?? {};
	await catalog.close();
	tell({ ...outcome, ms, fetchedAt, isFresh, events });
`;

/** A host that holds the lock, because its app-server waits at the gate. */
async function startHolder(...steps: Step[]) {
	const all = serve(...steps);
	const holder = startHost(lists, { facts: all.facts });
	await all.server.untilAsked('model/list');
	return { ...all, holder };
}

/** Hosts that wait for the lock, or hold it: each has told that its second call ran out of time. */
async function startWaiting(count: number, facts: object) {
	const hosts = Array.from({ length: count }, () =>
		startHost(lists, { facts: { ...facts, tells: true } }),
	);
	for (const host of hosts) expect(await host.nth(1)).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
	return hosts;
}

/** The last value that each host has told, when all have ended. */
const lastOf = (hosts: ReturnType<typeof startHost>[]) =>
	Promise.all(hosts.map(async ({ done }) => (await done).told.at(-1)));

type Event = { type: string; at: number; reason?: string; signal?: string };

/** The events of these types that hosts have told of. */
const eventsIn = (told: { events: Event[] }[], types: RegExp) =>
	told.flatMap(({ events }) => events).filter(({ type }) => types.test(type));

testFault(
	'the process that fetches for others is stopped (SIGSTOP), and goes on later',
	'model/list',
	'the list',
	async () => {
		const { server, facts, holder } = await startHolder(gated('open'), answers);
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
	'SIGKILL ends the process that fetches for others, and its Codex ends with it or lives on',
	'model/list',
	'the list; another process starts Codex within 5 s',
	async () => {
		for (const step of [gated('never'), gated('never', ['answers', deaf])]) {
			const { server, facts, holder } = await startHolder(step, answers);
			const [orphan = 0] = server.pids;
			afterTest(() => isAlive(orphan) && process.kill(orphan, 'SIGKILL'));
			const hosts = await startWaiting(3, facts);
			expect(server.starts).toBe(1);
			const killedAt = Date.now();
			holder.child.kill('SIGKILL');
			const told = await lastOf(hosts);
			expect(told).toMatchObject([served, served, served]);
			const [spawned, ...others] = eventsIn(told, /spawned/);
			expect(spawned?.at).toBeLessThan(killedAt + 5_000);
			expect(others).toEqual([]);
			expect(server.starts).toBe(2);
		}
	},
);

testFault(
	'Codex fails twice while four processes want the list',
	'model/list',
	'`ERR_CODEX_EXITED` for two processes, one after the other; then the list for the others',
	async () => {
		const exits: Step = ['exits', { code: 1 }];
		const { server, facts } = serve(gated('open', exits), exits, answers);
		const hosts = await startWaiting(4, facts);
		server.open('open');
		const told = await lastOf(hosts);
		const outcomes = told.map(({ code, ids }) => code ?? ids.join());
		expect(outcomes.toSorted()).toEqual(['ERR_CODEX_EXITED', 'ERR_CODEX_EXITED', 'a', 'a']);
		expect(server.starts).toBe(3);
	},
);

// Two that refresh one rotating login token at once can log the user out (openai/codex #10332).
testFault(
	'Codex refuses, and ignores the end of its input and SIGTERM, while another process waits',
	'model/list',
	'`ERR_CODEX_RPC`; the next Codex starts when that one is gone',
	async () => {
		const error = { code: -32_600, message: 'Not today' };
		const refuses: Step = ['answersWith', { message: { error }, ...deaf }];
		const { server, facts, holder } = await startHolder(gated('open', refuses), answers);
		const others = await startWaiting(1, facts);
		server.open('open');
		const [failed, listed] = await lastOf([holder, ...others]);
		expect(failed).toMatchObject({ code: 'ERR_CODEX_RPC' });
		expect(listed).toMatchObject(served);
		const [, exited, spawned] = eventsIn([failed, listed], /spawned|exited/);
		expect(exited).toMatchObject({ type: 'exited', signal: 'SIGKILL' });
		expect(spawned?.at).toBeGreaterThanOrEqual(exited?.at as number);
		expect(server.starts).toBe(2);
	},
);

const newer: Step = ['answers', { models: [{ id: 'newer' }] }];

testFault(
	'Codex takes long for the refresh of another process',
	'model/list',
	'the stale list; a refresh waits for the list of the other, and the host may end',
	async () => {
		const { server, facts } = serve(answers, gated('open', newer));
		await runHost(lists, { facts });
		const call = { refresh: true };
		const holder = startHost(lists, { facts: { ...facts, call } });
		await server.untilAsked('model/list', 2);
		// There is a fresh one in the store, which would do for any other call.
		const others = await startWaiting(1, { ...facts, call });
		const stale = `
			const catalog = make({ store: openStore(), maxAgeMs: 0 });
			tell(await settle(catalog.list()));
			tell(await settle(catalog.list({ refresh: true, deadlineMs: 50 })));
		`;
		const timedOut = { code: 'ERR_CODEX_TIMEOUT' };
		expect(await runHost(stale, { facts })).toMatchObject([served, timedOut]);
		expect(server.starts).toBe(2);
		server.open('open');
		const told = await lastOf([holder, ...others]);
		expect(told).toMatchObject([{ ids: ['newer'] }, { ids: ['newer'] }]);
		expect(eventsIn([told[1]], /loaded/)).not.toEqual([]);
		expect(server.starts).toBe(2);
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
	'twenty processes want the list at once, and Codex takes 13 s for it',
	'model/list',
	'the list, from one app-server',
	async () => {
		const { server, facts } = serve(gated('open'));
		const hosts = await startWaiting(20, facts);
		// Longer than a lock without beats lasts.
		await new Promise((resolve) => setTimeout(resolve, 13_000));
		expect(server.starts).toBe(1);
		server.open('open');
		const told = await lastOf(hosts);
		const { fetchedAt } = told[0];
		for (const each of told) expect(each).toMatchObject({ ...served, isFresh: true, fetchedAt });
		expect(eventsIn(told, /fail|retried/)).toEqual([]);
		expect(server.starts).toBe(1);
	},
);

testFault(
	'the directory of the store is removed while a process fetches, which then fails',
	'model/list',
	'one other process fetches at a time',
	async () => {
		const { server, directory, facts, holder } = await startHolder(
			gated('fail', ['exits', { code: 1 }]),
			gated('answer'),
		);
		const hosts = await startWaiting(3, facts);
		rmSync(directory, { recursive: true });
		await server.untilAsked('model/list', 2);
		server.open('fail');
		expect((await holder.done).told).toMatchObject([{ code: 'ERR_CODEX_EXITED' }]);
		await startWaiting(1, facts);
		expect(server.starts).toBe(2);
		server.open('answer');
		for (const told of await lastOf(hosts)) expect(told).toMatchObject(served);
		expect(server.starts).toBe(2);
	},
);

testFault(
	'fetches end for want of time while another process holds the lock',
	'before the spawn',
	'`ERR_CODEX_TIMEOUT`, and no look at the lock afterwards',
	async () => {
		const { server, facts, holder } = await startHolder(gated('open'));
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
			const reasons = eventsIn([told], /fail/).map(({ reason }) => reason);
			expect(new Set(reasons)).toEqual(
				new Set([expect.stringContaining(`(chmod go-w): ${directory}`)]),
			);
			expect(readdirSync(directory)).toEqual(files);
		}
		chmodSync(directory, 0o700);
	},
);
