import { expect, test } from 'vitest';
import type { CatalogEvent } from '../src/events.js';
import { failureOf, idsOf, makeDirectory, makeScriptedCatalog, type Step } from './harness.js';

const a = { models: [{ id: 'a' }, { id: 'b', hidden: true }] };
const exits: Step = ['exits', { at: 'initialize', code: 1 }];

test('tells of a fetch: spawned, refreshed, waited, exited, each with its facts and its place', async () => {
	const [cwd, codexHome] = [makeDirectory(), makeDirectory()];
	const { catalog, server, events } = makeScriptedCatalog([['answers', a]], { cwd, codexHome });
	const before = Date.now();
	await catalog.list();
	await events.nth('exited');
	const after = Date.now();
	const [pid] = server.pids;
	const number = expect.any(Number);
	const common = { at: number, cwd, codexHome };
	expect(events.all).toEqual([
		{ ...common, type: 'spawned', pid, attempt: 1 },
		{ ...common, type: 'refreshed', durationMs: number, models: 2, attempts: 1 },
		{ ...common, type: 'waited', waitedMs: number },
		{ ...common, type: 'exited', pid, exitCode: 0, signal: null, lifetimeMs: number },
	]);
	for (const { at } of events.all) {
		expect(at).toBeGreaterThanOrEqual(before);
		expect(at).toBeLessThanOrEqual(after);
	}
	const [, refreshed, waited, exited] = events.all as [CatalogEvent, never, never, never];
	const { durationMs } = refreshed as { durationMs: number };
	const { waitedMs } = waited as { waitedMs: number };
	const { lifetimeMs } = exited as { lifetimeMs: number };
	for (const ms of [durationMs, waitedMs, lifetimeMs]) {
		expect(ms).toBeGreaterThan(1);
		expect(ms).toBeLessThanOrEqual(after - before + 2);
	}
});

test('tells of a list from memory, with its age', async () => {
	const { catalog, events } = makeScriptedCatalog([['answers', a]]);
	await catalog.list();
	await catalog.list();
	expect(events.ofType('served-fresh')).toMatchObject([{ ageMs: expect.any(Number) }]);
	expect(events.ofType('served-fresh')[0]?.ageMs).toBeGreaterThanOrEqual(0);
	expect(events.count('waited')).toBe(1);
});

test('tells of a stale list from memory, and of the refresh behind it', async () => {
	const { catalog, events } = makeScriptedCatalog([['answers', a]], { freshMs: 0 });
	await catalog.list();
	await catalog.list();
	expect(events.ofType('served-stale')).toMatchObject([{ ageMs: expect.any(Number) }]);
	await events.nth('refreshed', 2);
	expect(events.count('waited')).toBe(1);
});

test('tells of a failed attempt and of a failed fetch, with the error that the caller gets', async () => {
	const { catalog, events } = makeScriptedCatalog([exits], { retries: 1 });
	const error = await failureOf(catalog.list());
	expect(events.ofType('retried')).toMatchObject([{ attempt: 1, error: { code: 'ERR_CODEX_EXITED' } }]);
	const [failed] = events.ofType('failed');
	expect(failed?.error).toBe(error);
	expect(failed?.durationMs).toBeGreaterThan(1);
	expect(events.count('refreshed')).toBe(0);
	expect(events.count('waited')).toBe(0);
});

test('tells of a deadline that ran out, once for each caller', async () => {
	const { catalog, events } = makeScriptedCatalog([['hangs', { at: 'initialize' }]], { deadlineMs: 20 });
	await Promise.all([failureOf(catalog.list()), failureOf(catalog.list({ deadlineMs: 30 }))]);
	expect(events.ofType('timed-out').map(({ timeoutMs }) => timeoutMs)).toEqual([20, 30]);
	expect(events.count('failed')).toBe(0);
});

test('tells of a warning before the list that it is about', async () => {
	const warning = { summary: 'Invalid configuration; using defaults.', details: 'line 1' };
	const { catalog, events } = makeScriptedCatalog([['warns', { ...a, warning }]]);
	await catalog.list();
	const types = events.all.map(({ type }) => type);
	expect(types.slice(0, 3)).toEqual(['spawned', 'config-warning', 'refreshed']);
	expect(events.ofType('config-warning')).toMatchObject([warning]);
});

test.each([
	[
		'throws',
		() => {
			throw new Error('from the listener');
		},
	],
	['rejects', async () => Promise.reject(new Error('from the listener'))],
	['never settles', () => new Promise<void>(() => {})],
	[
		'returns a thenable that throws',
		() => ({
			// biome-ignore lint/suspicious/noThenProperty: a listener may return anything.
			then() {
				throw new Error('from the thenable');
			},
		}),
	],
])('a listener that %s harms nothing', async (_, onEvent) => {
	const { catalog, server } = makeScriptedCatalog([exits, ['warns', { ...a, warning: { summary: 's' } }]], {
		retries: 1,
		freshMs: 0,
		onEvent: onEvent as () => void,
	});
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['a']);
	await catalog.close();
	await failureOf(catalog.list());
	expect(server.starts).toBeGreaterThanOrEqual(3);
	// An unhandled rejection fails the whole run.
	await new Promise((resolve) => setImmediate(resolve));
});

test('a listener may call the catalog', async () => {
	const inner: Promise<unknown>[] = [];
	const { catalog, server } = makeScriptedCatalog([['answers', a]], {
		onEvent({ type }) {
			if (type !== 'spawned' && type !== 'refreshed') return;
			catalog.peek();
			inner.push(catalog.list());
		},
	});
	expect(idsOf(await catalog.list())).toEqual(['a']);
	for (const models of await Promise.all(inner)) expect(idsOf(models as { id: string }[])).toEqual(['a']);
	expect(server.starts).toBe(1);
});

test('a listener may close the catalog', async () => {
	const { catalog } = makeScriptedCatalog([['answers', a]], {
		onEvent({ type }) {
			if (type === 'spawned') catalog.close();
		},
	});
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	await catalog.close();
});

test('no event holds a credential', async () => {
	const secret = 'sk-proj-0123456789abcdefghij';
	const { catalog, events } = makeScriptedCatalog(
		[
			['exits', { at: 'model/list', code: 1, stderr: `key ${secret}\n` }],
			['refuses', { at: 'model/list', error: { code: 1, message: secret, data: { secret } } }],
		],
		{ retries: 1, env: { OPENAI_API_KEY: secret } },
	);
	await failureOf(catalog.list());
	expect(events.count('failed')).toBe(1);
	const texts = events.all.map(
		(event) => JSON.stringify(event) + ('error' in event ? event.error.stack : ''),
	);
	for (const text of texts) expect(text).not.toContain('0123456789');
});
