import { expect, test } from 'vitest';
import { idsOf, isAlive, makeScriptedCatalog, type Step, untilGone } from './harness.js';

const a = { models: [{ id: 'a' }] };

/** A list, and what became of the process behind it. */
async function listAndEnd(...step: Step) {
	const { catalog, server, events } = makeScriptedCatalog([step]);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	return { catalog, server, events };
}

test('one that is well is ended by the end of its input, and by nothing else', async () => {
	const { server, events } = await listAndEnd('answers', a);
	const { exitCode, signal, pid, lifetimeMs } = await events.nth('exited');
	expect({ exitCode, signal }).toEqual({ exitCode: 0, signal: null });
	expect(lifetimeMs).toBeGreaterThan(0);
	expect(pid).toBe(events.ofType('spawned')[0]?.pid);
	expect(server.find('end of input')).toHaveLength(1);
	expect(server.find('SIGTERM')).toEqual([]);
	expect(isAlive(pid)).toBe(false);
});

test('one that takes three seconds to end is left that time', async () => {
	const { server, events } = await listAndEnd('answers', { ...a, endsAfterMs: 3_000 });
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0, signal: null });
	expect(server.find('SIGTERM')).toEqual([]);
});

test('one that does not heed the end of its input gets SIGTERM', async () => {
	const { server, events } = await listAndEnd('answers', { ...a, ignores: ['end'] });
	expect(await events.nth('exited')).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
	const [end] = server.find('end of input');
	const [sigterm] = server.find('SIGTERM');
	expect((sigterm?.at ?? 0) - (end?.at ?? 0)).toBeGreaterThan(1_000);
});

test('one that heeds neither the end of its input nor SIGTERM gets SIGKILL', async () => {
	const { server, events } = await listAndEnd('answers', { ...a, ignores: ['end', 'SIGTERM'] });
	expect(await events.nth('exited')).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
	expect(server.find('end of input')).toHaveLength(1);
	expect(server.find('SIGTERM')).toHaveLength(1);
	await untilGone(...server.pids);
});

test('the answer does not wait for the end of the process', async () => {
	const { server, events } = await listAndEnd('answers', { ...a, ignores: ['end', 'SIGTERM'] });
	expect(events.count('exited')).toBe(0);
	expect(server.pids.filter(isAlive)).toHaveLength(1);
});

test.each([
	['and holds the pipes', { holdsPipes: true }],
	['and holds none', { holdsPipes: false }],
	['and does not heed SIGTERM', { holdsPipes: true, ignoresSigterm: true }],
])('a grandchild that outlives one that ended by itself is ended: it lives on %s', async (_, settings) => {
	const { server, events } = await listAndEnd('leavesAGrandchild', { ...a, ...settings });
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0, signal: null });
	const [entry] = server.find('grandchild');
	expect(entry?.grandchild).toBeGreaterThan(0);
	await untilGone(entry?.grandchild ?? 0, ...server.pids);
});

test('a grandchild of one that must be killed is killed with it', async () => {
	const { catalog, server } = await listAndEnd('leavesAGrandchild', {
		...a,
		holdsPipes: true,
		ignoresSigterm: true,
		ignores: ['end', 'SIGTERM'],
	});
	const [entry] = server.find('grandchild');
	await catalog.close();
	await untilGone(entry?.grandchild ?? 0, ...server.pids);
});

test('a grandchild of one that exited before it answered is ended', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		['leavesAGrandchild', { at: 'model/list', code: 1, holdsPipes: true, ignoresSigterm: true }],
	]);
	await expect(catalog.list()).rejects.toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 1 });
	expect(await events.nth('exited')).toMatchObject({ exitCode: 1 });
	await untilGone(server.find('grandchild')[0]?.grandchild ?? 0, ...server.pids);
});

test.each([
	['exited before it answered', { at: 'model/list', code: 3 }],
	['answered', {}],
] as const)(
	'nothing waits for pipes that a stranger holds, whom one that %s has left behind',
	async (_, settings) => {
		const { catalog, server, events } = makeScriptedCatalog([
			['leavesAGrandchild', { ...a, ...settings, holdsPipes: true, isDetached: true }],
		]);
		const outcome = await catalog.list().then(idsOf, ({ exitCode }) => exitCode);
		expect(outcome).toEqual('code' in settings ? 3 : ['a']);
		await events.nth('exited');
		await catalog.close();
		// Out of its group, and so out of reach.
		const [entry] = server.find('grandchild');
		expect(isAlive(entry?.grandchild ?? 0)).toBe(true);
		process.kill(entry?.grandchild ?? 0, 'SIGKILL');
	},
);

test('is in a process group of its own, so that a Ctrl-C in the terminal is left to the host', async () => {
	const { catalog, server } = makeScriptedCatalog([['answers', { ...a, gates: { 'model/list': 'open' } }]]);
	const list = catalog.list();
	await server.untilLogged('waits');
	const [pid = 0] = server.pids;
	expect(() => process.kill(-pid, 0)).not.toThrow();
	server.open('open');
	await list;
});

test('a fetch that failed ends its process without the patience of one that answered', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		['refuses', { at: 'model/list', error: { code: 1, message: 'no' }, ignores: ['end', 'SIGTERM'] }],
	]);
	await expect(catalog.list()).rejects.toMatchObject({ code: 'ERR_CODEX_RPC' });
	const { signal } = await events.nth('exited');
	expect(signal).toBe('SIGKILL');
	const [end] = server.find('end of input');
	const [sigterm] = server.find('SIGTERM');
	// One that answered has 6 s.
	expect((sigterm?.at ?? 0) - (end?.at ?? 0)).toBeLessThan(4_000);
});
