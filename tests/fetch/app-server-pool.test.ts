import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { CodexModelCatalogOptions } from '../src/options.js';
import {
	failureOf,
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	realCodex,
	runHost,
	type Step,
	script,
	until,
	untilGone,
} from './harness.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];
const a = { models: [{ id: 'a' }] };
const refresh = { refresh: true };

/** A catalog that keeps its app-servers, of a CODEX_HOME of its own. */
function makeKeeper(steps: Step[], options: CodexModelCatalogOptions = {}) {
	const codexHome = makeDirectory();
	return { codexHome, ...makeScriptedCatalog(steps, { keepAliveMs: neverMs, codexHome, ...options }) };
}

test('fetches share one app-server, one connection and one initialize', async () => {
	const { catalog, server, events } = makeKeeper([lists('a')]);
	for (let count = 0; count < 3; count++) expect(idsOf(await catalog.list(refresh))).toEqual(['a']);
	expect(server.starts).toBe(1);
	expect(server.find('message').map(({ message }) => message.method)).toEqual([
		'initialize',
		'initialized',
		'model/list',
		'model/list',
		'model/list',
	]);
	const ids = server.requests().flatMap(({ id }) => (id === undefined ? [] : [id]));
	expect(new Set(ids).size).toBe(4);
	expect(events.count('spawned')).toBe(1);
	expect(events.ofType('refreshed').map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
	expect(server.pids.every(isAlive)).toBe(true);
	expect(server.find('end of input')).toEqual([]);
});

test('the real Codex lists twice on one connection', async () => {
	const { catalog, events } = makeCatalog({
		command: realCodex,
		codexHome: makeDirectory(),
		keepAliveMs: neverMs,
		deadlineMs: 25_000,
		retries: 0,
	});
	const first = await catalog.list({ refresh: true, includeHidden: true });
	expect(await catalog.list({ refresh: true, includeHidden: true })).toEqual(first);
	expect(first.length).toBeGreaterThan(1);
	expect(events.count('spawned')).toBe(1);
});

test('every page of a second list is fetched on the same connection', async () => {
	const { catalog, server } = makeKeeper([['answers', { pages: [[{ id: 'a' }], [{ id: 'b' }], [{ id: 'c' }]] }]]);
	expect(idsOf(await catalog.list(refresh))).toEqual(['a', 'b', 'c']);
	expect(idsOf(await catalog.list(refresh))).toEqual(['a', 'b', 'c']);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list')).toHaveLength(6);
});

test('with a keepAliveMs of 0, the default, each fetch has an app-server of its own', async () => {
	const { catalog, server, events } = makeScriptedCatalog([lists('a')]);
	await catalog.list(refresh);
	await events.nth('exited');
	await catalog.list(refresh);
	expect(server.starts).toBe(2);
	expect(server.requests('initialize')).toHaveLength(2);
});

test('the refresh behind a stale list uses the one that is kept', async () => {
	const { catalog, server, events } = makeKeeper([lists('a')], { freshMs: 0 });
	await catalog.list();
	await catalog.list();
	await events.nth('refreshed', 2);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list')).toHaveLength(2);
});

test('each place has an app-server of its own', async () => {
	const { catalog, server } = makeKeeper([lists('a')]);
	const places = [{}, { cwd: makeDirectory() }, { codexHome: makeDirectory() }];
	for (const place of [...places, ...places]) await catalog.list({ ...place, refresh: true });
	expect(server.starts).toBe(3);
	expect(server.requests('model/list')).toHaveLength(6);
	expect(new Set(server.find('start').map(({ cwd, env }) => `${cwd} ${env.CODEX_HOME}`)).size).toBe(3);
});

test('an app-server that is kept for longer than keepAliveMs is ended, and the next fetch starts another', async () => {
	const { catalog, server, events } = makeKeeper([lists('a')], { keepAliveMs: 30 });
	await catalog.list(refresh);
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0, signal: null });
	expect(idsOf(await catalog.list(refresh))).toEqual(['a']);
	expect(server.starts).toBe(2);
});

test('the time runs from the last answer, not from the first', async () => {
	const { catalog, server } = makeKeeper([['answers', { ...a, gates: { 'model/list': 'open' } }]], {
		keepAliveMs: 60_000,
	});
	const timers = vi.spyOn(globalThis, 'setTimeout');
	const cleared = vi.spyOn(globalThis, 'clearTimeout');
	server.open('open');
	const keepers = () =>
		timers.mock.results.flatMap(({ value }, index) => (timers.mock.calls[index]?.[1] === 60_000 ? [value] : []));
	await catalog.list(refresh);
	expect(keepers()).toHaveLength(1);
	await catalog.list(refresh);
	expect(keepers()).toHaveLength(2);
	const [first, second] = keepers();
	const isCleared = (timer: unknown) => cleared.mock.calls.some(([handle]) => handle === timer);
	expect([isCleared(first), isCleared(second)]).toEqual([true, false]);
	expect([first.hasRef(), second.hasRef()]).toEqual([false, false]);
});

const apiKey = (key: string) => JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: key });

const changes: [what: string, change: (home: string, command: string) => void][] = [
	['another account', (home) => writeFileSync(path.join(home, 'auth.json'), apiKey('sk-another'))],
	['another config.toml', (home) => writeFileSync(path.join(home, 'config.toml'), 'model = "b"\n')],
	['another command', (_, command) => writeFileSync(command, '# another\n', { flag: 'a' })],
];

test.each(changes)('with %s the one that is kept is dropped, and another one asked', async (_, change) => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const server = script(lists('old'), lists('new'));
	const codexHome = makeDirectory();
	writeFileSync(path.join(codexHome, 'auth.json'), apiKey('sk-one'));
	const command = path.join(server.installAsCodex(), 'codex');
	const { catalog, events } = makeCatalog({
		command,
		args: [],
		codexHome,
		retries: 0,
		deadlineMs: neverMs,
		keepAliveMs: neverMs,
	});
	expect(idsOf(await catalog.list())).toEqual(['old']);
	change(codexHome, command);
	vi.setSystemTime(Date.now() + 1_000);
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	const { pid } = await events.nth('exited');
	expect(pid).toBe(server.pids[0]);
	expect(server.starts).toBe(2);
	expect(events.ofType('exited')).toMatchObject([{ exitCode: 0 }]);
	// The new one is kept in its place.
	await catalog.list(refresh);
	expect(server.starts).toBe(2);
});

test('with a refreshed token of the same account the one that is kept stays', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const { catalog, server, codexHome } = makeKeeper([lists('a')]);
	const logIn = (generation: number) =>
		writeFileSync(
			path.join(codexHome, 'auth.json'),
			JSON.stringify({
				auth_mode: 'chatgpt',
				tokens: { refresh_token: `r${generation}`, account_id: 'one' },
				last_refresh: generation,
			}),
		);
	logIn(1);
	await catalog.list(refresh);
	logIn(2);
	vi.setSystemTime(Date.now() + 1_000);
	await catalog.list(refresh);
	expect(server.starts).toBe(1);
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
	'where the one that is kept was ended by %s, the next fetch starts another, and nobody notices',
	async (signal) => {
		const { catalog, server, events } = makeKeeper([lists('old'), lists('new')]);
		await catalog.list(refresh);
		const [pid = 0] = server.pids;
		process.kill(pid, signal);
		await events.nth('exited');
		expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
		expect(server.starts).toBe(2);
		expect([...events.ofType('retried'), ...events.ofType('failed')]).toEqual([]);
		expect(events.ofType('refreshed').at(-1)).toMatchObject({ attempts: 1 });
	},
);

test('nor where its end is not known yet when the next fetch begins', async () => {
	const { catalog, server, events } = makeKeeper([lists('old'), lists('new')]);
	await catalog.list(refresh);
	const [pid = 0] = server.pids;
	process.kill(pid, 'SIGKILL');
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	expect(server.starts).toBe(2);
	expect([...events.ofType('retried'), ...events.ofType('failed')]).toEqual([]);
});

test('nor where it ends of the question', async () => {
	const { catalog, server, events } = makeKeeper([['answersOnce', { ...a, code: 3 }], lists('new')]);
	await catalog.list(refresh);
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	expect(server.starts).toBe(2);
	expect([...events.ofType('retried'), ...events.ofType('failed')]).toEqual([]);
	// It was gone before the other came.
	const [exited, spawned] = [events.ofType('exited')[0], events.ofType('spawned')[1]];
	expect(exited).toMatchObject({ exitCode: 3 });
	expect(events.all.indexOf(exited as never)).toBeLessThan(events.all.indexOf(spawned as never));
});

test('and where the other one fails, too, that is told', async () => {
	const { catalog, server } = makeKeeper([
		['answersOnce', { ...a, code: 3 }],
		['exits', { at: 'initialize', code: 4 }],
	]);
	await catalog.list(refresh);
	expect(await failureOf(catalog.list(refresh))).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 4 });
	expect(server.starts).toBe(2);
});

test('one that answers with an error is not kept any longer', async () => {
	const { catalog, server, events } = makeKeeper([
		['answersOnce', { ...a, error: { code: -32_600, message: 'No more' } }],
		lists('new'),
	]);
	await catalog.list(refresh);
	expect(await failureOf(catalog.list(refresh))).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -32_600 });
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await events.nth('exited');
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('where it is overloaded, another one is asked', async () => {
	const { catalog, server, events } = makeKeeper(
		[['answersOnce', { ...a, error: { code: -32_001, message: 'Server overloaded' } }], lists('new')],
		{ retries: 1 },
	);
	await catalog.list(refresh);
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	expect(events.ofType('retried')).toMatchObject([{ attempt: 1 }]);
	expect(server.starts).toBe(2);
});

test('one that hangs is ended at fetchTimeoutMs, and the next fetch starts another', async () => {
	const { catalog, server } = makeKeeper([['answersOnce', a], lists('new')], { fetchTimeoutMs: 1_000 });
	await catalog.list(refresh);
	expect(await failureOf(catalog.list(refresh))).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		phase: 'model/list',
	});
	const [pid = 0] = server.pids;
	expect(idsOf(await catalog.list(refresh))).toEqual(['new']);
	expect(isAlive(pid)).toBe(false);
	expect(server.starts).toBe(2);
});

test('what it writes to stderr and asks for in its idleness harms nothing', async () => {
	const { catalog, server } = makeKeeper([['isNoisy', a]]);
	for (let count = 0; count < 3; count++) expect(idsOf(await catalog.list(refresh))).toEqual(['a']);
	expect(server.starts).toBe(1);
});

test('clear() drops it, and the next fetch starts another', async () => {
	const { catalog, server, events } = makeKeeper([lists('old'), lists('new')]);
	await catalog.list();
	catalog.clear();
	expect(await events.nth('exited')).toMatchObject({ pid: server.pids[0], exitCode: 0 });
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('close() ends it, however little it heeds', async () => {
	const { catalog, server } = makeKeeper([['answers', { ...a, ignores: ['end', 'SIGTERM'] }]]);
	await catalog.list();
	await catalog.close();
	expect(server.starts).toBe(1);
	expect(server.pids.filter(isAlive)).toEqual([]);
});

test('close() in the middle of a fetch on it ends it', async () => {
	const { catalog, server } = makeKeeper([['answersOnce', a]]);
	await catalog.list();
	const failure = failureOf(catalog.list(refresh));
	await server.untilAsked('model/list', 2);
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(server.pids.filter(isAlive)).toEqual([]);
});

test('lists that go from memory leave no app-server without a keeper behind', async () => {
	const { catalog, server } = makeKeeper([lists('a')], { maxEntries: 1 });
	await catalog.list();
	await catalog.list({ cwd: makeDirectory() });
	expect(server.starts).toBe(2);
	await catalog.close();
	expect(server.pids.filter(isAlive)).toEqual([]);
});

/** A host whose catalog keeps its app-server, which heeds nothing. */
function startHost(source: string, step: Step = ['answers', { ...a, ignores: ['end', 'SIGTERM'] }]) {
	const server = script(step);
	const { command, args } = server;
	const head = `
		const catalog = new CodexModelCatalog({ ...facts, retries: 0 });
		console.log((await catalog.list()).length);
	`;
	const codexHome = makeDirectory();
	return { server, ...runHost(head + source, { command, args, codexHome, keepAliveMs: neverMs }) };
}

test('a host that is done ends although one is kept, and that one with it', async () => {
	const { server, done } = startHost('');
	expect(await done).toEqual({ exitCode: 0, signal: null, stdout: '1\n', stderr: '' });
	await untilGone(...server.pids);
	expect(server.starts).toBe(1);
});

test('the real Codex, kept, ends with a host that is done', async () => {
	const { done } = runHost(
		`const catalog = new CodexModelCatalog({
			...facts,
			onEvent: (event) => event.type === 'spawned' && console.log(event.pid),
		});
		await catalog.list({ deadlineMs: 25_000 });`,
		{ command: realCodex, codexHome: makeDirectory(), keepAliveMs: neverMs },
	);
	const { exitCode, stdout } = await done;
	expect(exitCode).toBe(0);
	expect(Number(stdout)).toBeGreaterThan(0);
	await untilGone(Number(stdout));
});

test.each([
	['process.exit', 'process.exit(7);', { exitCode: 7, signal: null }],
	['an error', `throw new Error('from the host');`, { exitCode: 1, signal: null }],
])('one that is kept goes with a host that ends by %s', async (_, source, outcome) => {
	const { server, done } = startHost(source);
	expect(await done).toMatchObject(outcome);
	await untilGone(...server.pids);
});

test.each(['SIGTERM', 'SIGINT'] as const)('one that is kept goes with a host that %s ends', async (signal) => {
	const { server, child, done } = startHost('process.stdin.resume();');
	await new Promise((resolve) => child.stdout.once('data', resolve));
	child.kill(signal);
	expect(await done).toMatchObject({ exitCode: null, signal });
	await untilGone(...server.pids);
});

test('one that is kept sees the end of its input where the host is killed', async () => {
	const { server, child, done } = startHost('process.stdin.resume();', ['answers', a]);
	await new Promise((resolve) => child.stdout.once('data', resolve));
	child.kill('SIGKILL');
	await done;
	await untilGone(...server.pids);
	expect(server.find('end of input')).toHaveLength(1);
});

test('with a store another process’s list leaves the one that is kept for later', async () => {
	const store = new Map<string, unknown>();
	const server = script(lists('a'), lists('b'));
	const { command, args } = server;
	const codexHome = makeDirectory();
	const options = { command, args, codexHome, store, retries: 0, freshMs: 0, keepAliveMs: neverMs };
	const { catalog } = makeCatalog(options);
	await catalog.list();
	await until('it is stored', () => store.size === 1);
	const { freshMs, ...other } = options;
	const { catalog: another } = makeCatalog(other);
	expect(idsOf(await another.list())).toEqual(['a']);
	expect(idsOf(await catalog.list(refresh))).toEqual(['a']);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list')).toHaveLength(2);
});
