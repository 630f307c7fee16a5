import { execFileSync } from 'node:child_process';
import { mkdirSync, promises, symlinkSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { failureOf } from '../harness.js';
import { makeLogin } from '../releases/model-server.js';
import * as harness from './harness.js';

const { clock, exitError, isPending, limits, makeFilledCatalog, makeHome, makeHostCatalog } =
	harness;
const { makeGate, makeStore, never, replaceStat, settle } = harness;
const { lookIntervalMs, lookLimitMs } = limits;

const ann = makeLogin({ user: 'ann' });
const later = { user: 'ann', issuedAt: 1_800_000_000, expiresAt: 1_900_000_000 };
const key = (text: string) => JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: text });

/** Files are looked at again from now on. */
const nextLook = () => clock.advance(lookIntervalMs);

/** Whether the list from before a change is still served after it, from memory and as the same object. */
async function isSameLogin(user: harness.Home, change: () => unknown): Promise<boolean> {
	const made = await makeFilledCatalog(['before'], {}, user);
	const known = made.catalog.peek();
	nextLook();
	change();
	const list = made.catalog.read();
	await settle();
	const isSame = made.fetches.length === 1;
	if (!isSame) await made.answer(2, ['after']);
	expect((await list).models).toMatchObject([{ id: isSame ? 'before' : 'after' }]);
	if (isSame) expect(await list).toBe(known);
	return isSame;
}

test.each([
	['another member of the same workspace', ann, makeLogin({ user: 'bob' })],
	['another plan of the same user', ann, makeLogin({ user: 'ann', plan: 'plus' })],
	['another workspace of the same user', ann, makeLogin({ user: 'ann', workspace: 'ws-2' })],
	['a key in place of an account', ann, key('one')],
	['another key', key('one'), key('two')],
	['another kind of login', key('one'), key('one').replace('apikey', 'chatgpt')],
	['a member that this version does not know', '{"unheardOf":1}', '{"unheardOf":2}'],
	['half of the file', ann, ann.slice(0, 100)],
	['another half of a file', ann.slice(0, 100), ann.slice(0, 101)],
	['an empty file', ann, ''],
])('%s is another login', async (_, before, after) => {
	const user = makeHome();
	user.write('auth.json', before);
	expect(await isSameLogin(user, () => user.write('auth.json', after))).toBe(false);
	expect(await isSameLogin(user, () => user.remove('auth.json'))).toBe(false);
	expect(await isSameLogin(user, () => user.write('auth.json', before))).toBe(false);
});

test('refreshed tokens, and a file that is written again, are no other login', async () => {
	const user = makeHome();
	for (const text of [ann, key('one'), '{', '']) {
		user.write('auth.json', text);
		const after = text === ann ? makeLogin(later, 'r2') : text;
		expect(await isSameLogin(user, () => user.write('auth.json', after))).toBe(true);
	}
});

test.skipIf(process.platform === 'win32').each([
	['a FIFO', (file: string) => execFileSync('mkfifo', [file])],
	['a directory', (file: string) => mkdirSync(file)],
	['a file of 100 MB', (file: string) => execFileSync('truncate', ['-s', '100M', file])],
	['a link to itself', (file: string) => symlinkSync(file, file)],
])('an auth.json that is %s counts by its inode, size and times', async (what, make) => {
	const user = makeHome();
	const put = () => {
		user.remove('auth.json');
		make(user.fileOf('auth.json'));
	};
	put();
	expect(await isSameLogin(user, () => {})).toBe(true);
	// A link to itself has none.
	if (what !== 'a link to itself') expect(await isSameLogin(user, put)).toBe(false);
	expect(await isSameLogin(user, () => user.remove('auth.json'))).toBe(false);
	expect(await isSameLogin(user, put)).toBe(false);
});

test('another token in the environment is another login', async () => {
	for (const name of ['CODEX_ACCESS_TOKEN', 'CODEX_API_KEY']) {
		for (const value of ['one', 'two', undefined, 'one'])
			expect(await isSameLogin(makeHome(), () => vi.stubEnv(name, value))).toBe(false);
		expect(await isSameLogin(makeHome(), () => vi.stubEnv(name, 'one'))).toBe(true);
	}
});

test("another login's list is not served, also after a failure; a login that comes back gets its own", async () => {
	const made = await makeFilledCatalog(['of none']);
	made.home.logIn('first');
	nextLook();
	const failure = failureOf(made.catalog.list());
	expect(await isPending(failure)).toBe(true);
	expect(made.catalog.peek()).toBeUndefined();
	await made.answer(2, exitError());
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	await made.readWith(['of the first']);
	for (const [change, ids] of [
		[() => made.home.remove('auth.json'), ['of none']],
		[() => made.home.logIn('first'), ['of the first']],
	] as const) {
		change();
		nextLook();
		expect(await made.ids()).toEqual(ids);
		expect(made.peekIds()).toEqual(ids);
	}
	expect(made.fetches).toHaveLength(3);
	expect(made.events.count('stale')).toBe(0);
});

test('a list is not remembered after any change of the login during its fetch, also there and back', async () => {
	for (const keys of [['second'], ['second', 'first'], ['first']]) {
		const made = makeHostCatalog();
		made.home.logIn('first');
		const list = made.ids();
		await made.fetch(1);
		clock.advance(1);
		for (const one of keys) made.home.logIn(one);
		await made.answer(1, ['of one of them']);
		expect(await list).toEqual(['of one of them']);
		expect(made.catalog.peek()).toBeUndefined();
		nextLook();
		expect(await made.readWith(['new'])).toMatchObject({ isFresh: true });
	}
});

test('a list that comes into the store during the wait for its lock is not served to another login', async () => {
	const store = makeStore();
	const { opened, open } = makeGate();
	const lock = () => opened.then(() => () => {});
	const made = makeHostCatalog({ store: { ...store, lock } });
	made.home.logIn('first');
	const list = made.ids();
	await settle();
	await makeFilledCatalog(['of the first'], { store }, made.home);
	made.home.logIn('second');
	open();
	await made.answer(1, ['of the second']);
	expect(await list).toEqual(['of the second']);
	expect(made.catalog.peek()).toBeUndefined();
});

test('a list is not stored for a login that could not be read at first', async () => {
	const store = makeStore();
	const made = makeHostCatalog({ store });
	made.home.logIn('first');
	const { stat } = promises;
	const { opened, open } = makeGate();
	const restore = replaceStat((file) => opened.then(() => stat(file)));
	const list = made.ids();
	// The first look takes longer than a second.
	await clock.pass(1_000);
	restore();
	open();
	await made.answer(1, ['of the first']);
	expect(await list).toEqual(['of the first']);
	expect(store.map.size).toBe(0);
});

test('an answer to a login that came after the last look is not remembered for the login before', async () => {
	const made = await makeFilledCatalog(['of none']);
	made.home.logIn('first');
	expect(await made.refreshWith(['of the first'])).toMatchObject({ isFresh: false });
	expect(made.peekIds()).toEqual(['of none']);
});

test('while files cannot be looked at a known list is served, and a new one is not remembered', async () => {
	const lack = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
	for (const stat of [lack('EMFILE'), lack('ENOMEM'), lack('EIO'), never]) {
		const made = await makeFilledCatalog(['a']);
		const known = made.catalog.peek();
		nextLook();
		const restore = replaceStat(stat);
		const hit = made.catalog.read();
		await clock.pass(stat === never ? lookLimitMs : 0);
		expect(await hit).toBe(known);
		expect(await made.ids({ deadlineMs: 0 })).toEqual(['a']);
		const cold = makeHostCatalog({ deadlineMs: 1e6 }, made.home);
		const list = cold.ids();
		// A caller without a list, and each of the two looks of a fetch, wait for a second.
		for (let count = 0; count < 2; count++) await clock.pass(1_000);
		(await cold.fetch(1)).succeed(['b']);
		await clock.pass(1_000);
		expect(await list).toEqual(['b']);
		expect(cold.catalog.peek()).toBeUndefined();
		restore();
	}
});

test('a list is not remembered where one of its files cannot be looked at', async () => {
	const lack = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
	const { stat } = promises;
	for (const name of ['auth.json', 'config.toml', undefined]) {
		const made = makeHostCatalog();
		const isName = (file: string) => name !== undefined && file === made.home.fileOf(name);
		replaceStat((file) => (isName(file) ? lack() : stat(file)));
		expect(await made.readWith(['a'])).toMatchObject({ isFresh: name === undefined });
		expect(made.peekIds()).toEqual(name === undefined ? ['a'] : undefined);
	}
});

test('a login that cannot be read for want of a descriptor is the one from before', async () => {
	const made = await makeFilledCatalog(['a']);
	nextLook();
	replaceStat(() => Promise.reject(Object.assign(new Error(), { code: 'EMFILE' })), 'open');
	expect(await made.catalog.read()).toMatchObject({ models: [{ id: 'a' }], isFresh: true });
});

test('the list of a login that comes back is stale after a change of a file that its answer named', async () => {
	const made = makeHostCatalog();
	made.home.write('layer', 'one');
	const more = { config: { layers: [{ name: { file: made.home.fileOf('layer') } }] } };
	clock.advance(1);
	await made.readWith(['of none'], { more });
	made.home.logIn('first');
	nextLook();
	await made.readWith(['of the first']);
	made.home.write('layer', 'two');
	made.home.remove('auth.json');
	nextLook();
	expect(await made.catalog.read()).toMatchObject({ models: [{ id: 'of none' }], isFresh: false });
});
