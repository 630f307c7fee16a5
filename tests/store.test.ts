import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import Keyv from 'keyv';
import { expect, test, vi } from 'vitest';
import type { CatalogOccurrence } from '../src/events.js';
import { type CodexModelCatalogOptions, findPlace, resolveCatalogOptions } from '../src/options.js';
import type { ModelListStore } from '../src/store.js';
import { StoredList } from '../src/stored-list.js';
import {
	failureOf,
	idsOf,
	makeCatalog,
	makeDirectory,
	neverMs,
	plainModel,
	type Step,
	script,
	until,
} from './harness.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];
const gatedLists = (gate: string, ...ids: string[]): Step => [
	'answers',
	{ models: ids.map((id) => ({ id })), gates: { 'model/list': gate } },
];
const exits: Step = ['exits', { at: 'initialize', code: 1 }];

const start = Date.UTC(2026, 0, 1);
const freshMs = 300_000;
const staleMs = 86_400_000;

/** The clock is the cache's alone: timers run as ever. */
function setAge(ms: number): void {
	vi.setSystemTime(start + ms);
}

function stopClock(): void {
	vi.useFakeTimers({ toFake: ['Date'] });
	setAge(0);
}

/** One app-server, in a home of its own, for any number of catalogs. */
function setUp(steps: Step[], defaults: CodexModelCatalogOptions = {}) {
	const server = script(...steps);
	const codexHome = makeDirectory();
	const { command, args } = server;
	return {
		server,
		codexHome,
		open: (store: ModelListStore | undefined, options: CodexModelCatalogOptions = {}) =>
			makeCatalog({
				command,
				args,
				codexHome,
				store,
				retries: 0,
				deadlineMs: neverMs,
				fetchTimeoutMs: neverMs,
				...defaults,
				...options,
			}),
	};
}

type Stored = Record<string, unknown> & { models: Record<string, unknown>[] };

/** The only value of a store. */
function onlyValueOf(store: Map<string, unknown>): Stored {
	expect(store.size).toBe(1);
	return [...store.values()][0] as Stored;
}

/** Resolves when all that was due by now has run, and with it whatever went wrong for want of an order. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

const hasSettled = async (promise: Promise<unknown>) => {
	let isSettled = false;
	const note = () => {
		isSettled = true;
	};
	promise.then(note, note);
	for (let turn = 0; turn < 5; turn++) await settle();
	return isSettled;
};

/** What a promise and the one who settles it make together. */
function makeGate() {
	let open = () => {};
	const opened = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { opened, open };
}

// Shared

test('a list that one catalog fetched is another one’s, without an app-server and with its own fetchedAt', async () => {
	stopClock();
	const { server, open } = setUp([['answers', { models: [{ id: 'a' }, { id: 'b', hidden: true }] }]]);
	const store = new Map();
	const one = open(store);
	expect(idsOf(await one.catalog.list())).toEqual(['a']);
	await until('it is stored', () => store.size === 1);
	setAge(60_000);
	const other = open(store);
	expect(await other.catalog.list()).toEqual([plainModel('a')]);
	expect(idsOf(await other.catalog.list({ includeHidden: true }))).toEqual(['a', 'b']);
	expect(server.starts).toBe(1);
	expect(other.catalog.peek()).toEqual(one.catalog.peek());
	expect(other.catalog.peek()).toMatchObject({ fetchedAt: start, isFresh: true });
	expect(other.events.all).toMatchObject([
		{ type: 'loaded', ageMs: 60_000 },
		{ type: 'served-fresh', ageMs: 60_000 },
		{ type: 'served-fresh', ageMs: 60_000 },
	]);
});

test('freshness is the same whoever fetched the list', async () => {
	stopClock();
	const { server, open } = setUp([lists('old'), gatedLists('open', 'new')]);
	const store = new Map();
	const one = open(store);
	await one.catalog.list();
	await until('it is stored', () => store.size === 1);
	setAge(freshMs - 1);
	const other = open(store);
	await other.catalog.list();
	expect([one, other].map(({ catalog }) => catalog.peek()?.isFresh)).toEqual([true, true]);
	setAge(freshMs);
	expect([one, other].map(({ catalog }) => catalog.peek()?.isFresh)).toEqual([false, false]);
	expect(server.starts).toBe(1);
});

test('a stale list in the store is served at once, and refreshed behind', async () => {
	stopClock();
	const { server, open } = setUp([lists('old'), gatedLists('open', 'new')]);
	const store = new Map();
	await open(store).catalog.list();
	await until('it is stored', () => store.size === 1);
	setAge(freshMs);
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(events.ofType('served-stale')).toMatchObject([{ ageMs: freshMs }]);
	await server.untilAsked('model/list', 2);
	expect(onlyValueOf(store)).toMatchObject({ fetchedAt: start });
	server.open('open');
	await events.nth('refreshed');
	expect(idsOf(await catalog.list())).toEqual(['new']);
	await until('the new one is stored', () => onlyValueOf(store).fetchedAt === start + freshMs);
	expect(idsOf(await open(store).catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a list in the store that is older than staleMs is waited for anew', async () => {
	stopClock();
	const { server, open } = setUp([lists('old'), lists('new')]);
	const store = new Map();
	await open(store).catalog.list();
	await until('it is stored', () => store.size === 1);
	setAge(staleMs);
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(events.count('waited')).toBe(1);
	expect(server.starts).toBe(2);
});

test('a stale list in the store outlasts a failed refresh', async () => {
	stopClock();
	const { open } = setUp([lists('old'), exits]);
	const store = new Map();
	await open(store).catalog.list();
	await until('it is stored', () => store.size === 1);
	const before = structuredClone(onlyValueOf(store));
	setAge(freshMs);
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('failed');
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await catalog.close();
	expect(onlyValueOf(store)).toEqual(before);
});

test('the store is asked only when memory has nothing fresh, and once for all who ask at once', async () => {
	stopClock();
	const { server, open } = setUp([lists('a')]);
	const map = new Map();
	await open(map).catalog.list();
	await until('it is stored', () => map.size === 1);
	const get = vi.fn((key: string) => map.get(key));
	const { catalog } = open({ get, set: () => {}, delete: () => {} });
	const calls = Array.from({ length: 10 }, () => catalog.list());
	for (const models of await Promise.all(calls)) expect(idsOf(models)).toEqual(['a']);
	for (let count = 0; count < 10; count++) await catalog.list();
	expect(get).toHaveBeenCalledTimes(1);
	expect(server.starts).toBe(1);
});

test('a list that the store got in the meantime spares the refresh behind a stale one', async () => {
	stopClock();
	const { server, open } = setUp([lists('old'), lists('new'), lists('never')]);
	const store = new Map();
	const one = open(store);
	await one.catalog.list();
	await until('it is stored', () => store.size === 1);
	setAge(freshMs);
	const other = open(store);
	expect(idsOf(await other.catalog.list({ refresh: true }))).toEqual(['new']);
	await until('the new one is stored', () => onlyValueOf(store).fetchedAt === start + freshMs);
	expect(idsOf(await one.catalog.list())).toEqual(['old']);
	expect(await one.events.nth('refreshed', 2)).toMatchObject({ attempts: 0, models: 1 });
	expect(idsOf(await one.catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('with refresh: true a stored list, however fresh, is not enough, and is written over', async () => {
	const { server, open } = setUp([lists('old'), lists('new')]);
	const store = new Map();
	await open(store).catalog.list();
	await until('it is stored', () => store.size === 1);
	const { fetchedAt } = onlyValueOf(store);
	// Two answers of one millisecond are as new as each other.
	await until('the clock has moved on', () => Date.now() > (fetchedAt as number));
	const { catalog } = open(store);
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['new']);
	await until('the new one is stored', () => onlyValueOf(store).models[0]?.id === 'new');
	expect(server.starts).toBe(2);
});

test('lists of other places, commands and arguments are apart in a store', async () => {
	const { server, open } = setUp([lists('1'), lists('2'), lists('3'), lists('4'), lists('5')]);
	const store = new Map();
	const places = [
		{},
		{ cwd: makeDirectory() },
		{ codexHome: makeDirectory() },
		{ args: [...server.args, '--', 'more'] },
		{ command: path.join(server.installAsCodex(), 'codex') },
	];
	const ids: string[][] = [];
	for (const [index, place] of places.entries()) {
		ids.push(idsOf(await open(store, place).catalog.list()));
		await until('it is stored', () => store.size === index + 1);
	}
	expect(ids).toEqual([['1'], ['2'], ['3'], ['4'], ['5']]);
});

test('a list is kept in the store for as long as it is of any use', async () => {
	const set = vi.fn();
	const store = { get: () => undefined, set, delete: () => {} };
	const ttlOf = async (options: CodexModelCatalogOptions) => {
		set.mockClear();
		const { catalog } = setUp([lists('a')]).open(store, options);
		await catalog.list();
		await catalog.close();
		return set.mock.calls.map(([, , ttlMs]) => ttlMs);
	};
	stopClock();
	expect(await ttlOf({})).toEqual([staleMs]);
	expect(await ttlOf({ freshMs: 5_000, staleMs: 1_000 })).toEqual([5_000]);
	expect(await ttlOf({ staleMs: Number.POSITIVE_INFINITY })).toEqual([undefined]);
	expect(await ttlOf({ freshMs: 0, staleMs: 0 })).toEqual([]);
});

test('a Map is a store, and so is a Keyv in memory', async () => {
	for (const store of [new Map(), new Keyv()]) {
		const { server, open } = setUp([lists('a')]);
		const one = open(store);
		await one.catalog.list();
		await one.catalog.close();
		const other = open(store);
		expect(idsOf(await other.catalog.list())).toEqual(['a']);
		expect(other.catalog.peek()).toMatchObject({ isFresh: true });
		expect(server.starts).toBe(1);
		expect([...one.events.ofType('store-failed'), ...other.events.ofType('store-failed')]).toEqual([]);
	}
});

test('what is in the store survives JSON, names of prototypes among it', async () => {
	const models = ['__proto__', 'constructor', 'toString', 'a\u2028b\u0000c', '😀'].map((id) => ({
		id,
		displayName: id,
		supportedReasoningEfforts: [{ reasoningEffort: '__proto__' }],
	}));
	const { server, open } = setUp([['answers', { models }]]);
	const texts = new Map<string, string>();
	const store: ModelListStore = {
		get: (key) => JSON.parse(texts.get(key) ?? 'null'),
		set: (key, value) => texts.set(key, JSON.stringify(value)),
		delete: (key) => texts.delete(key),
	};
	const one = open(store);
	const fetched = await one.catalog.list();
	await one.catalog.close();
	expect(await open(store).catalog.list()).toEqual(fetched);
	expect(server.starts).toBe(1);
});

test('values are plain JSON, and changing one afterwards changes no cache', async () => {
	const { open } = setUp([
		[
			'answers',
			{
				models: [
					{
						id: 'a',
						supportedReasoningEfforts: [{ reasoningEffort: 'low', description: 'l' }],
						serviceTiers: [{ id: 'priority', name: 'Fast' }],
						inputModalities: ['text'],
						unheardOf: { deep: true },
					},
				],
			},
		],
	]);
	// It hands out the very objects that it was given.
	const store = new Map();
	const one = open(store);
	const fetched = await one.catalog.list();
	await one.catalog.close();
	const value = onlyValueOf(store);
	expect(JSON.parse(JSON.stringify(value))).toEqual(value);
	expect(value.models).toEqual(fetched);

	const two = open(store);
	const three = open(store);
	expect(await two.catalog.list()).toEqual(fetched);
	expect(await three.catalog.list()).toEqual(fetched);
	const [model] = value.models as unknown as typeof fetched;
	if (!model) throw new Error('There is none');
	model.id = 'spoilt';
	model.reasoningEfforts.length = 0;
	Object.assign(model.serviceTiers[0] ?? {}, { id: 'spoilt' });
	model.inputModalities.push('spoilt');
	value.models.length = 0;
	value.fetchedAt = 0;
	expect(await two.catalog.list()).toEqual(fetched);
	// And the other way round: a caller's copy is not what the others are served from.
	(await three.catalog.list())[0]?.inputModalities.push('spoilt');
	expect(await three.catalog.list()).toEqual(fetched);
});

// What comes out

const models = (change: object) => ({ models: [plainModel('good'), { ...plainModel('spoilt'), ...change }] });

const spoilt: [what: string, spoil: (value: Stored) => unknown][] = [
	['nothing', () => undefined],
	['null', () => null],
	['a string', () => 'spoilt'],
	['an empty string', () => ''],
	['a number', () => 7],
	['a boolean', () => true],
	['a function', () => () => {}],
	['an array', (value) => [value]],
	['an empty object', () => ({})],
	['its own JSON', (value) => JSON.stringify(value)],
	['sixteen megabytes of garbage', () => 'x'.repeat(16 * 1024 * 1024)],
	[
		'a hundred thousand entries of garbage',
		(value) => ({ ...value, models: Array(100_000).fill({ id: 'x' }) }),
	],
	['a later version', (value) => ({ ...value, version: 2 })],
	['no version', ({ version, ...value }) => value],
	['a version of another type', (value) => ({ ...value, version: '1' })],
	['a time in the future', (value) => ({ ...value, fetchedAt: Date.now() + 60_000 })],
	['an endless time', (value) => ({ ...value, fetchedAt: Number.POSITIVE_INFINITY })],
	['no time at all', ({ fetchedAt, ...value }) => value],
	['a time that is none', (value) => ({ ...value, fetchedAt: Number.NaN })],
	['a time before all time', (value) => ({ ...value, fetchedAt: -1 })],
	['a time in words', (value) => ({ ...value, fetchedAt: new Date().toISOString() })],
	['no models', ({ models, ...value }) => value],
	['an empty list', (value) => ({ ...value, models: [] })],
	['models in an object', (value) => ({ ...value, models: { ...value.models, length: 1 } })],
	['a model that is null', (value) => ({ ...value, models: [null] })],
	['a model that is an array', (value) => ({ ...value, models: [[]] })],
	['a good and a bad model', (value) => ({ ...value, ...models({ id: 7 }) })],
	['a blank id', (value) => ({ ...value, ...models({ id: ' ' }) })],
	['a hidden in words', (value) => ({ ...value, ...models({ hidden: 'false' }) })],
	['an isDefault that is null', (value) => ({ ...value, ...models({ isDefault: null }) })],
	['a description that is a number', (value) => ({ ...value, ...models({ description: 7 }) })],
	['efforts in strings', (value) => ({ ...value, ...models({ reasoningEfforts: ['low'] }) })],
	['efforts in an object', (value) => ({ ...value, ...models({ reasoningEfforts: { length: 0 } }) })],
	[
		'an effort without a description',
		(value) => ({ ...value, ...models({ reasoningEfforts: [{ effort: 'l' }] }) }),
	],
	['a tier that is null', (value) => ({ ...value, ...models({ serviceTiers: [null] }) })],
	['a tier of another shape', (value) => ({ ...value, ...models({ serviceTiers: [{ id: {} }] }) })],
	['a modality that is an object', (value) => ({ ...value, ...models({ inputModalities: [{}] }) })],
	['no modalities', (value) => ({ ...value, ...models({ inputModalities: undefined }) })],
];

/** One list of a store that holds this, without a catalog around it. */
function makeStoredList(store: ModelListStore, events: CatalogOccurrence[] = []) {
	const options = resolveCatalogOptions({});
	const place = findPlace(options, undefined, undefined);
	return new StoredList(store, options, place, { account: 'x', configuration: 'y' }, (event) => {
		events.push(event);
	});
}

test('what comes out of a store is a miss, and never an error, where it is spoilt', async () => {
	const store = new Map();
	const { open } = setUp([lists('a')]);
	const { catalog } = open(store);
	await catalog.list();
	await catalog.close();
	const value = onlyValueOf(store);
	const outcomeOf = async (given: unknown) => {
		const events: CatalogOccurrence[] = [];
		const list = await makeStoredList({ get: () => given, set: () => {}, delete: () => {} }, events)
			.load()
			.catch(() => 'an error');
		return [list, events.map(({ type }) => type)];
	};
	expect(await outcomeOf(value)).toEqual([expect.objectContaining({ size: 1 }), ['loaded']]);
	const outcomes: unknown[] = [];
	for (const [what, spoil] of spoilt) {
		outcomes.push([what, ...(await outcomeOf(spoil(structuredClone(value))))]);
	}
	expect(outcomes).toEqual(spoilt.map(([what]) => [what, undefined, []]));
});

test('where a stored list is spoilt, Codex is asked, and the good one is written over it', async () => {
	const { server, open } = setUp([lists('a')]);
	const store = new Map();
	for (const spoil of ['spoilt', { version: 2 }, { version: 1, fetchedAt: 1, models: [] }]) {
		const starts = server.starts;
		for (const key of store.keys()) store.set(key, spoil);
		const { catalog, events } = open(store);
		expect(idsOf(await catalog.list())).toEqual(['a']);
		await catalog.close();
		expect(server.starts).toBe(starts + 1);
		expect([...events.ofType('loaded'), ...events.ofType('store-failed')]).toEqual([]);
		expect(onlyValueOf(store).models).toEqual([plainModel('a')]);
	}
});

test('a value that throws when it is read is a miss', async () => {
	const { open } = setUp([lists('a')]);
	const value = {
		get version() {
			throw new Error('Not with me');
		},
	};
	const { catalog } = open({ get: () => value, set: () => {}, delete: () => {} });
	expect(idsOf(await catalog.list())).toEqual(['a']);
});

test('whatever JSON is in the place of any part of a value, it is a list or a miss', async () => {
	const whole = {
		version: 1,
		fetchedAt: 1,
		machine: 'm',
		configuration: 'c',
		models: [
			{
				...plainModel('a'),
				reasoningEfforts: [{ effort: 'low', description: null }],
				serviceTiers: [{ id: 'priority', name: null, description: null }],
				inputModalities: ['text'],
			},
		],
	};
	type Path = (string | number)[];
	const pathsOf = (part: unknown, at: Path = []): Path[] => [
		at,
		...(typeof part === 'object' && part !== null
			? Object.entries(part).flatMap(([name, inner]) => pathsOf(inner, [...at, name]))
			: []),
	];
	const replace = (part: unknown, [name, ...rest]: Path, value: unknown): unknown => {
		if (name === undefined) return value;
		const copy = (Array.isArray(part) ? [...part] : { ...(part as object) }) as Record<string, unknown>;
		copy[name] = replace(copy[name], rest, value);
		return copy;
	};
	let count = 0;
	await fc.assert(
		fc.asyncProperty(fc.constantFrom(...pathsOf(whole)), fc.jsonValue(), async (at, value) => {
			const events: CatalogOccurrence[] = [];
			const given = replace(whole, at, value);
			const list = await makeStoredList({ get: () => given, set: () => {}, delete: () => {} }, events).load();
			expect(events.map(({ type }) => type)).toEqual(list ? ['loaded'] : []);
			if (!list) return;
			count++;
			expect(list.size).toBeGreaterThan(0);
			// Whoever copies, summarizes and stores it finds all that a model has.
			list.copySummaries(true);
			expect(list.copyModels(true).every(({ id }) => typeof id === 'string')).toBe(true);
		}),
		{ numRuns: 2_000 },
	);
	expect(count).toBeGreaterThan(0);
	expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

// What fails

type Method = 'get' | 'set' | 'delete' | 'lock';

const failures: [how: string, fail: () => unknown][] = [
	[
		'throws',
		() => {
			throw new Error('No more, says sk-0123456789abcdef');
		},
	],
	['rejects', () => Promise.reject(new Error('No more, says sk-0123456789abcdef'))],
	['rejects with a string', () => Promise.reject('No more, says sk-0123456789abcdef')],
	['rejects with nothing', () => Promise.reject()],
];

/** A store of which one method fails. */
function makeFailingStore(
	method: Method,
	fail: () => unknown,
	map = new Map<string, unknown>(),
): ModelListStore {
	return {
		get: (key) => map.get(key),
		set: (key, value) => map.set(key, value),
		delete: (key) => map.delete(key),
		lock: async () => () => {},
		[method]: fail,
	};
}

test.each(
	(['get', 'set', 'lock'] as const).flatMap((method) =>
		failures.map(([how, fail]) => ({ method, how, fail })),
	),
)('a store whose $method $how costs an event and no call', async ({ method, fail }) => {
	const { server, open } = setUp([lists('a')]);
	const { catalog, events } = open(makeFailingStore(method, fail));
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await catalog.close();
	const failed = events.ofType('store-failed');
	expect(failed.length).toBeGreaterThan(0);
	for (const event of failed) {
		expect(event).toMatchObject({ operation: method, reason: expect.any(String) });
		expect(event.reason).not.toContain('sk-0123456789');
	}
	expect(events.count('failed')).toBe(0);
	expect(server.starts).toBe(1);
});

test.each(failures)('a store whose delete %s costs clear() an event', async (_, fail) => {
	const { server, open } = setUp([lists('old'), lists('new')]);
	const { catalog, events } = open(makeFailingStore('delete', fail));
	await catalog.list();
	catalog.clear();
	expect(await events.nth('store-failed')).toMatchObject({ operation: 'delete' });
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

const never = () => new Promise<never>(() => {});

test('a store that never answers is waited for once, and not for long', async () => {
	const { server, open } = setUp([lists('a')]);
	const { catalog, events } = open(makeFailingStore('get', never), { deadlineMs: 60_000 });
	expect(idsOf(await catalog.list())).toEqual(['a']);
	const order = events.all.map((event) => (event.type === 'store-failed' ? event.operation : event.type));
	// What it costs is one wait: whoever has not answered is not asked a second time for the same call.
	expect(order.slice(0, order.indexOf('spawned') + 1)).toEqual(['get', 'spawned']);
	expect(server.starts).toBe(1);
});

test('a write that never ends is behind the answer, and holds up neither the next call nor close() for long', async () => {
	const { server, open } = setUp([lists('a')]);
	const { catalog, events } = open(makeFailingStore('set', never));
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(events.count('store-failed')).toBe(0);
	await catalog.close();
	expect(events.ofType('store-failed')).toMatchObject([
		{ operation: 'set', reason: expect.stringMatching(/1000 ms/) },
	]);
	expect(server.starts).toBe(1);
});

test('a deletion that never ends holds up neither the next call nor close() for long', async () => {
	const { server, open } = setUp([lists('old'), lists('new')]);
	const { catalog, events } = open(makeFailingStore('delete', never));
	await catalog.list();
	catalog.clear();
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(events.count('store-failed')).toBe(0);
	await catalog.close();
	expect(events.ofType('store-failed')).toMatchObject([{ operation: 'delete' }]);
	expect(server.starts).toBe(2);
});

test('a lock that is never granted is waited for until the caller’s deadline, and until the fetch’s', async () => {
	const { server, open } = setUp([lists('a')]);
	const { catalog, events } = open(makeFailingStore('lock', never), { fetchTimeoutMs: 500 });
	const [early, late] = await Promise.all([
		failureOf(catalog.list({ deadlineMs: 50 })),
		failureOf(catalog.list()),
	]);
	expect(early).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn', timeoutMs: 50 });
	expect(late).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', phase: 'spawn', timeoutMs: 500 });
	expect(events.count('failed')).toBe(1);
	expect(server.starts).toBe(0);
});

test('a lock that comes after its fetch has ended is given back', async () => {
	const { opened, open: grant } = makeGate();
	const release = vi.fn();
	const { open } = setUp([lists('a')]);
	const store = makeFailingStore('lock', () => opened.then(() => release));
	const { catalog } = open(store, { fetchTimeoutMs: 50 });
	await failureOf(catalog.list());
	grant();
	await until('it is given back', () => release.mock.calls.length === 1);
});

test('close() ends the wait for a lock', async () => {
	const { open } = setUp([lists('a')]);
	const signals: AbortSignal[] = [];
	const store = {
		...makeFailingStore('get', () => undefined),
		lock: (_: string, signal: AbortSignal) => {
			signals.push(signal);
			return never();
		},
	};
	const { catalog } = open(store);
	const failure = failureOf(catalog.list());
	await until('it waits', () => signals.length === 1);
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(signals[0]?.aborted).toBe(true);
});

test.each(failures)('a lock whose release %s costs an event and no call', async (_, fail) => {
	const { open } = setUp([lists('a')]);
	const { catalog, events } = open(makeFailingStore('lock', async () => fail));
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await catalog.close();
	expect(events.ofType('store-failed')).toMatchObject([{ operation: 'lock' }]);
});

test('a lock is held from before the start of the app-server until the list is in the store', async () => {
	const { opened, open: write } = makeGate();
	const { server, open } = setUp([gatedLists('open', 'a')]);
	const map = new Map();
	const order: string[] = [];
	const store: ModelListStore = {
		get: (key) => map.get(key),
		set: async (key, value) => {
			order.push('set');
			await opened;
			map.set(key, value);
			order.push('stored');
		},
		delete: () => {},
		lock: async () => {
			order.push(`lock after ${server.starts} starts`);
			return () => order.push('release');
		},
	};
	const { catalog } = open(store);
	const list = catalog.list();
	await server.untilAsked('model/list');
	server.open('open');
	await list;
	await until('it is being written', () => order.length === 2);
	expect(await hasSettled(opened)).toBe(false);
	write();
	await catalog.close();
	expect(order).toEqual(['lock after 0 starts', 'set', 'stored', 'release']);
});

test('a failed fetch gives its lock back', async () => {
	const release = vi.fn();
	const { open } = setUp([exits]);
	const { catalog } = open(makeFailingStore('lock', async () => release));
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	await until('it is given back', () => release.mock.calls.length === 1);
});

test('a list that a slow store brings too late changes nothing', async () => {
	const { opened, open: answer } = makeGate();
	const { server, open } = setUp([lists('old'), lists('new')]);
	const map = new Map();
	const first = open(map);
	await first.catalog.list();
	await first.catalog.close();
	const value = onlyValueOf(map);
	const { catalog } = open({ get: () => opened.then(() => value), set: () => {}, delete: () => {} });
	expect(idsOf(await catalog.list())).toEqual(['new']);
	answer();
	await settle();
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('without a deadline a caller is answered although the store is down in every way', async () => {
	for (const [, fail] of failures) {
		const { open } = setUp([lists('a')]);
		const { catalog } = open({
			get: fail,
			set: fail,
			delete: fail,
			lock: fail as Required<ModelListStore>['lock'],
		});
		expect(idsOf(await catalog.list({ deadlineMs: Number.POSITIVE_INFINITY }))).toEqual(['a']);
		catalog.clear();
		expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['a']);
	}
});

test('what a store rejects with need not be a text', async () => {
	const { open } = setUp([lists('a')]);
	const store = makeFailingStore('get', () => Promise.reject(Object.create(null)));
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(events.ofType('store-failed')[0]).toMatchObject({ operation: 'get', reason: expect.any(String) });
});

test('what is no store is refused by name', () => {
	const { open } = setUp([lists('a')]);
	for (const store of [null, 7, 'redis', {}, { get() {}, set() {} }]) {
		expect(() => open(store as never)).toThrow(/option "store".*get, set, delete/);
	}
});

// What goes in

test('neither a key nor a value holds a credential, an account id or a path of the home', async () => {
	const home = makeDirectory();
	const codexHome = path.join(home, 'marked-codex-home');
	const cwd = path.join(home, 'marked-work');
	for (const directory of [codexHome, cwd]) mkdirSync(directory);
	const claims = (email: string) =>
		Buffer.from(
			JSON.stringify({
				email,
				'https://api.openai.com/auth': { chatgpt_account_id: 'marked-claim', chatgpt_user_id: 'marked-user' },
			}),
		).toString('base64url');
	const jwt = `eyJhbGciOiJub25lIn0.${claims('marked@example.com')}.marked-signature`;
	const logins = [
		{ auth_mode: 'apikey', OPENAI_API_KEY: 'sk-marked-key', tokens: null },
		{
			auth_mode: 'chatgpt',
			OPENAI_API_KEY: null,
			tokens: { id_token: jwt, refresh_token: 'marked-refresh' },
		},
		{
			auth_mode: 'chatgpt',
			OPENAI_API_KEY: null,
			tokens: {
				id_token: jwt,
				access_token: jwt,
				refresh_token: 'marked-refresh',
				account_id: 'marked-account',
			},
		},
	];
	const given: unknown[] = [];
	const map = new Map();
	const store: ModelListStore = {
		get: (key) => {
			given.push(key);
			return map.get(key);
		},
		set: (key, value, ttlMs) => {
			given.push(key, value, ttlMs);
			map.set(key, value);
		},
		delete: (key) => {
			given.push(key);
		},
		lock: async (key) => {
			given.push(key);
			return () => {};
		},
	};
	const { server, open } = setUp([
		['answers', { models: [{ id: 'a' }], stderr: `${home} sk-marked-key marked-account\n` }],
	]);
	writeFileSync(path.join(codexHome, 'config.toml'), `model_catalog_json = "${home}/marked-catalogue"\n`);
	for (const login of logins) {
		writeFileSync(path.join(codexHome, 'auth.json'), JSON.stringify(login));
		const { catalog } = open(store, {
			codexHome,
			cwd,
			env: { HOME: home, SECRET: 'marked-variable' },
		});
		await catalog.list();
		catalog.clear();
		await catalog.list();
		await catalog.close();
	}
	expect(server.starts).toBe(6);
	expect(map.size).toBe(3);
	const text = given.map((part) => JSON.stringify(part)).join('\n');
	expect(text).not.toContain('marked');
	expect(text).not.toContain(home);
	expect(text).not.toContain(path.basename(home));
	expect(text).not.toContain(homedir());
	for (const part of jwt.split('.')) expect(text).not.toContain(part);
});

test('failed and empty answers are not stored', async () => {
	const { server, open } = setUp([
		exits,
		['answers', { models: [] }],
		['answers', { models: [{}, null] }],
		['answersWith', { at: 'model/list', message: { result: 7 } }],
		['answers', { models: [{ id: 'a' }] }],
	]);
	const store = new Map();
	const { catalog } = open(store);
	await failureOf(catalog.list());
	expect(await catalog.list()).toEqual([]);
	expect(await catalog.list()).toEqual([]);
	await failureOf(catalog.list());
	// A fetch waits for the end of the one before it; nothing that comes later is that one's.
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await catalog.close();
	expect(server.starts).toBe(5);
	expect(onlyValueOf(store).models).toEqual([plainModel('a')]);
});

test('an empty answer does not take a stored list away', async () => {
	stopClock();
	const { open } = setUp([lists('old'), ['answers', { models: [] }]]);
	const store = new Map();
	const one = open(store);
	await one.catalog.list();
	await one.catalog.close();
	setAge(freshMs);
	const { catalog, events } = open(store);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed');
	await catalog.close();
	expect(onlyValueOf(store)).toMatchObject({ fetchedAt: start, models: [{ id: 'old' }] });
});

// clear() and close()

test('clear() deletes what is stored', async () => {
	const { server, open } = setUp([lists('old'), lists('new')]);
	const store = new Map();
	const { catalog } = open(store);
	await catalog.list();
	await until('it is stored', () => store.size === 1);
	catalog.clear();
	await until('it is deleted', () => store.size === 0);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('clear() disbelieves what was stored before it, also what it could not delete or had never seen', async () => {
	const { server, open } = setUp([lists('old'), lists('new'), lists('newer')]);
	const store = new Map();
	const one = open(store);
	await one.catalog.list();
	await one.catalog.close();
	const { catalog } = open(store);
	catalog.clear();
	expect(store.size).toBe(1);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
	// The new one is stored, and believed.
	await catalog.close();
	expect(idsOf(await open(store).catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a fetch under way when clear() is called is not stored', async () => {
	const { server, open } = setUp([gatedLists('open', 'old')]);
	const store = new Map();
	const { catalog } = open(store);
	const list = catalog.list();
	await server.untilAsked('model/list');
	catalog.clear();
	server.open('open');
	expect(idsOf(await list)).toEqual(['old']);
	await catalog.close();
	expect(store.size).toBe(0);
});

test('a read under way when clear() is called is not believed', async () => {
	const { opened, open: answer } = makeGate();
	const { server, open } = setUp([lists('old'), lists('new')]);
	const map = new Map();
	const one = open(map);
	await one.catalog.list();
	await one.catalog.close();
	const get = vi.fn(async (key: string) => {
		await opened;
		return map.get(key);
	});
	const { catalog } = open({ get, set: () => {}, delete: () => {} });
	const list = catalog.list();
	await until('it is being read', () => get.mock.calls.length === 1);
	catalog.clear();
	answer();
	expect(idsOf(await list)).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a write under way when clear() is called does not stay in the store', async () => {
	const { opened, open: write } = makeGate();
	const { open } = setUp([lists('old')]);
	const map = new Map();
	const set = vi.fn(async (key: string, value: unknown) => {
		await opened;
		map.set(key, value);
	});
	const { catalog } = open({ get: (key) => map.get(key), set, delete: (key) => map.delete(key) });
	await catalog.list();
	await until('it is being written', () => set.mock.calls.length === 1);
	catalog.clear();
	write();
	await catalog.close();
	expect(set).toHaveBeenCalledTimes(1);
	expect(map.size).toBe(0);
});

test('close() waits for a write under way', async () => {
	const { opened, open: write } = makeGate();
	const { open } = setUp([lists('a')]);
	const map = new Map();
	const set = vi.fn(async (key: string, value: unknown) => {
		await opened;
		map.set(key, value);
	});
	const { catalog, events } = open({ get: () => undefined, set, delete: () => {} });
	await catalog.list();
	await until('it is being written', () => set.mock.calls.length === 1);
	await events.nth('exited');
	const closed = catalog.close();
	expect(await hasSettled(closed)).toBe(false);
	write();
	await closed;
	expect(map.size).toBe(1);
});

test('close() waits for a deletion under way', async () => {
	const { opened, open: erase } = makeGate();
	const { open } = setUp([lists('a')]);
	const map = new Map();
	const { catalog, events } = open({
		get: () => undefined,
		set: (key, value) => map.set(key, value),
		delete: async (key) => {
			await opened;
			map.delete(key);
		},
	});
	await catalog.list();
	await until('it is stored', () => map.size === 1);
	await events.nth('exited');
	catalog.clear();
	const closed = catalog.close();
	expect(await hasSettled(closed)).toBe(false);
	erase();
	await closed;
	expect(map.size).toBe(0);
});

test('a call that reads the store when close() is called is rejected, and starts nothing', async () => {
	const { opened, open: answer } = makeGate();
	const { server, open } = setUp([lists('a')]);
	const get = vi.fn(() => opened);
	const { catalog } = open({ get, set: () => {}, delete: () => {} });
	const failure = failureOf(catalog.list());
	await until('it is being read', () => get.mock.calls.length === 1);
	const closed = catalog.close();
	answer();
	await closed;
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(server.starts).toBe(0);
});
