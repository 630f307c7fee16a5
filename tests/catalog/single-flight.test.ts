import { expect, test } from 'vitest';
import { CodexModelCatalog } from '../../src/catalog.js';
import { failureOf } from '../harness.js';
import { makeHostCatalog, settle } from './harness.js';

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
	(await made.fetch(1)).fail();
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

test('misuse rejects or throws a TypeError that names the option, and starts nothing', async () => {
	const made = makeHostCatalog();
	const { catalog } = made;
	for (const [name, value] of [
		['deadlineMs', -1],
		['deadlineMs', 2 ** 31],
		['codexHome', 'relative'],
		['cwd', '~'],
		['refresh', 1],
	] as const) {
		const wrong: object = { [name]: value };
		for (const error of await Promise.all(
			[catalog.list(wrong), catalog.read(wrong)].map(failureOf),
		)) {
			expect(error).toBeInstanceOf(TypeError);
			expect(error.message).toContain(`"${name}"`);
		}
	}
	const refresh: object = { refresh: true };
	expect(() => catalog.peek({ cwd: '' })).toThrow(TypeError);
	expect(() => catalog.peek(refresh)).toThrow(/Unknown option "refresh"/);
	expect(() => catalog.subscribe(() => {}, refresh)).toThrow(/Unknown option "refresh"/);
	expect(() => catalog.subscribe(undefined as never)).toThrow(TypeError);
	await settle();
	expect(made.fetches).toEqual([]);
});

test('an option of app-servers beside fetchModels is a TypeError; undefined is not', () => {
	const fetchModels = async () => ({ models: [] });
	const clientInfo = { name: 'a', version: '1' };
	const options = { command: 'codex', args: [], env: {}, clientInfo, retries: 0, keepAliveMs: 0 };
	for (const [name, value] of Object.entries(options)) {
		const make = (given: unknown) => new CodexModelCatalog({ fetchModels, [name]: given });
		expect(() => make(value)).toThrow(TypeError);
		expect(() => make(value)).toThrow(`"${name}"`);
		expect(() => make(undefined)).not.toThrow();
	}
});
