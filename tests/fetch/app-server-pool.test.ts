import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { deaf, list, refuse, say } from '../app-server/shell-server.js';
import {
	failureOf,
	idsOf,
	isAlive,
	makeDirectory,
	neverMs,
	realCodex,
	untilGone,
} from '../harness.js';
import { makeFetcher } from './fetch-harness.js';

const keeps = { keepAliveMs: neverMs };
const isFirst = (then: string, otherwise: string) =>
	`[ $n = 1 ] && { ${then}; } || { ${otherwise}; }`;

test('fetches share a kept app-server, one connection and one initialize', async () => {
	const { list: ids, log, starts, ofType } = makeFetcher([{}], keeps);
	for (let count = 0; count < 3; count++) expect(await ids()).toEqual(['a']);
	expect(starts()).toBe(1);
	const round = ['model/list', 'config/read'];
	expect(log.methods()).toEqual(['initialize', 'initialized', ...round, ...round, ...round]);
	expect([ofType('spawned').length, ofType('exited').length]).toEqual([1, 0]);
});

test('the real Codex lists twice on one connection', async () => {
	const { start, ofType } = makeFetcher([], {
		...keeps,
		command: realCodex,
		args: ['app-server', '-c', 'features.plugins=false'],
	});
	const target = { codexHome: makeDirectory() };
	const first = await start({ target }).answer;
	expect(await start({ target }).answer).toEqual(first);
	expect(first.models.length).toBeGreaterThan(1);
	expect(ofType('spawned')).toHaveLength(1);
});

test('with a keepAliveMs of 0 each fetch has an app-server of its own', async () => {
	const { list: ids, starts, untilEvents, ofType } = makeFetcher([{}]);
	await ids();
	await untilEvents('exited');
	await ids();
	expect(starts()).toBe(2);
	await untilEvents('exited', 2);
	expect(ofType('exited')).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
});

test('each target has an app-server of its own', async () => {
	const { list: ids, starts } = makeFetcher([{}], keeps);
	for (const key of ['one', 'two', 'one', 'two']) await ids({ target: { key } });
	expect(starts()).toBe(2);
});

test('fetches of one target that are under way together have an app-server each, and one is kept', async () => {
	const gate = path.join(makeDirectory(), 'gate');
	const shell = { list: `until [ -e ${gate} ]; do sleep 0.01; done; ${list('a')}` };
	const { list: ids, untilEvents, ofType } = makeFetcher([shell], keeps);
	const both = Promise.all([ids(), ids()]);
	await untilEvents('spawned', 2);
	writeFileSync(gate, '');
	await both;
	await untilEvents('exited');
	await ids();
	expect([ofType('spawned').length, ofType('exited').length]).toEqual([2, 1]);
});

test('an app-server is kept for keepAliveMs after its last answer, by a timer that keeps nothing alive', async () => {
	const { list: ids, untilEvents, ofType, starts } = makeFetcher([{}], { keepAliveMs: 200 });
	const setTimeout = vi.spyOn(globalThis, 'setTimeout');
	await ids();
	const timer = () =>
		setTimeout.mock.results.filter((_, index) => setTimeout.mock.calls[index]?.[1] === 200).at(-1)
			?.value;
	const first = timer();
	expect(first.hasRef()).toBe(false);
	await ids();
	expect(timer()).not.toBe(first);
	expect(starts()).toBe(1);
	await untilEvents('exited');
	expect(ofType('exited')).toMatchObject([{ exitCode: 0, signal: null }]);
	await ids();
	expect(starts()).toBe(2);
});

test.each([
	['another account', { fingerprint: { account: 'other' } }],
	['another configuration', { fingerprint: { configuration: 'other' } }],
	['another file of the command', { fingerprint: { command: 'other' } }],
])('with %s the kept app-server is ended, and a new one is asked and kept', async (_, context) => {
	const {
		list: ids,
		starts,
		untilEvents,
		ofType,
	} = makeFetcher([{ list: list('old') }, { list: list('new') }], keeps);
	expect(await ids()).toEqual(['old']);
	expect(await ids(context)).toEqual(['new']);
	await untilEvents('exited');
	expect(ofType('exited')).toMatchObject([{ pid: ofType('spawned')[0]?.pid, exitCode: 0 }]);
	expect(await ids(context)).toEqual(['new']);
	expect(starts()).toBe(2);
});

test('with another command of the look-up function the kept app-server is ended', async () => {
	const commands = ['/bin/sh', '/bin/sh', '/bin/bash'];
	const { list: ids, starts } = makeFetcher([{}], {
		...keeps,
		command: () => commands.shift() as string,
	});
	for (let count = 0; count < 3; count++) await ids();
	expect(starts()).toBe(2);
});

test('a kept app-server that was ended is replaced, whether its end is known yet or not', async () => {
	for (const isKnown of [true, false]) {
		const { start, untilEvents, ofType, starts } = makeFetcher(
			[{ list: list('old') }, { list: list('new') }],
			keeps,
		);
		await start().answer;
		process.kill(ofType('spawned')[0]?.pid ?? 0, 'SIGKILL');
		if (isKnown) await untilEvents('exited');
		const fetch = start();
		expect(idsOf((await fetch.answer).models)).toEqual(['new']);
		expect([starts(), fetch.attempts, ofType('retried').length]).toEqual([2, 1, 0]);
	}
});

test('a kept app-server that ends because of the request is gone before a new one is asked, without a retry', async () => {
	const { list: ids, events } = makeFetcher(
		[{ list: isFirst(list('old'), 'exit 3') }, { list: list('new') }],
		{
			...keeps,
			retries: 0,
		},
	);
	await ids();
	expect(await ids()).toEqual(['new']);
	expect(events.map(({ type }) => type)).toEqual(['spawned', 'exited', 'spawned']);
});

test('a new app-server that fails after a kept one is told', async () => {
	const { list: ids, start } = makeFetcher(
		[{ list: isFirst(list('old'), 'exit 3') }, { initialize: 'exit 4' }],
		{
			...keeps,
			retries: 0,
		},
	);
	await ids();
	expect(await failureOf(start().answer)).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 4 });
});

test('a kept app-server that answers with an error is ended, and where it is overloaded, a new one is asked', async () => {
	for (const [code, hasFailed] of [
		[-32_600, true],
		[-32_001, false],
	] as const) {
		const refusal = refuse({ code, message: 'no more' });
		const {
			list: ids,
			start,
			untilEvents,
		} = makeFetcher([{ list: isFirst(list('old'), refusal) }, { list: list('new') }], keeps);
		await ids();
		const outcome = start().answer.then(
			({ models }) => idsOf(models),
			({ rpcCode }) => rpcCode,
		);
		expect(await outcome).toEqual(hasFailed ? code : ['new']);
		await untilEvents('exited');
		expect(await ids()).toEqual(['new']);
	}
});

test('a kept app-server that hangs is ended by the abort of its fetch, and the next fetch starts another', async () => {
	const {
		list: ids,
		start,
		log,
		ofType,
		starts,
	} = makeFetcher([{ list: isFirst(list('old'), deaf) }, { list: list('new') }], keeps);
	await ids();
	const controller = new AbortController();
	const fetch = start({ signal: controller.signal });
	await log.untilLines(5);
	expect(fetch.progress().phase).toBe('model/list');
	controller.abort();
	await failureOf(fetch.answer);
	await fetch.nextMayStart;
	expect(isAlive(ofType('spawned')[0]?.pid ?? 0)).toBe(false);
	expect(await ids()).toEqual(['new']);
	expect(starts()).toBe(2);
});

test('the output and the requests of an idle app-server harm nothing', async () => {
	const idle = `${list('a')}; echo idle >&2; ${say('{"id":"x","method":"ask"}')}; ${say('noise')}`;
	const { list: ids, starts } = makeFetcher([{ list: idle }], keeps);
	for (let count = 0; count < 3; count++) expect(await ids()).toEqual(['a']);
	expect(starts()).toBe(1);
});

test('evictIdle ends the kept app-servers, and the next fetch starts another', async () => {
	const {
		fetcher,
		list: ids,
		untilEvents,
		ofType,
	} = makeFetcher([{ list: list('old') }, { list: list('new') }], keeps);
	await ids();
	fetcher.evictIdle();
	await untilEvents('exited');
	expect(ofType('exited')).toMatchObject([{ exitCode: 0 }]);
	expect(await ids()).toEqual(['new']);
});

test('close ends the kept app-servers, also deaf ones, and clears their timers', async () => {
	const clear = vi.spyOn(globalThis, 'clearTimeout');
	const set = vi.spyOn(globalThis, 'setTimeout');
	const { fetcher, list: ids, ofType } = makeFetcher([{ list: list('a'), end: deaf }], keeps);
	for (const key of ['one', 'two']) await ids({ target: { key } });
	await fetcher.close();
	const pids = ofType('spawned').map(({ pid }) => pid);
	expect(pids).toHaveLength(2);
	await untilGone(...pids);
	const kept = set.mock.results.filter((_, index) => set.mock.calls[index]?.[1] === neverMs);
	expect(kept).toHaveLength(2);
	for (const { value } of kept) expect(clear.mock.calls.map(([timer]) => timer)).toContain(value);
});
