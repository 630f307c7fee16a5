import { expect, test } from 'vitest';
import * as harness from './harness.js';

const { clock, limits, makeFilledCatalog, makeHome, makeHostCatalog } = harness;
const { replaceStat, settle } = harness;
const { cooldownMs, lookIntervalMs, maxAgeMs } = limits;

/** The result of `config/read` that names these layers, and a catalogue of models. */
const toConfig = (names: unknown[], catalogue?: string) => ({
	config: { model: 'mine', model_catalog_json: catalogue },
	layers: names.map((name) => ({ name, config: {}, version: '1' })),
});

test.each([
	['a layer of the user', (file: string) => toConfig([{ type: 'user', file }])],
	[
		'the second of two layers',
		(file: string) => toConfig([{ file: '/1' }, { type: 'system', file }]),
	],
	['a layer of 0.66.0', (file: string) => ({ layers: [{ name: 'user', source: file }] })],
	["a project's folder", (file: string) => toConfig([{ dotCodexFolder: file.slice(0, -12) }])],
	['a catalogue of models', (file: string) => toConfig([], file)],
	['no file, for Codex always reads this one', () => undefined],
])(
	'a list is stale after a change, removal or creation of a file: the answer names %s',
	async (_, make) => {
		const home = makeHome();
		const name = 'work/.codex/config.toml';
		const config = make(home.fileOf(name));
		const options = { cwd: config ? '/' : home.fileOf('work') };
		for (const change of [
			() => home.write(name, 'one'),
			() => home.write(name, 'two'),
			() => home.touch(name),
			() => home.remove(name),
		]) {
			const made = await makeFilledCatalog(['a'], options, home, { config });
			clock.advance(lookIntervalMs);
			home.write('other', '');
			expect((await made.catalog.read()).isFresh).toBe(true);
			clock.advance(lookIntervalMs);
			change();
			expect((await made.catalog.read()).isFresh).toBe(false);
		}
	},
);

test('a stale list is served at once, refreshed, and watches the files of the new answer', async () => {
	const home = makeHome();
	for (const name of ['one', 'two']) home.write(name, '');
	const of = (name: string) => toConfig([{ file: home.fileOf(name) }]);
	const made = await makeFilledCatalog(['old'], {}, home, { config: of('one') });
	clock.advance(lookIntervalMs);
	home.write('one', 'changed');
	expect(await made.ids()).toEqual(['old']);
	await made.answer(2, ['new'], { config: of('two') });
	expect(made.catalog.peek()).toMatchObject({ models: [{ id: 'new' }], isFresh: true });
	for (const name of ['one', 'two', 'config.toml']) {
		clock.advance(lookIntervalMs);
		home.write(name, 'changed again');
		expect((await made.catalog.read()).isFresh).toBe(name === 'one');
	}
});

test('a list is remembered where a file that its answer is the first to name is older than the fetch', async () => {
	for (const isOlder of [true, false]) {
		const made = makeHostCatalog();
		const { home } = made;
		home.write('named', 'before the fetch');
		const config = toConfig([{ file: home.fileOf('named') }], home.fileOf('missing'));
		clock.advance(10);
		const list = made.ids();
		await made.fetch(1);
		clock.advance(10);
		if (!isOlder) home.write('named', 'during the fetch');
		await made.answer(1, ['a'], { config });
		expect(await list).toEqual(['a']);
		expect(made.catalog.peek() !== undefined).toBe(isOlder);
	}
});

test('a refresh whose list is not remembered lets the next one wait for cooldownMs', async () => {
	const made = await makeFilledCatalog(['old']);
	clock.setAge(maxAgeMs);
	await made.ids();
	const fetch = await made.fetch(2);
	made.home.write('config.toml', 'by the program that was started');
	fetch.succeed(['new']);
	await settle();
	for (const [passedMs, count] of [
		[cooldownMs - 1, 2],
		[1, 3],
	] as const) {
		clock.advance(passedMs);
		expect(await made.catalog.read()).toMatchObject({
			models: [{ id: 'old' }],
			refreshError: null,
		});
		expect(await made.countFetches()).toBe(count);
	}
});

test('files that cannot be looked at leave a list as fresh or stale as it was', async () => {
	const lack = () => Promise.reject(Object.assign(new Error('EMFILE'), { code: 'EMFILE' }));
	const made = await makeFilledCatalog(['a']);
	clock.setAge(lookIntervalMs);
	let restore = replaceStat(lack);
	expect((await made.catalog.read()).isFresh).toBe(true);
	restore();
	made.home.write('config.toml', 'model = "a"');
	clock.setAge(2 * lookIntervalMs);
	await made.refreshWith(new Error('no list'));
	for (const isReadable of [true, false]) {
		clock.advance(lookIntervalMs);
		if (!isReadable) restore = replaceStat(lack);
		expect((await made.catalog.read()).isFresh).toBe(false);
	}
	restore();
	clock.advance(cooldownMs);
	await made.ids();
	expect(await made.fetch(3)).toBeDefined();
});
