import { expect, test } from 'vitest';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import { resolveSettings } from '../../src/api/settings.js';
import { answer, countUnhandledRejections, makeCache, makeFilledCache } from './cache-harness.js';
import {
	makeStore,
	makeThenable,
	maxAgeMs,
	never,
	pass,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

const secret = 'sk-0123456789abcdef';

const failures: [how: string, fail: () => unknown][] = [
	[
		'throws',
		() => {
			throw new Error(`no more, says ${secret}`);
		},
	],
	['rejects', () => Promise.reject(new Error(`no more, says ${secret}`))],
	['rejects with a string', () => Promise.reject(`no more, says ${secret}`)],
	['rejects with nothing', () => Promise.reject()],
	['rejects with an object without a prototype', () => Promise.reject(Object.create(null))],
	['returns a thenable that throws', () => makeThenable('called')],
	['returns an object whose "then" throws', () => makeThenable('read')],
	['never answers', never],
];

const methods = ['get', 'set', 'delete', 'lock'] as const;

const cases = failures
	.flatMap(([how, fail]) => methods.map((method) => ({ method, how, fail })))
	// Another process may hold the lock: a caller waits for it until its deadline, or until `fetchTimeoutMs`.
	.filter(({ method, how }) => method !== 'lock' || how !== 'never answers');

test.each(cases)(
	'a store whose $method $how costs an event and no call',
	async ({ method, fail }) => {
		stopClock();
		const unhandled = countUnhandledRejections();
		const store = makeStore({ lock: async () => () => {}, [method]: fail });
		const made = makeCache({ store, deadlineMs: Number.POSITIVE_INFINITY });
		const list = made.ids();
		await pass(1_000);
		await answer(made, 1, 'a');
		expect(await list).toEqual(['a']);
		if (method === 'delete') made.clear();
		await pass(1_000);
		const failed = made.eventsOf('store-failed');
		expect(failed.length).toBeGreaterThan(0);
		for (const { operation, reason } of failed) {
			expect(operation).toBe(method);
			expect(reason).toEqual(expect.any(String));
			expect(reason).not.toContain(secret);
		}
		expect(made.eventsOf('failed')).toEqual([]);
		await made.close();
		await settle();
		expect(unhandled).toEqual([]);
	},
);

test.each(failures)('a store of which every method %s fails no call', async (how, fail) => {
	stopClock();
	const unhandled = countUnhandledRejections();
	const lock = (
		how === 'never answers' ? async () => fail : fail
	) as Required<ModelListStore>['lock'];
	const made = makeCache({ store: { get: fail, set: fail, delete: fail, lock } });
	for (const [n, options] of [
		[1, {}],
		[2, { refresh: true }],
	] as const) {
		const list = made.ids(options);
		await pass(1_000);
		await answer(made, n, 'a');
		expect(await list).toEqual(['a']);
		made.clear();
	}
	const closing = made.close();
	await pass(3_000);
	await closing;
	await settle();
	expect(unhandled).toEqual([]);
});

test('the failure of a store names no option and keeps no secret', async () => {
	const fail = () =>
		Promise.reject(new Error(`redis://user:password@host said\u001b[31m ${secret}`));
	const made = await makeFilledCache(['a'], { store: makeStore({ get: fail }) });
	const [event] = made.eventsOf('store-failed');
	expect(event?.reason).toContain('redis://[redacted]@host said');
	for (const part of ['password', '0123', '\u001b']) expect(event?.reason).not.toContain(part);
});

test('a save that never ends holds up no answer and no later call', async () => {
	const made = await makeFilledCache(['a'], { store: makeStore({ set: never }) });
	expect(await made.ids()).toEqual(['a']);
	expect(made.eventsOf('store-failed')).toEqual([]);
	setAge(maxAgeMs);
	expect(await made.ids()).toEqual(['a']);
	await answer(made, 2, 'b');
	expect(await made.ids()).toEqual(['b']);
});

test('a lock that resolves to no function is no lock', async () => {
	for (const release of [undefined, null, 7, {}]) {
		const unhandled = countUnhandledRejections();
		const made = makeCache({ store: makeStore({ lock: (async () => release) as never }) });
		const list = made.ids();
		await answer(made, 1, 'a');
		expect(await list).toEqual(['a']);
		await made.close();
		expect(unhandled).toEqual([]);
	}
});

test('the methods of a store may be inherited and use private members', async () => {
	class Base implements ModelListStore {
		readonly #map = new Map<string, unknown>();
		readonly #release = () => this.#map.size;
		get(key: string) {
			return this.#map.get(key);
		}
		set(key: string, value: unknown) {
			this.#map.set(key, value);
		}
		delete(key: string) {
			this.#map.delete(key);
		}
		async lock() {
			return this.#release;
		}
	}
	class Store extends Base {}
	const made = await makeFilledCache(['a'], { store: new Store() });
	made.clear();
	await settle();
	expect(made.eventsOf('store-failed')).toEqual([]);
});

test('a value that is no store is refused by name', () => {
	for (const store of [null, 7, 'redis', {}, { get() {}, set() {} }]) {
		expect(() => resolveSettings({ store: store as never })).toThrow(
			/option "store".*get, set and delete/,
		);
	}
});
