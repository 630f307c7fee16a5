import { expect, test } from 'vitest';
import {
	clock,
	exitError,
	limits,
	makeFilledCatalog,
	makeHostCatalog,
	makeStore,
	settle,
} from './harness.js';

const { maxAgeMs, servableMs, cooldownMs } = limits;

const builtIn = { warnings: [{ type: 'built-in-list' as const, message: 'no server' }] };
const ignored = { warnings: [{ type: 'config-ignored' as const, message: 'using defaults' }] };
const fallback = { code: 'ERR_CODEX_FALLBACK', message: expect.stringContaining('no server') };

test.each([
	[{}, cooldownMs],
	[{ maxAgeMs: 1_000 }, 1_000],
])(
	'a built-in list is served with a warning, and with %j is fresh for %d ms',
	async (options, limitMs) => {
		const made = await makeFilledCatalog(['built in'], options, undefined, builtIn);
		expect(await made.catalog.read()).toMatchObject({ isFresh: true, ...builtIn });
		clock.setAge(limitMs - 1);
		expect(made.catalog.peek()).toMatchObject({ isFresh: true, refreshError: null });
		clock.setAge(limitMs);
		expect(await made.catalog.read()).toMatchObject({ isFresh: false });
		await made.answer(2, ['good']);
		expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'good' }], warnings: [] });
	},
);

test('a built-in list replaces no better one, by a refresh or in the background', async () => {
	const store = makeStore();
	const made = await makeFilledCatalog(['good'], { store });
	const { heard } = made.record();
	expect(await made.refreshWith(['built in'], { more: builtIn })).toMatchObject(fallback);
	clock.setAge(maxAgeMs);
	await made.ids();
	await settle();
	expect(made.fetches).toHaveLength(3);
	await made.answer(3, ['built in'], builtIn);
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'good' }], refreshError: fallback });
	expect(heard).toMatchObject([{ models: [{ id: 'good' }], refreshError: fallback }]);
	clock.setAge(maxAgeMs + cooldownMs - 1);
	await made.ids();
	await settle();
	expect(made.fetches).toHaveLength(3);
	expect(await makeHostCatalog({ store }, made.home).ids()).toEqual(['good']);
});

test('a built-in list replaces another one, and a good one whose time is over', async () => {
	const made = await makeFilledCatalog(['good']);
	clock.setAge(servableMs);
	expect(await made.readWith(['built in'], { more: builtIn })).toMatchObject(builtIn);
	await made.refreshWith(['another'], { more: builtIn });
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'another' }], refreshError: null });
});

test('a good list that only the store has counts as well: a refresh that brings the built-in list rejects', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['good'], { store });
	const made = makeHostCatalog({ store }, home);
	clock.setAge(10);
	expect(await made.refreshWith(['built in'], { more: builtIn })).toMatchObject(fallback);
	expect(made.peekIds()).toEqual(['good']);
	expect(await makeHostCatalog({ store }, home).ids()).toEqual(['good']);
});

test('a built-in list takes the place of no good one that another process stored during the fetch', async () => {
	const store = makeStore();
	const made = makeHostCatalog({ store });
	const list = made.ids();
	const fetch = await made.fetch(1);
	await makeFilledCatalog(['good'], { store }, made.home);
	fetch.succeed(['built in'], builtIn);
	await list;
	await settle();
	expect(await makeHostCatalog({ store }, made.home).ids()).toEqual(['good']);
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

test('a warning of an unknown type or another shape is left out, and a message is one line without codes', async () => {
	const message = `a\u001b[31m\nb sk-0123456789abcdef0123`;
	const warnings = [{ type: 'unheard-of', message }, null, 7, { type: 'config-ignored', message }];
	const made = makeHostCatalog();
	const read = made.catalog.read();
	(await made.fetch(1)).reply({ models: [{ id: 'a' }], warnings });
	expect((await read).warnings).toEqual([
		{ type: 'config-ignored', message: expect.stringMatching(/^a.?b \[redacted\]$/) },
	]);
	const cold = makeHostCatalog();
	const list = cold.catalog.read();
	(await cold.fetch(1)).reply({ models: [{ id: 'a' }], warnings: 'none' });
	expect((await list).warnings).toEqual([]);
});
