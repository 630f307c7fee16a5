import { expect, test, vi } from 'vitest';
import {
	answer,
	countUnhandledRejections,
	makeCache,
	makeFilledCache,
	recordSnapshots,
	refreshWith,
} from './cache-harness.js';
import { idsOf, makeThenable, settle } from './fakes.js';

test('an unsubscribed listener is not called again, also when another listener unsubscribes it', async () => {
	const made = makeCache();
	const first = recordSnapshots(made);
	const calls: string[] = [];
	const unsubscribeAll = () => {
		for (const unsubscribe of unsubscribes) unsubscribe();
	};
	const unsubscribes = ['x', 'y', 'z'].map((name) =>
		made.subscribe(() => {
			calls.push(name);
			unsubscribeAll();
		}),
	);
	first.unsubscribe();
	first.unsubscribe();
	await refreshWith(made, ['a']);
	await refreshWith(made, ['b']);
	expect(first.ids()).toEqual([]);
	expect(calls).toEqual(['x']);
});

test('a listener that is subscribed twice is called twice, and unsubscribed once each', async () => {
	const made = makeCache();
	const listener = vi.fn();
	const unsubscribe = made.subscribe(listener);
	made.subscribe(listener);
	await refreshWith(made, ['a']);
	expect(listener).toHaveBeenCalledTimes(2);
	unsubscribe();
	await refreshWith(made, ['b']);
	expect(listener).toHaveBeenCalledTimes(3);
});

test.each<[string, () => unknown]>([
	[
		'throws',
		() => {
			throw new Error('of the listener');
		},
	],
	['rejects', () => Promise.reject(new Error('of the listener'))],
	['returns a thenable that throws', () => makeThenable('called')],
])('a listener that %s harms neither the others nor the callers', async (_, listener) => {
	const unhandled = countUnhandledRejections();
	const made = makeCache();
	made.subscribe(listener as () => void);
	const { ids } = recordSnapshots(made);
	const list = made.ids();
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(ids()).toEqual([['a']]);
	await settle();
	expect(unhandled).toEqual([]);
});

test('a listener may call list(), read(), peek(), subscribe() and clear()', async () => {
	const made = makeCache();
	const inner: Promise<unknown>[] = [];
	const unsubscribe = made.subscribe(() => {
		inner.push(
			made.ids(),
			made.read().then(({ models }) => idsOf(models)),
		);
		expect(made.peekIds()).toEqual(['a']);
		recordSnapshots(made);
		made.clear();
		unsubscribe();
	});
	const list = made.ids();
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(await Promise.all(inner)).toEqual([['a'], ['a']]);
	expect(made.peek()).toBeUndefined();
});

test('clear() calls no subscriber, and neither does the same list after it', async () => {
	const made = await makeFilledCache(['a']);
	const { ids } = recordSnapshots(made);
	made.clear();
	await settle();
	await refreshWith(made, ['a']);
	expect(ids()).toEqual([]);
	await refreshWith(made, ['b']);
	expect(ids()).toEqual([['b']]);
});

test('close() calls no subscriber, and a fetch that it ends neither', async () => {
	const made = await makeFilledCache(['a']);
	const { ids } = recordSnapshots(made);
	const pending = Promise.allSettled([made.list({ refresh: true })]);
	await made.fetches.nth(2);
	await made.close();
	await pending;
	recordSnapshots(made).unsubscribe();
	expect(ids()).toEqual([]);
	expect(vi.getTimerCount()).toBe(0);
});
