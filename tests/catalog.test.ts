import { expect, test, vi } from 'vitest';
import { CodexModelCatalog } from '../src/catalog.js';
import { failureOf, idsOf, isAlive, makeScriptedCatalog, type Step, script } from './harness.js';

// The rules of the cache have tests without processes in tests/cache.

const models = [{ id: 'a' }, { id: 'b', hidden: true }, { id: 'c', isDefault: true }];
const lists: Step = ['answers', { models }];
const closed = { code: 'ERR_CODEX_CLOSED' };

test('list() and read() serve both views by one request, which asks for hidden models, too', async () => {
	const { catalog, server } = makeScriptedCatalog([lists]);
	const [visible, all, snapshot] = await Promise.all([
		catalog.list(),
		catalog.list({ includeHidden: true }),
		catalog.read({ includeHidden: true }),
	]);
	expect(idsOf(visible)).toEqual(['a', 'c']);
	expect(idsOf(all)).toEqual(['a', 'b', 'c']);
	expect(snapshot).toMatchObject({ models: all, isFresh: true, refreshError: null });
	expect(catalog.peek({ includeHidden: true })).toEqual(snapshot);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list').map(({ params }) => params)).toEqual([
		{ includeHidden: true },
	]);
});

test('a call keeps to the options of its start, whatever happens to their object during the wait', async () => {
	const { catalog } = makeScriptedCatalog([lists]);
	const options = { includeHidden: true };
	const calls = [
		catalog.list(options),
		catalog.read(options).then((snapshot) => snapshot.models),
		catalog.listSummaries(options),
	];
	options.includeHidden = false;
	for (const models of await Promise.all(calls)) expect(idsOf(models)).toEqual(['a', 'b', 'c']);
});

test('the constructor, peek() and subscribe() start no process', async () => {
	const { catalog, server } = makeScriptedCatalog([lists]);
	expect(catalog.peek()).toBeUndefined();
	catalog.subscribe(() => {})();
	await catalog.close();
	expect(server.starts).toBe(0);
});

test('a subscriber hears of the first list, until it unsubscribes', async () => {
	const { catalog } = makeScriptedCatalog([lists, ['answers', { models: [{ id: 'new' }] }]]);
	const listener = vi.fn();
	const unsubscribe = catalog.subscribe(listener, { includeHidden: true });
	const snapshot = await catalog.read({ includeHidden: true });
	expect(listener.mock.calls).toEqual([[snapshot]]);
	unsubscribe();
	await catalog.list({ refresh: true });
	expect(listener).toHaveBeenCalledTimes(1);
});

test('clear() forgets the list', async () => {
	const { catalog, server } = makeScriptedCatalog([lists]);
	await catalog.list();
	catalog.clear();
	expect(catalog.peek()).toBeUndefined();
	await catalog.list();
	expect(server.starts).toBe(2);
});

test('misuse rejects or throws a TypeError, and starts nothing', async () => {
	const { catalog, server } = makeScriptedCatalog([lists]);
	const wrong = { deadlineMs: -1 };
	for (const call of [catalog.list(wrong), catalog.read(wrong)]) {
		expect(await failureOf(call)).toBeInstanceOf(TypeError);
	}
	expect(() => catalog.peek({ cwd: '' })).toThrow(TypeError);
	const more: object = { refresh: true };
	expect(() => catalog.peek(more)).toThrow(/Unknown option "refresh"/);
	expect(() => catalog.subscribe(() => {}, more)).toThrow(/Unknown option "refresh"/);
	expect(() => catalog.subscribe(() => {}, { cwd: '' })).toThrow(TypeError);
	expect(() => catalog.subscribe(undefined as never)).toThrow(TypeError);
	expect(() => new CodexModelCatalog(wrong)).toThrow(TypeError);
	expect(server.starts).toBe(0);
});

test('close() rejects all who wait at once, and resolves when the app-server is gone', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		['hangs', { at: 'model/list', ignores: ['end', 'SIGTERM'] }],
	]);
	const failures = [failureOf(catalog.list()), failureOf(catalog.read({ refresh: true }))];
	await server.untilAsked('model/list');
	const closing = catalog.close();
	for (const error of await Promise.all([...failures, failureOf(catalog.list())]))
		expect(error).toMatchObject(closed);
	expect(server.pids.filter(isAlive)).toHaveLength(1);
	await Promise.all([closing, catalog.close()]);
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(events.ofType('exited')).toMatchObject([{ signal: 'SIGKILL' }]);
});

test('close() ends an app-server that has answered and takes its time to end', async () => {
	const { catalog, server } = makeScriptedCatalog([
		['answers', { models, ignores: ['end', 'SIGTERM'] }],
	]);
	await catalog.list();
	await server.untilLogged('end of input');
	const startedAt = performance.now();
	await catalog.close();
	expect(server.pids.filter(isAlive)).toEqual([]);
	// Without close() the app-server has 7 s.
	expect(performance.now() - startedAt).toBeLessThan(6_000);
});

test('close() in the moment of the first call starts no app-server that stays', async () => {
	const { catalog, server } = makeScriptedCatalog([lists]);
	const failure = failureOf(catalog.list());
	await catalog.close();
	expect(await failure).toMatchObject(closed);
	expect(server.pids.filter(isAlive)).toEqual([]);
});

test('a listener of events may close the catalog, or call it', async () => {
	const { catalog: closing } = makeScriptedCatalog([lists], {
		onEvent: ({ type }) => {
			if (type === 'spawned') closing.close();
		},
	});
	expect(await failureOf(closing.list())).toMatchObject(closed);
	await closing.close();

	const inner: Promise<{ id: string }[]>[] = [];
	const { catalog: called, server } = makeScriptedCatalog([lists], {
		onEvent: ({ type }) => {
			if (type === 'spawned' || type === 'refreshed') inner.push(called.list());
		},
	});
	await called.list();
	for (const list of await Promise.all(inner)) expect(idsOf(list)).toEqual(['a', 'c']);
	expect(inner).toHaveLength(2);
	expect(server.starts).toBe(1);
});

test('await using closes the catalog', async () => {
	const server = script(['answers', { models, ignores: ['end'] }]);
	let outer: CodexModelCatalog;
	{
		await using catalog = new CodexModelCatalog({ command: server.command, args: server.args });
		await catalog.list();
		outer = catalog;
	}
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(await failureOf(outer.list())).toMatchObject(closed);
});
