import { expect, test, vi } from 'vitest';
import { deaf, list, quickTimings, refuse, say } from '../app-server/shell-server.js';
import { failureOf, isAlive } from '../harness.js';
import { makeFetcher } from './fetch-harness.js';

const overload = { list: refuse({ code: -32001, message: 'Server overloaded; retry later.' }) };
const exit = (code: number, words = 'why') => ({ initialize: `echo ${words} >&2; exit ${code}` });

test('a fetch answers with the models, hidden ones included, and the configured one', async () => {
	const models = `printf '{"id":%s,"result":{"data":[{"id":"a"},{"id":"b","hidden":true}]}}\\n' "$id"`;
	const { start, events, ofType } = makeFetcher([{ list: models }]);
	const fetch = start();
	expect(fetch.progress()).toEqual({ phase: 'spawn', stderr: '', stderrSummary: '' });
	expect(await fetch.answer).toMatchObject({
		models: [
			{ id: 'a', hidden: false },
			{ id: 'b', hidden: true },
		],
		configured: { model: null },
	});
	await fetch.nextMayStart;
	expect(fetch.attempts).toBe(1);
	expect(ofType('spawned')).toMatchObject([{ pid: expect.any(Number), attempt: 1 }]);
	expect(events.every(({ type }) => type === 'spawned' || type === 'exited')).toBe(true);
});

test('an answer does not wait for the end of the process', async () => {
	const { start, ofType } = makeFetcher([{ list: `${list('a')}; ${deaf}` }]);
	const fetch = start();
	await fetch.answer;
	await fetch.nextMayStart;
	expect(ofType('exited')).toEqual([]);
	expect(isAlive(ofType('spawned')[0]?.pid ?? 0)).toBe(true);
});

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
	const { start, ofType, starts } = makeFetcher([...shells, {}]);
	const fetch = start();
	expect((await fetch.answer).models).toHaveLength(1);
	expect(starts()).toBe(3);
	expect(fetch.attempts).toBe(3);
	expect(ofType('retried').map(({ attempt }) => attempt)).toEqual([1, 2]);
	expect(ofType('spawned').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

test('an end with the code and the words of the one before is not repeated, and is told within half a second', async () => {
	const { start, ofType, starts } = makeFetcher([exit(3)], { retries: 100 });
	const startedAt = performance.now();
	const fetch = start();
	expect(await failureOf(fetch.answer)).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: 3,
		stderr: 'why',
	});
	// Half a second of the contract's, and as much for a busy machine.
	expect(performance.now() - startedAt).toBeLessThan(1_000);
	expect([starts(), fetch.attempts, ofType('retried').length]).toEqual([2, 2, 1]);
});

test.each([0, 1, 3])(
	'a fetch makes %i retries and no more, and fails with the last failure',
	async (retries) => {
		const shells = Array.from({ length: 5 }, (_, index) => exit(index + 1));
		const { start, starts, ofType } = makeFetcher(shells, { retries });
		expect(await failureOf(start().answer)).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode: retries + 1,
		});
		expect(starts()).toBe(1 + retries);
		expect(ofType('retried')).toHaveLength(retries);
	},
);

test.each([
	['another JSON-RPC error', { list: refuse({ code: -32600, message: 'no' }) }, 'ERR_CODEX_RPC'],
	['an unreadable answer', { list: say('{"id":$id,"result":7}') }, 'ERR_CODEX_PROTOCOL'],
	[
		'a line that is too long',
		{ list: `head -c 9000000 /dev/zero | tr '\\0' x` },
		'ERR_CODEX_PROTOCOL',
	],
])('an attempt is not repeated after %s', async (_, shell, code) => {
	const { start, starts, ofType } = makeFetcher([shell, {}]);
	expect(await failureOf(start().answer)).toMatchObject({ code });
	expect([starts(), ofType('retried').length]).toEqual([1, 0]);
});

test('the delays between attempts double, and vary by chance, so that hosts do not come together again', async () => {
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	const delays: number[][] = [];
	const others = {
		...quickTimings,
		fastShutdown: { endOfInputMs: 998, terminateMs: 997 },
		outputToExitMs: 999,
		groupTerminateMs: 996,
	};
	for (let count = 0; count < 3; count++) {
		setTimeout.mockClear();
		const { start } = makeFetcher([overload], { retries: 2 }, others);
		await failureOf(start().answer);
		delays.push(
			setTimeout.mock.calls.map(([, ms]) => ms ?? 0).filter((ms) => ms >= 50 && ms <= 200),
		);
	}
	for (const [first = 0, second = 0] of delays) {
		expect([first >= 50, first <= 100, second >= 100, second <= 200]).toEqual([
			true,
			true,
			true,
			true,
		]);
	}
	expect(delays.flat()).toHaveLength(6);
	expect(new Set(delays.flat()).size).toBeGreaterThan(2);
});

test('each attempt has an app-server of its own, and the one before it is gone by then, its group included', async () => {
	const { start, events, ofType } = makeFetcher([
		{ initialize: `(${deaf}) >/dev/null & echo $! >&2; exec >&-; ${deaf}` },
		{},
	]);
	await start().answer;
	const order = events.map(({ type }) => type);
	expect(order.slice(0, 4)).toEqual(['spawned', 'retried', 'exited', 'spawned']);
	const [first, second] = ofType('spawned');
	expect(first?.pid).not.toBe(second?.pid);
	const grandchild = Number(ofType('retried')[0]?.error.stderr);
	expect(grandchild).toBeGreaterThan(0);
	expect([first?.pid ?? 0, grandchild].filter(isAlive)).toEqual([]);
});

test('the next fetch may start when the app-server of a failed one is gone', async () => {
	const { start, ofType } = makeFetcher([
		{ list: `${refuse({ code: 1, message: 'no' })}; ${deaf}` },
	]);
	const fetch = start();
	await failureOf(fetch.answer);
	expect(ofType('exited')).toEqual([]);
	await fetch.nextMayStart;
	expect(ofType('exited')).toMatchObject([
		{ exitCode: null, signal: 'SIGKILL', lifetimeMs: expect.any(Number) },
	]);
	expect(isAlive(ofType('spawned')[0]?.pid ?? 0)).toBe(false);
});

test('an abort rejects with its reason at once, and ends the app-server, one that is deaf, too', async () => {
	const controller = new AbortController();
	const { start, untilEvents, ofType } = makeFetcher([{ start: deaf }]);
	const fetch = start({ signal: controller.signal });
	await untilEvents('spawned');
	const reason = new Error('of the caller');
	controller.abort(reason);
	expect(await failureOf(fetch.answer)).toBe(reason);
	await fetch.nextMayStart;
	expect(ofType('exited')).toMatchObject([{ signal: 'SIGKILL' }]);
});

test('an abort ends the wait between two attempts, and no further one starts', async () => {
	const controller = new AbortController();
	const { start, untilEvents, starts } = makeFetcher([exit(1), exit(2), exit(3)]);
	const fetch = start({ signal: controller.signal });
	await untilEvents('retried');
	controller.abort();
	expect(await failureOf(fetch.answer)).toMatchObject({ name: 'AbortError' });
	await fetch.nextMayStart;
	await new Promise((resolve) => setTimeout(resolve, 250));
	expect(starts()).toBe(1);
});

test('a signal that is aborted already starts nothing', async () => {
	const command = vi.fn(() => '/bin/sh');
	const { start, events, starts } = makeFetcher([{}], { command });
	expect(await failureOf(start({ signal: AbortSignal.abort() }).answer)).toMatchObject({
		name: 'AbortError',
	});
	expect([starts(), events, command.mock.calls]).toEqual([0, [], []]);
});

test('progress tells the phase and the words of the latest attempt', async () => {
	const { start, log } = makeFetcher([
		{ start: 'echo first >&2; exit 1' },
		{ list: 'echo stuck >&2' },
	]);
	const fetch = start();
	await log.untilLines(4);
	await vi.waitFor(() =>
		expect(fetch.progress()).toEqual({
			phase: 'model/list',
			stderr: 'stuck',
			stderrSummary: 'stuck',
		}),
	);
	expect(fetch.attempts).toBe(2);
	fetch.answer.catch(() => {});
});

test('a warning of the configuration becomes an event', async () => {
	const warning = say(
		'{"method":"configWarning","params":{"summary":"Invalid configuration; using defaults.","details":null}}',
	);
	const { list: ids, ofType } = makeFetcher([{ start: warning }]);
	await ids();
	expect(ofType('config-warning')).toMatchObject([
		{ summary: 'Invalid configuration; using defaults.', details: null },
	]);
});

test('close ends every app-server fast, waits until all are gone, and lets no other start', async () => {
	const { fetcher, start, ofType, untilEvents, starts } = makeFetcher([
		{ start: deaf },
		{ list: `${list('a')}; ${deaf}` },
	]);
	const fetch = start();
	await untilEvents('spawned');
	await start({ target: { key: 'other' } }).answer;
	const failure = failureOf(fetch.answer);
	await Promise.all([fetcher.close(), fetcher.close()]);
	expect(ofType('exited')).toHaveLength(2);
	expect(ofType('spawned').some(({ pid }) => isAlive(pid))).toBe(false);
	expect(await failure).toMatchObject({ code: expect.stringMatching(/EXITED|CLOSED/) });
	expect(await failureOf(start().answer)).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(starts()).toBe(2);
});

test('a fetch that is over leaves no listener on its signal, and no referenced timer', async () => {
	const { signal } = new AbortController();
	const added = vi.spyOn(signal, 'addEventListener');
	const removed = vi.spyOn(signal, 'removeEventListener');
	const { start } = makeFetcher([exit(1), {}]);
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	const fetch = start({ signal });
	await fetch.answer;
	await fetch.nextMayStart;
	expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
	const timers = setTimeout.mock.results.map(({ value }) => value as NodeJS.Timeout);
	expect(timers.filter((timer) => timer.hasRef())).toEqual([]);
});
