import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { makeDirectory } from '../harness.js';
import * as harness from './harness.js';

const { clock, exitError, limits, makeFilledCatalog, makeHome, makeHostCatalog } = harness;
const { settle } = harness;
const { lookIntervalMs } = limits;

test('lists are told apart by cwd and by codexHome, which the function of the host hears', async () => {
	const { folder } = makeHome();
	const made = makeHostCatalog();
	const targets = [{}, { cwd: 'one' }, { cwd: '/two' }, { codexHome: folder }];
	for (const [index, target] of targets.entries()) await made.readWith([`${index}`], target);
	for (const [index, target] of targets.entries())
		expect(await made.ids(target)).toEqual([`${index}`]);
	expect(await made.ids({ cwd: path.resolve('one') })).toEqual(['1']);
	expect(made.fetches.map(({ request: { cwd, codexHome } }) => [cwd, codexHome])).toEqual([
		[path.parse(folder).root, made.home.folder],
		[path.resolve('one'), made.home.folder],
		[path.resolve('/two'), made.home.folder],
		[path.parse(folder).root, folder],
	]);
	const other = await makeFilledCatalog(['a'], { cwd: 'one', codexHome: undefined });
	const signal = expect.any(AbortSignal);
	const request = { cwd: path.resolve('one'), codexHome: undefined, signal };
	expect(other.fetches.map((fetch) => fetch.request)).toEqual([request]);
});

test('a list belongs to the CODEX_HOME and the home of the process at the time of the call', async () => {
	const made = makeHostCatalog({ codexHome: undefined });
	vi.stubEnv('CODEX_HOME', '');
	for (const name of ['HOME', 'CODEX_HOME']) {
		const folders = [makeDirectory(), makeDirectory()];
		for (const folder of folders) {
			vi.stubEnv(name, folder);
			expect(made.catalog.peek()).toBeUndefined();
			await made.readWith([folder]);
		}
		vi.stubEnv(name, folders[0]);
		expect(made.peekIds()).toEqual([folders[0]]);
		const login = path.join(folders[0] as string, name === 'HOME' ? '.codex' : '', 'auth.json');
		mkdirSync(path.dirname(login), { recursive: true });
		writeFileSync(login, '{}');
		clock.advance(lookIntervalMs);
		await made.readWith(['of another login']);
	}
});

test('of more lists than maxEntries the least recently used ones are forgotten', async () => {
	for (const max of [1, 2, 5]) {
		const made = makeHostCatalog({ maxEntries: max });
		const cwds = Array.from({ length: 4 * max }, (_, index) => `/${index}`);
		for (const cwd of cwds) await made.readWith([cwd], { cwd });
		const known = cwds.filter((cwd) => made.catalog.peek({ cwd }));
		expect(known.length).toBeGreaterThanOrEqual(max);
		expect(known.length).toBeLessThanOrEqual(2 * max);
		expect(cwds.slice(-max).every((cwd) => known.includes(cwd))).toBe(true);
	}
	const made = await makeFilledCatalog(['kept'], { maxEntries: 2 });
	for (const cwd of ['/1', '/2', '/3', '/4', '/5']) {
		await made.readWith([cwd], { cwd });
		expect(await made.ids()).toEqual(['kept']);
	}
});

test('lists of many logins count for maxEntries, too', async () => {
	const made = makeHostCatalog({ maxEntries: 1 });
	for (const key of ['1', '2', '3', '4', '5', '4', '3', '2', '1']) {
		made.home.logIn(key);
		clock.advance(lookIntervalMs);
		const list = made.catalog.list();
		await settle();
		made.fetches.at(-1)?.succeed([key]);
		await list;
	}
	// Two may still be there when the order turns.
	expect(made.fetches.length).toBeGreaterThanOrEqual(7);
});

test('a list stays remembered while fetches of other targets fail', async () => {
	const made = await makeFilledCatalog(['a'], { maxEntries: 1 });
	for (let count = 0; count < 10; count++) {
		await made.readWith(exitError(), { cwd: `/${count}` });
		await made.readWith([], { cwd: `/${count}` });
	}
	expect(made.peekIds()).toEqual(['a']);
});

test('a fetch is joined also when its target was forgotten for others meanwhile', async () => {
	const made = makeHostCatalog({ maxEntries: 1 });
	const first = made.ids();
	await made.fetch(1);
	for (const cwd of ['/1', '/2', '/3']) await made.readWith(['other'], { cwd });
	const joining = made.ids();
	await made.answer(1, ['a']);
	expect(await Promise.all([first, joining])).toEqual([['a'], ['a']]);
	expect(made.fetches).toHaveLength(4);
	expect(made.peekIds()).toEqual(['a']);
});
