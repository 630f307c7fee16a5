import { expect, test, vi } from 'vitest';
import * as harness from './harness.js';

const { clock, exitError, limits, makeFilledCatalog, makeGate, makeHostCatalog, makeStore } =
	harness;
const { settle } = harness;
const { maxAgeMs, servableMs, cooldownMs } = limits;

const builtIn = { warnings: [{ type: 'built-in-list' as const, message: 'no server' }] };
const ignored = { warnings: [{ type: 'config-ignored' as const, message: 'using defaults' }] };
const message = expect.stringContaining('no server');
const fallback = { code: 'ERR_CODEX_FALLBACK', message, stderr: '' };

test('a built-in list is served with a warning, and is fresh for cooldownMs or maxAgeMs', async () => {
	for (const [options, limitMs] of [
		[{}, cooldownMs],
		[{ maxAgeMs: 1_000 }, 1_000],
	] as const) {
		const made = await makeFilledCatalog(['built in'], options, undefined, builtIn);
		clock.advance(limitMs - 1);
		expect(await made.catalog.read()).toMatchObject({ isFresh: true, ...builtIn });
		clock.advance(1);
		expect(await made.catalog.read()).toMatchObject({ isFresh: false, refreshError: null });
		await made.answer(2, ['good']);
		expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'good' }], warnings: [] });
	}
});

test('a built-in list replaces no better one, by a refresh or in the background', async () => {
	const store = makeStore();
	const made = await makeFilledCatalog(['good'], { store });
	const { heard } = made.record();
	expect(await made.refreshWith(['built in'], { more: builtIn })).toMatchObject(fallback);
	clock.setAge(maxAgeMs);
	await made.ids();
	expect(await made.countFetches()).toBe(3);
	await made.answer(3, ['built in'], builtIn);
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'good' }], refreshError: fallback });
	expect(heard).toMatchObject([{ models: [{ id: 'good' }], refreshError: fallback }]);
	clock.setAge(maxAgeMs + cooldownMs - 1);
	await made.ids();
	expect(await made.countFetches()).toBe(3);
	expect(await makeHostCatalog({ store }, made.home).ids()).toEqual(['good']);
});

test('a built-in list replaces another one, and a good one whose time is over', async () => {
	const made = await makeFilledCatalog(['good']);
	clock.setAge(servableMs);
	expect(await made.readWith(['built in'], { more: builtIn })).toMatchObject(builtIn);
	await made.refreshWith(['another'], { more: builtIn });
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'another' }], refreshError: null });
});

test('a built-in list replaces no better one in a store that has just been cleared or did not answer', async () => {
	for (const isCleared of [true, false]) {
		const store = makeStore();
		const { home } = await makeFilledCatalog(['good'], { store });
		clock.advance(1);
		const get = vi.fn(store.get);
		const made = makeHostCatalog({ store: { ...store, get } }, home);
		if (isCleared) made.catalog.clear();
		else for (let count = 0; count < 2; count++) get.mockImplementationOnce(() => expect.fail());
		expect(await made.readWith(['built in'], { more: builtIn })).toMatchObject(builtIn);
		expect(await makeHostCatalog({ store }, home).ids()).toEqual(['good']);
	}
});

test('a good list that only the store has counts as well, also one that came during the fetch', async () => {
	for (const isLate of [false, true]) {
		const store = makeStore();
		const made = makeHostCatalog({ store });
		const fill = () => makeFilledCatalog(['good'], { store }, made.home);
		if (!isLate) await fill();
		clock.advance(10);
		const read = made.catalog.read({ refresh: true }).catch((error) => error);
		const fetch = await made.fetch(1);
		if (isLate) await fill();
		fetch.succeed(['built in'], builtIn);
		expect(await read).toMatchObject(isLate ? { models: [{ id: 'good' }] } : fallback);
		await settle();
		expect(await makeHostCatalog({ store }, made.home).ids()).toEqual(['good']);
	}
});

test('a caller gets the stale list of a store that failed at first, in place of the built-in one', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['good'], { store });
	clock.setAge(maxAgeMs);
	const get = vi.fn(store.get).mockImplementationOnce(() => expect.fail('busy'));
	const made = makeHostCatalog({ store: { ...store, get } }, home);
	expect(await made.readWith(['built in'], { more: builtIn })).toMatchObject({
		models: [{ id: 'good' }],
		refreshError: fallback,
	});
});

test('a list that was made from defaults says so to each caller, also from the store', async () => {
	const store = makeStore();
	const made = await makeFilledCatalog(['a'], { store }, undefined, ignored);
	for (let count = 0; count < 2; count++)
		expect(await made.catalog.read()).toMatchObject({ isFresh: true, ...ignored });
	await made.refreshWith(exitError());
	expect(made.catalog.peek()).toMatchObject(ignored);
	const other = makeHostCatalog({ store }, made.home);
	expect(await other.catalog.read()).toMatchObject({ models: [{ id: 'a' }], ...ignored });
	clock.setAge(maxAgeMs);
	await other.refreshWith(['a']);
	expect(other.catalog.peek()?.warnings).toEqual([]);
});

test('a warning of another shape is left out, and a message is one line without codes', async () => {
	const message = `a\u001b[31m\nb sk-0123456789abcdef0123`;
	const [good, unknown] = ['config-ignored', 'unheard-of'].map((type) => ({ type, message }));
	for (const warnings of ['none', [unknown, null, 7, good]]) {
		const made = makeHostCatalog();
		const read = made.catalog.read();
		(await made.fetch(1)).reply({ models: [{ id: 'a' }], warnings });
		const words = (await read).warnings.map(({ type, message }) => `${type}: ${message}`);
		expect(words.join()).toMatch(
			warnings === 'none' ? /^$/ : /^config-ignored: a.?b \[redacted\]$/,
		);
	}
});

test('a built-in list is not remembered where clear() comes while the store is asked for a better one', async () => {
	const { opened, open } = makeGate();
	const get = vi.fn(() => opened).mockResolvedValueOnce(undefined);
	const made = makeHostCatalog({ store: makeStore({ get }) });
	const read = made.catalog.read();
	await made.answer(1, ['built in'], builtIn);
	made.catalog.clear();
	open();
	expect(await read).toMatchObject({ models: [{ id: 'built in' }], isFresh: false });
	expect(made.catalog.peek()).toBeUndefined();
});
