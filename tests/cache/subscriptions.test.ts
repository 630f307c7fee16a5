import { expect, test, vi } from 'vitest';
import { rpcError } from '../../src/api/errors.js';
import type { CatalogSnapshot } from '../../src/cache/model-list.js';
import {
	answer,
	makeCache,
	makeFilledCache,
	recordSnapshots,
	refreshWith,
} from './cache-harness.js';
import {
	checkIntervalMs,
	cooldownMs,
	exitError,
	makeModel,
	makeStore,
	maxAgeMs,
	setAge,
	settle,
	start,
	stopClock,
} from './fakes.js';

test('a subscriber hears of the first list, and of each that differs', async () => {
	stopClock();
	const made = makeCache();
	const { snapshots, ids } = recordSnapshots(made);
	await refreshWith(made, ['a']);
	expect(snapshots).toEqual([made.peek()]);
	expect(snapshots[0]).toMatchObject({ fetchedAt: start, isFresh: true, refreshError: null });
	setAge(10);
	await refreshWith(made, ['a']);
	expect(snapshots).toHaveLength(1);
	await refreshWith(made, ['a', 'b']);
	await refreshWith(made, ['b', 'a']);
	await refreshWith(made, [makeModel('b', { displayName: 'B' }), 'a']);
	expect(ids()).toEqual([['a'], ['a', 'b'], ['b', 'a'], ['b', 'a']]);
});

test('a subscriber does not hear of what peek() could tell when it subscribed', async () => {
	const made = await makeFilledCache(['a']);
	const { ids } = recordSnapshots(made);
	await refreshWith(made, ['a']);
	expect(ids()).toEqual([]);
	await refreshWith(made, ['b']);
	expect(ids()).toEqual([['b']]);
});

test('a subscriber hears of a change of the configured model', async () => {
	const made = await makeFilledCache(['a']);
	const { snapshots } = recordSnapshots(made);
	const configured = { model: 'a', modelProvider: null, reasoningEffort: 'high' };
	const done = made.list({ refresh: true });
	(await made.fetches.nth(2)).succeed(['a'], configured);
	await done;
	expect(snapshots.map((snapshot) => snapshot.configured)).toEqual([configured]);
});

test('a subscriber hears of a failure with another message, but not of one with another duration', async () => {
	const made = await makeFilledCache(['a']);
	const { snapshots } = recordSnapshots(made);
	const failWith = (rpcMessage: string, elapsedMs: number) =>
		refreshWith(
			made,
			rpcError({ rpcCode: -1, rpcMessage, rpcData: undefined, phase: 'model/list', elapsedMs }),
		);
	await failWith('quota exceeded', 10);
	await failWith('quota exceeded', 20);
	await failWith('login expired', 20);
	const messages = snapshots.map(({ refreshError }) => refreshError?.message);
	expect(messages).toEqual([
		expect.stringContaining('quota exceeded'),
		expect.stringContaining('login expired'),
	]);
});

test('a subscriber hears of a failed refresh once, and of the end of the failure', async () => {
	const made = await makeFilledCache(['a']);
	const { snapshots } = recordSnapshots(made);
	await refreshWith(made, exitError(1));
	await refreshWith(made, exitError(1));
	await refreshWith(made, exitError(2));
	await refreshWith(made, ['a']);
	expect(snapshots.map(({ refreshError }) => refreshError?.exitCode ?? null)).toEqual([1, 2, null]);
});

test('a subscriber hears of a background refresh, of its failure and of an empty answer', async () => {
	const made = await makeFilledCache(['a']);
	const { snapshots } = recordSnapshots(made);
	setAge(maxAgeMs);
	await made.list();
	await answer(made, 2);
	setAge(maxAgeMs + cooldownMs);
	await made.list();
	await answer(made, 3, 'b');
	expect(snapshots).toMatchObject([
		{ models: [{ id: 'a' }], refreshError: { code: 'ERR_CODEX_PROTOCOL' } },
		{ models: [{ id: 'b' }], refreshError: null },
	]);
});

test('a subscriber without a list hears nothing of a failure', async () => {
	const made = makeCache();
	const { snapshots } = recordSnapshots(made);
	await refreshWith(made, exitError());
	await refreshWith(made, []);
	expect(snapshots).toEqual([]);
});

test('a subscriber of the visible list hears nothing of hidden models', async () => {
	const made = await makeFilledCache(['a', makeModel('b', { hidden: true })]);
	const visible = recordSnapshots(made);
	const whole = recordSnapshots(made, { includeHidden: true });
	await refreshWith(made, ['a', makeModel('c', { hidden: true })]);
	expect(visible.ids()).toEqual([]);
	expect(whole.ids()).toEqual([['a', 'c']]);
	await refreshWith(made, ['a', 'c']);
	expect(visible.ids()).toEqual([['a', 'c']]);
	expect(whole.ids()).toEqual([
		['a', 'c'],
		['a', 'c'],
	]);
});

test('a subscriber hears of its own target only', async () => {
	const made = await makeFilledCache(['a']);
	const here = recordSnapshots(made);
	const there = recordSnapshots(made, { cwd: '/other' });
	const list = made.list({ cwd: '/other' });
	await answer(made, 2, 'b');
	await list;
	expect(here.ids()).toEqual([]);
	expect(there.ids()).toEqual([['b']]);
});

test('every subscriber gets a copy of its own', async () => {
	const made = makeCache();
	const spoilt = vi.fn((snapshot: CatalogSnapshot) => {
		snapshot.models.length = 0;
		snapshot.configured.model = 'spoilt';
	});
	made.subscribe(spoilt);
	const { ids, snapshots } = recordSnapshots(made);
	await refreshWith(made, [makeModel('a', { inputModalities: ['text'] })]);
	expect(spoilt).toHaveBeenCalledTimes(1);
	expect(ids()).toEqual([['a']]);
	snapshots[0]?.models[0]?.inputModalities.push('spoilt');
	expect(made.peek()).toMatchObject({
		models: [{ inputModalities: ['text'] }],
		configured: { model: null },
	});
});

test('a subscriber hears of a list that comes from the store, by a lookup or by a refresh', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['old'], { store });
	const other = makeCache({ store });
	const early = recordSnapshots(other);
	await other.list();
	expect(early.ids()).toEqual([['old']]);
	setAge(maxAgeMs);
	await refreshWith(one, ['new']);
	await other.list();
	await settle();
	expect(early.ids()).toEqual([['old'], ['new']]);
	expect(other.fetches.count).toBe(0);
});

test('a subscriber hears of the list of another account', async () => {
	const made = await makeFilledCache(['one']);
	const { ids } = recordSnapshots(made);
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs);
	const list = made.list();
	await answer(made, 2, 'two');
	await list;
	expect(ids()).toEqual([['two']]);
	made.files.change({ account: 'one' });
	setAge(2 * checkIntervalMs);
	await made.list();
	expect(ids()).toEqual([['two'], ['one']]);
});

test('a subscriber hears of the known list of an account that the look after a fetch finds', async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs);
	const { ids } = recordSnapshots(made);
	const list = made.list();
	await made.fetches.nth(2);
	made.files.change({ account: 'one' });
	await answer(made, 2, 'two');
	await list;
	expect(made.peekIds()).toEqual(['one']);
	// The subscriber knows this list since it subscribed.
	expect(ids()).toEqual([]);
	made.files.change({ account: 'two' });
	const later = recordSnapshots(made);
	await refreshWith(made, ['two']);
	expect(made.peekIds()).toEqual(['two']);
	expect(later.ids()).toEqual([['two']]);
});
