import { beforeEach, expect, test, vi } from 'vitest';
import { timings } from '../../src/app-server/child-process.js';
import { failureOf, isAlive, neverMs, until } from '../harness.js';
import { complain, deaf, fill, makeShellCatalog, refuse, say, setTimings } from './shell-server.js';

beforeEach(() => setTimings());

const overload = { list: refuse({ code: -32001, message: 'Server overloaded; retry later.' }) };
const exit = (code: number, words = 'why') => ({ initialize: `${complain(words)}; exit ${code}` });

test.each([
	['exits, each time with another code', [exit(1), exit(2)]],
	['exits, each time with other words', [exit(1, 'one'), exit(1, 'two')]],
	['is ended by a signal, and then exits', [{ list: 'kill -KILL $$' }, exit(1)]],
	[
		'breaks off in the middle of a line, and then closes its output',
		[{ list: `printf '{"id"'; exit 0` }, { list: 'exec >&-; cat' }],
	],
	['is overloaded twice', [overload, overload]],
	['is overloaded between two ends', [exit(1), overload]],
])('an attempt is repeated when the app-server %s', async (_, shells) => {
	const { catalog, events, starts } = makeShellCatalog([...shells, {}]);
	expect(await catalog.list()).toHaveLength(1);
	expect(starts()).toBe(3);
	expect(events.ofType('retried').map(({ attempt }) => attempt)).toEqual([1, 2]);
	expect(events.ofType('spawned').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
	expect(events.ofType('refreshed')).toMatchObject([{ attempts: 3, models: 1 }]);
});

test('an end with the code and the words of the one before is not repeated', async () => {
	const { catalog, events, starts } = makeShellCatalog([exit(3)], { retries: 100 });
	expect(await failureOf(catalog.list())).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: 3,
		stderr: 'why',
	});
	expect([starts(), events.count('retried')]).toEqual([2, 1]);
});

test('an end about the sqlite state runtime is repeated also with equal words', async () => {
	const lost = exit(1, 'Error: failed to initialize sqlite state runtime under /h: at /h');
	const { catalog, starts } = makeShellCatalog([lost, lost, {}]);
	expect(await catalog.list()).toHaveLength(1);
	expect(starts()).toBe(3);
	const always = makeShellCatalog([lost], { retries: 3 });
	expect(await failureOf(always.catalog.list())).toMatchObject({ exitCode: 1 });
	expect(always.starts()).toBe(4);
});

test.each([0, 1, 3])(
	'a fetch makes %i retries and no more, and fails with the last failure',
	async (retries) => {
		const shells = Array.from({ length: 5 }, (_, index) => exit(index + 1));
		const { catalog, events, starts } = makeShellCatalog(shells, { retries });
		expect(await failureOf(catalog.list())).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode: retries + 1,
		});
		expect([starts(), events.count('retried')]).toEqual([1 + retries, retries]);
		expect(events.ofType('failed')).toMatchObject([{ error: { exitCode: retries + 1 } }]);
	},
);

test.each([
	['another JSON-RPC error', { list: refuse({ code: -32600, message: 'no' }) }, 'ERR_CODEX_RPC'],
	['an unreadable answer', { list: say('{"id":$id,"result":7}') }, 'ERR_CODEX_PROTOCOL'],
	['a line that is too long', { list: fill(9_000_000) }, 'ERR_CODEX_PROTOCOL'],
])('an attempt is not repeated after %s', async (_, shell, code) => {
	const { catalog, events, starts } = makeShellCatalog([shell, {}]);
	expect(await failureOf(catalog.list())).toMatchObject({ code });
	expect([starts(), events.count('retried')]).toEqual([1, 0]);
});

test('an attempt is not repeated after a timeout, and its app-server is ended', async () => {
	const { catalog, events, starts } = makeShellCatalog([{ list: ':' }], { fetchTimeoutMs: 300 });
	expect(await failureOf(catalog.list())).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 300,
		hint: 'The fetch was ended. Allow a longer "fetchTimeoutMs" if this happens often.',
	});
	await events.nth('exited');
	expect([starts(), events.count('retried')]).toEqual([1, 0]);
});

test('the delays between attempts double, and vary by chance, so that hosts do not come together again', async () => {
	const random = vi.spyOn(Math, 'random');
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	for (const [chance, delays] of [
		[0.1, [55, 110]],
		[0.7, [85, 170]],
	] as const) {
		random.mockReturnValue(chance);
		setTimeout.mockClear();
		const { catalog } = makeShellCatalog([overload], { retries: 2 });
		await failureOf(catalog.list());
		const waits = setTimeout.mock.calls.map(([, ms], index) => {
			return { ms, keepsAlive: setTimeout.mock.results[index]?.value.hasRef() };
		});
		expect(waits.filter(({ ms }) => delays.includes(ms as never))).toEqual(
			delays.map((ms) => ({ ms, keepsAlive: false })),
		);
	}
});

test('an attempt starts when the app-server of the one before is gone, its group included', async () => {
	const { catalog, events } = makeShellCatalog([
		{ initialize: `(${deaf}) >/dev/null & echo $! >&2; exec >&-; ${deaf}` },
		{},
	]);
	let living: number[] | undefined;
	const pids = () => [
		events.ofType('spawned')[0]?.pid ?? 0,
		Number(events.ofType('retried')[0]?.error.stderr),
	];
	events.nth('spawned', 2).then(() => {
		living = pids().filter(isAlive);
	});
	await catalog.list();
	expect(pids().every((pid) => pid > 0)).toBe(true);
	expect(living).toEqual([]);
	const order = events.all.map(({ type }) => type);
	expect(order.slice(0, 4)).toEqual(['spawned', 'retried', 'exited', 'spawned']);
});

test('an answer does not wait for the end of the process', async () => {
	timings.gracefulShutdown = { endOfInputMs: neverMs, terminateMs: neverMs };
	const { catalog, events } = makeShellCatalog([{ end: deaf }]);
	await catalog.list();
	expect(events.count('exited')).toBe(0);
	expect(isAlive(events.ofType('spawned')[0]?.pid ?? 0)).toBe(true);
});

test('the next fetch starts when the app-server of a failed one is gone', async () => {
	vi.spyOn(performance, 'now').mockReturnValue(7_777);
	const { catalog, events } = makeShellCatalog([
		{ list: `${refuse({ code: 1, message: 'no' })}; ${deaf}` },
		{},
	]);
	await failureOf(catalog.list());
	expect(events.count('exited')).toBe(0);
	await catalog.list();
	expect(events.all.map(({ type }) => type)).toEqual([
		'spawned',
		'failed',
		'exited',
		'spawned',
		'refreshed',
		'miss',
	]);
	const times = { durationMs: 0, lifetimeMs: 0, waitedMs: 0 };
	for (const event of events.all) expect({ ...times, ...event }).toMatchObject(times);
	expect(events.ofType('exited')).toMatchObject([{ exitCode: null, signal: 'SIGKILL' }]);
});

test('a start that stays with its words ends at the deadline of its caller, with them', async () => {
	const { catalog, events } = makeShellCatalog([
		{ start: `${complain('Error: no home')}; ${deaf}` },
	]);
	const error = await failureOf(catalog.list({ deadlineMs: 1_000 }));
	expect(error).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 1_000,
		stderr: 'Error: no home',
		phase: 'initialize',
	});
	expect(error.message).toContain('within 1000 ms (phase initialize): Error: no home. ');
	expect(events.ofType('timed-out')).toMatchObject([{ timeoutMs: 1_000, phase: 'initialize' }]);
});

test('close ends every app-server fast, also in the wait between two attempts, and lets no other start', async () => {
	const { catalog, events, starts } = makeShellCatalog([exit(1), exit(2), exit(3)]);
	const failure = failureOf(catalog.list());
	await events.nth('retried');
	await Promise.all([catalog.close(), catalog.close()]);
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect([starts(), events.count('exited')]).toEqual([1, 1]);

	timings.gracefulShutdown = { endOfInputMs: neverMs, terminateMs: neverMs };
	const deafened = makeShellCatalog([{ start: deaf }, { end: deaf }]);
	const waiting = failureOf(deafened.catalog.list());
	await until('the first one has started', () => deafened.starts() === 1);
	await deafened.catalog.list({ cwd: '/tmp' });
	await deafened.catalog.close();
	expect(await waiting).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	const pids = deafened.events.ofType('spawned').map(({ pid }) => pid);
	expect([pids.length, pids.filter(isAlive)]).toEqual([2, []]);
});
