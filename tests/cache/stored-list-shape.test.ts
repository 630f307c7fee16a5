import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CatalogEventPayload } from '../../src/api/events.js';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import { resolveSettings } from '../../src/api/settings.js';
import { StoredList } from '../../src/cache/stored-list.js';
import { answer, makeCache } from './cache-harness.js';
import { firstFingerprint, idsOf, makeList, makeModel, makeStore } from './fakes.js';

type Stored = Record<string, unknown> & { models: Record<string, unknown>[] };

/** One list of a store, without a cache around it. */
function makeStoredList(store: ModelListStore, events: CatalogEventPayload[] = []) {
	const target = { cwd: '/a', isDefaultCwd: false, codexHome: undefined, key: '' };
	return new StoredList(store, resolveSettings({}), target, firstFingerprint.account, (event) =>
		events.push(event),
	);
}

/** The ids of the list that a value is read as, and the events of the lookup. */
async function load(value: unknown) {
	const events: CatalogEventPayload[] = [];
	const { list, hasFailed } = await makeStoredList(makeStore({ get: () => value }), events).load(
		firstFingerprint,
		-1,
	);
	expect(hasFailed).toBe(false);
	return { list, ids: idsOf(list?.copyModels(true)), events: events.map(({ type }) => type) };
}

async function makeValue(): Promise<Stored> {
	const store = makeStore();
	const richModel = makeModel('a', {
		supportedReasoningEfforts: [{ effort: 'low', description: null }],
		serviceTiers: [{ id: 'priority', name: null, description: null }],
		inputModalities: ['text'],
	});
	await makeStoredList(store).save(makeList([richModel], { fetchedAt: Date.now() }));
	return [...store.map.values()][0] as Stored;
}

const models = (change: object) => ({
	models: [makeModel('good'), { ...makeModel('bad'), ...change }],
});

const misshapen: [what: string, change: (value: Stored) => unknown][] = [
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
	['16 MB of garbage', () => 'x'.repeat(16 * 1024 * 1024)],
	[
		'100,000 entries of garbage',
		(value) => ({ ...value, models: Array(100_000).fill({ id: 'x' }) }),
	],
	[
		'more models than the limit',
		(value) => ({ ...value, models: Array(100_001).fill(makeModel('x')) }),
	],
	['the first version', (value) => ({ ...value, version: 1 })],
	['a later version', (value) => ({ ...value, version: 3 })],
	['no version', ({ version, ...value }) => value],
	['a version of another type', (value) => ({ ...value, version: '2' })],
	['a time in the future', (value) => ({ ...value, fetchedAt: Date.now() + 60_000 })],
	['an endless time', (value) => ({ ...value, fetchedAt: Number.POSITIVE_INFINITY })],
	['no time', ({ fetchedAt, ...value }) => value],
	['a time that is no number', (value) => ({ ...value, fetchedAt: Number.NaN })],
	['a negative time', (value) => ({ ...value, fetchedAt: -1 })],
	['a time in words', (value) => ({ ...value, fetchedAt: new Date().toISOString() })],
	['no models', ({ models: _, ...value }) => value],
	['an empty list', (value) => ({ ...value, models: [] })],
	['models in an object', (value) => ({ ...value, models: { ...value.models, length: 1 } })],
	['a model that is null', (value) => ({ ...value, models: [null] })],
	['a model that is an array', (value) => ({ ...value, models: [[]] })],
	['a good and a bad model', (value) => ({ ...value, ...models({ id: 7 }) })],
	['a blank id', (value) => ({ ...value, ...models({ id: ' ' }) })],
	['a blank display name', (value) => ({ ...value, ...models({ displayName: '' }) })],
	['a model name that is null', (value) => ({ ...value, ...models({ model: null }) })],
	['a hidden in words', (value) => ({ ...value, ...models({ hidden: 'false' }) })],
	['an isDefault that is null', (value) => ({ ...value, ...models({ isDefault: null }) })],
	['a description that is a number', (value) => ({ ...value, ...models({ description: 7 }) })],
	['an upgrade that is an object', (value) => ({ ...value, ...models({ upgrade: {} }) })],
	[
		'efforts in strings',
		(value) => ({ ...value, ...models({ supportedReasoningEfforts: ['low'] }) }),
	],
	[
		'efforts in an object',
		(value) => ({ ...value, ...models({ supportedReasoningEfforts: { length: 0 } }) }),
	],
	[
		'an effort without a description',
		(value) => ({ ...value, ...models({ supportedReasoningEfforts: [{ effort: 'l' }] }) }),
	],
	['a tier that is null', (value) => ({ ...value, ...models({ serviceTiers: [null] }) })],
	['a tier of another shape', (value) => ({ ...value, ...models({ serviceTiers: [{ id: {} }] }) })],
	['a modality that is an object', (value) => ({ ...value, ...models({ inputModalities: [{}] }) })],
	['no modalities', (value) => ({ ...value, ...models({ inputModalities: undefined }) })],
];

test('a stored value is a list, and a value of another shape is a miss and no error', async () => {
	const value = await makeValue();
	expect(await load(value)).toMatchObject({ ids: ['a'], events: ['loaded'] });
	const outcomes: unknown[] = [];
	for (const [what, change] of misshapen) {
		const { ids, events } = await load(change(structuredClone(value)));
		outcomes.push([what, ids, events]);
	}
	expect(outcomes).toEqual(misshapen.map(([what]) => [what, undefined, []]));
});

test.each([
	[undefined, null],
	['spoilt', null],
	[{ model: 7, modelProvider: ' ', reasoningEffort: {} }, null],
	[{ model: 'a', unheardOf: true }, 'a'],
])('a configured model of %j is read as far as it can be', async (configured, model) => {
	const { list } = await load({ ...(await makeValue()), configured });
	expect(list?.configured).toEqual({ model, modelProvider: null, reasoningEffort: null });
});

test('a list that is exactly as old as the known one is no newer one', async () => {
	const value = await makeValue();
	const fetchedAt = value.fetchedAt as number;
	const stored = makeStoredList(makeStore({ get: () => value }));
	expect((await stored.load(firstFingerprint, fetchedAt)).list).toBeUndefined();
	expect((await stored.load(firstFingerprint, fetchedAt - 1)).list).toBeDefined();
});

test('a value whose properties throw, or a proxy that throws, is a miss', async () => {
	const getter = {
		get version() {
			throw new Error('of the value');
		},
	};
	const proxy = new Proxy(await makeValue(), {
		get(value, name) {
			// A promise resolves with the proxy, and asks for its "then".
			if (name === 'models') throw new Error('of the proxy');
			return value[name as string];
		},
	});
	for (const value of [getter, proxy])
		expect(await load(value)).toMatchObject({ ids: undefined, events: [] });
});

test('any JSON in the place of any part of a value gives a list or a miss', async () => {
	const whole = { ...(await makeValue()), fetchedAt: 1 };
	type Path = (string | number)[];
	const pathsOf = (part: unknown, at: Path = []): Path[] => [
		at,
		...(typeof part === 'object' && part !== null
			? Object.entries(part).flatMap(([name, inner]) => pathsOf(inner, [...at, name]))
			: []),
	];
	const replace = (part: unknown, [name, ...rest]: Path, value: unknown): unknown => {
		if (name === undefined) return value;
		const copy = (Array.isArray(part) ? [...part] : { ...(part as object) }) as Record<
			string,
			unknown
		>;
		copy[name] = replace(copy[name], rest, value);
		return copy;
	};
	let lists = 0;
	await fc.assert(
		fc.asyncProperty(fc.constantFrom(...pathsOf(whole)), fc.jsonValue(), async (at, value) => {
			const { list, events } = await load(replace(whole, at, value));
			expect(events).toEqual(list ? ['loaded'] : []);
			if (!list) return;
			lists++;
			expect(list.size).toBeGreaterThan(0);
			list.copySummaries(true);
			expect(list.copyModels(true).every(({ id }) => typeof id === 'string')).toBe(true);
			expect(
				Object.values(list.configured).every((part) => part === null || typeof part === 'string'),
			).toBe(true);
		}),
		{ seed: 20_261_123, numRuns: 500 },
	);
	expect(lists).toBeGreaterThan(0);
	expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('a good list is written over a misshapen one', async () => {
	const store = makeStore();
	for (const value of ['spoilt', { version: 3 }, { version: 2, fetchedAt: 1, models: [] }]) {
		for (const key of store.map.keys()) store.map.set(key, value);
		const made = makeCache({ store });
		const list = made.ids();
		await answer(made, 1, 'a');
		expect(await list).toEqual(['a']);
		expect([...made.eventsOf('loaded'), ...made.eventsOf('store-failed')]).toEqual([]);
		expect([...store.map.values()]).toMatchObject([{ version: 2, models: [{ id: 'a' }] }]);
	}
});
