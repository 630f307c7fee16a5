import { expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import { exitError, makeHostCatalog, settle } from './harness.js';

test('fifty callers share one fetch, and a refresh joins it; another catalog has its own', async () => {
	const made = makeHostCatalog();
	const other = makeHostCatalog({}, made.home);
	const lists = Array.from({ length: 50 }, () => made.catalog.list());
	const ids = other.ids();
	await settle();
	const late = made.catalog.list({ refresh: true });
	await made.answer(1, ['a']);
	await other.answer(1, ['b']);
	expect(new Set(await Promise.all([...lists, late])).size).toBe(1);
	expect(await ids).toEqual(['b']);
	expect(made.fetches).toHaveLength(1);
	expect(made.events.count('miss')).toBe(51);
});

test('callers who wait share a failure, and the next call starts another fetch', async () => {
	const made = makeHostCatalog();
	const failures = [made.catalog.list(), made.catalog.list()].map(failureOf);
	await made.answer(1, exitError());
	const [first, second] = await Promise.all(failures);
	expect(first).toBe(second);
	expect(first).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 1 });
	expect(made.events.count('failed')).toBe(1);
	expect(await made.readWith(['a'])).toMatchObject({ isFresh: true, refreshError: null });
});

test('an empty answer is returned where there is nothing to serve, and is not remembered', async () => {
	const made = makeHostCatalog();
	expect(await made.readWith([])).toMatchObject({ models: [] });
	expect(made.catalog.peek()).toBeUndefined();
	expect(await made.readWith(['a'])).toMatchObject({ isFresh: true });
});
