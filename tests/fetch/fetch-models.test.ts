import { rmSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { failureOf, idsOf, isAlive, makeDirectory, makeScriptedCatalog } from './harness.js';

const a = { models: [{ id: 'a' }] };
const exit = ['exits', { at: 'initialize', code: 1 }] as const;
const overload = [
	'refuses',
	{ at: 'model/list', error: { code: -32001, message: 'Server overloaded' } },
] as const;

test.each([
	['exits', exit],
	['is ended by a signal', ['endsBySignal', { at: 'model/list', signal: 'SIGKILL' }]],
	['breaks off in the middle of a line', ['writesHalfALineAndExits', { at: 'model/list', code: 0 }]],
	['closes its output', ['closesItsOutput', { at: 'initialize' }]],
	['has failed and lingers', ['lingers', { words: 'Error: locked\n' }]],
	['is overloaded', overload],
] as const)('an attempt is repeated when the app-server %s', async (_, step) => {
	const { catalog, server, events } = makeScriptedCatalog([step, step, ['answers', a]], { retries: 2 });
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(3);
	expect(events.ofType('retried').map(({ attempt }) => attempt)).toEqual([1, 2]);
	expect(events.ofType('spawned').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
	expect(events.ofType('refreshed')).toMatchObject([{ attempts: 3, models: 1 }]);
	expect(events.count('failed')).toBe(0);
});

test.each([0, 1, 3])('there are %i retries and no more, and the last failure is told', async (retries) => {
	const { catalog, server, events } = makeScriptedCatalog(
		[...Array.from({ length: retries }, () => exit), ['exits', { at: 'initialize', code: 9 }]],
		{ retries },
	);
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 9 });
	expect(server.starts).toBe(1 + retries);
	expect(events.count('retried')).toBe(retries);
	expect(events.count('failed')).toBe(1);
});

test('there are two retries where nobody says otherwise', async () => {
	const { catalog, server } = makeScriptedCatalog([overload], { retries: undefined });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -32001 });
	expect(server.starts).toBe(3);
});

test.each([
	[
		'another JSON-RPC error',
		['refuses', { at: 'model/list', error: { code: -32600, message: 'no' } }],
		'ERR_CODEX_RPC',
	],
	[
		'an internal error',
		['refuses', { at: 'initialize', error: { code: -32603, message: 'no' } }],
		'ERR_CODEX_RPC',
	],
	['an unreadable answer', ['answers', { result: null }], 'ERR_CODEX_PROTOCOL'],
] as const)('an attempt is not repeated after %s', async (_, step, code) => {
	const { catalog, server, events } = makeScriptedCatalog([step, ['answers', a]], { retries: 2 });
	expect(await failureOf(catalog.list())).toMatchObject({ code });
	expect(server.starts).toBe(1);
	expect(events.count('retried')).toBe(0);
});

test('an attempt is not repeated after the limit of the fetch', async () => {
	const { catalog, server, events } = makeScriptedCatalog(
		[
			['hangs', { at: 'initialize' }],
			['answers', a],
		],
		{
			retries: 2,
			fetchTimeoutMs: 500,
		},
	);
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 500 });
	await events.nth('exited');
	expect(server.starts).toBe(1);
	expect(events.count('retried')).toBe(0);
});

test('the limit of the fetch ends its app-server, one that heeds nothing, too', async () => {
	const { catalog, server, events } = makeScriptedCatalog(
		[['hangs', { at: 'initialize', ignores: ['end', 'SIGTERM'] }]],
		{ fetchTimeoutMs: 500 },
	);
	await failureOf(catalog.list());
	expect(await events.nth('exited')).toMatchObject({ signal: 'SIGKILL' });
	expect(server.pids.filter(isAlive)).toEqual([]);
});

test('the limit of the fetch holds for all its attempts together', async () => {
	const { catalog, events } = makeScriptedCatalog([exit], { retries: 100, fetchTimeoutMs: 2_000 });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 2_000 });
	const retries = events.count('retried');
	expect(retries).toBeGreaterThan(0);
	// Were it 2 s each, there would be no end in sight.
	expect(retries).toBeLessThan(10);
});

test('attempts are further and further apart', async () => {
	const { catalog, events } = makeScriptedCatalog([exit], { retries: 2 });
	await failureOf(catalog.list());
	const failures = events.ofType('retried').map(({ at }) => at);
	const starts = events.ofType('spawned').map(({ at }) => at);
	// A timer may be a millisecond early.
	expect((starts[1] as number) - (failures[0] as number)).toBeGreaterThanOrEqual(198);
	expect((starts[2] as number) - (failures[1] as number)).toBeGreaterThanOrEqual(398);
});

test('how far apart attempts are is left to chance, so that many hosts do not come together again', async () => {
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	for (let count = 0; count < 4; count++) {
		await failureOf(makeScriptedCatalog([exit], { retries: 1 }).catalog.list());
	}
	const waits = setTimeout.mock.calls.map(([, ms]) => ms ?? 0).filter((ms) => ms >= 200 && ms <= 400);
	expect(waits).toHaveLength(4);
	expect(new Set(waits).size).toBeGreaterThan(1);
});

test('each attempt has an app-server of its own, and the one before it is gone then', async () => {
	const { catalog, server, events } = makeScriptedCatalog(
		[
			['closesItsOutput', { at: 'initialize', ignores: ['end', 'SIGTERM'] }],
			['answers', a],
		],
		{ retries: 1 },
	);
	await catalog.list();
	const order = events.all.map(({ type }) => type).filter((type) => type === 'spawned' || type === 'exited');
	expect(order.slice(0, 3)).toEqual(['spawned', 'exited', 'spawned']);
	expect(new Set(server.pids).size).toBe(2);
	expect(isAlive(server.pids[0] ?? 0)).toBe(false);
});

test('a CODEX_HOME that is not there fails at the first exit: no attempt can mend it', async () => {
	const codexHome = makeDirectory();
	rmSync(codexHome, { recursive: true });
	const { catalog, server } = makeScriptedCatalog([exit], { codexHome, retries: 2 });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(server.starts).toBe(1);
});

test('close ends a fetch that waits for its next attempt', async () => {
	const { catalog, events } = makeScriptedCatalog([exit], { retries: 100 });
	const failure = failureOf(catalog.list());
	await events.nth('retried', 2);
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
});
