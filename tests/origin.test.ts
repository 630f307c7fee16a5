import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { CodexModelCatalogOptions } from '../src/options.js';
import { idsOf, makeCatalog, makeDirectory, neverMs, type Step, script, until } from './harness.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];
const gatedLists = (gate: string, ...ids: string[]): Step => [
	'answers',
	{ models: ids.map((id) => ({ id })), gates: { 'model/list': gate } },
];

const checkEveryMs = 1_000;

let now = 0;

/** Time for another look at the files. The clock is the cache's alone: timers run as ever. */
function pass(ms = checkEveryMs): void {
	now += ms;
	vi.setSystemTime(now);
}

function makeJwt(claims: object): string {
	const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
	return `${part({ alg: 'none' })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** What Codex writes at a login with ChatGPT, and anew at each refresh of its tokens. */
function chatgpt(account: string | undefined, { claim = account, generation = 1 } = {}) {
	const jwt = makeJwt({
		email: 'someone@example.com',
		exp: generation,
		...(claim && {
			'https://api.openai.com/auth': {
				chatgpt_plan_type: 'pro',
				chatgpt_account_id: claim,
				chatgpt_user_id: 'u',
			},
		}),
	});
	return {
		auth_mode: 'chatgpt',
		OPENAI_API_KEY: null,
		tokens: {
			id_token: jwt,
			access_token: jwt,
			refresh_token: `refresh-${generation}`,
			...(account && { account_id: account }),
		},
		last_refresh: new Date(generation * 1_000).toISOString(),
	};
}

const apiKey = (key: string) => ({ auth_mode: 'apikey', OPENAI_API_KEY: key, tokens: null });

/** A home of Codex's, and catalogs of it that share a store. */
function setUp(steps: Step[], login?: object) {
	vi.useFakeTimers({ toFake: ['Date'] });
	now = Date.UTC(2026, 0, 1);
	vi.setSystemTime(now);
	const server = script(...steps);
	const codexHome = makeDirectory();
	const store = new Map<string, unknown>();
	const { command, args } = server;
	const write = (name: string, content: string) => {
		// As Codex does, and so that no reader sees half of it.
		const file = path.join(codexHome, name);
		writeFileSync(`${file}.new`, content);
		renameSync(`${file}.new`, file);
	};
	const setup = {
		server,
		codexHome,
		store,
		logIn: (auth: object) => write('auth.json', JSON.stringify(auth)),
		logOut: () => rmSync(path.join(codexHome, 'auth.json')),
		/** By then the look at the files that a write begins with is over, too: the next one is a new one. */
		untilStored: (count = 1) => until(`${count} are stored`, () => store.size === count),
		configure: (toml: string) => write('config.toml', toml),
		open: (options: CodexModelCatalogOptions = {}) =>
			makeCatalog({
				command,
				args,
				codexHome,
				store,
				retries: 0,
				deadlineMs: neverMs,
				fetchTimeoutMs: neverMs,
				...options,
			}),
	};
	if (login) setup.logIn(login);
	return setup;
}

// Account

const anotherAccount: [change: string, before: object | undefined, after: object | undefined][] = [
	['another account', chatgpt('one'), chatgpt('two')],
	[
		'another account that only the id token names',
		chatgpt(undefined, { claim: 'one' }),
		chatgpt(undefined, { claim: 'two' }),
	],
	['another key', apiKey('sk-one'), apiKey('sk-two')],
	['a key in place of an account', chatgpt('one'), apiKey('sk-one')],
	['a login', undefined, chatgpt('one')],
	['a login with a key', undefined, apiKey('sk-one')],
	['a logout', chatgpt('one'), undefined],
];

test.each(anotherAccount)(
	'after %s the old list is served neither from memory nor from a store',
	async (_, before, after) => {
		const { server, store, open, logIn, logOut, untilStored } = setUp(
			[lists('old'), gatedLists('open', 'new')],
			before,
		);
		const { catalog, events } = open();
		expect(idsOf(await catalog.list())).toEqual(['old']);
		await until('it is stored', () => store.size === 1);

		if (after) logIn(after);
		else logOut();
		pass();
		const list = catalog.list();
		await server.untilAsked('model/list', 2);
		expect(catalog.peek()).toBeUndefined();
		server.open('open');
		expect(idsOf(await list)).toEqual(['new']);
		expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['new']);
		expect([...events.ofType('loaded'), ...events.ofType('served-stale')]).toEqual([]);
		// Nor by a process that has only the store.
		await untilStored(2);
		expect(idsOf(await open().catalog.list())).toEqual(['new']);
		expect(server.starts).toBe(2);
	},
);

test('another account’s stale list is not what a failure falls back to', async () => {
	const { open, logIn, untilStored } = setUp(
		[lists('old'), ['exits', { at: 'initialize', code: 1 }]],
		chatgpt('one'),
	);
	const { catalog } = open();
	await catalog.list();
	await untilStored();
	logIn(chatgpt('two'));
	pass();
	await expect(catalog.list()).rejects.toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(catalog.peek()).toBeUndefined();
});

test('an account that comes back finds its list in the store', async () => {
	const { server, store, open, logIn, untilStored } = setUp([lists('one'), lists('two')], chatgpt('one'));
	const { catalog, events } = open();
	await catalog.list();
	await until('it is stored', () => store.size === 1);
	logIn(chatgpt('two'));
	pass();
	expect(idsOf(await catalog.list())).toEqual(['two']);
	await untilStored(2);
	logIn(chatgpt('one', { generation: 2 }));
	pass();
	expect(idsOf(await catalog.list())).toEqual(['one']);
	expect(events.count('loaded')).toBe(1);
	expect(server.starts).toBe(2);
});

const sameAccount: [change: string, before: object, after: object][] = [
	['tokens that were refreshed', chatgpt('one'), chatgpt('one', { generation: 2 })],
	[
		'tokens that were refreshed, where only the id token names the account',
		chatgpt(undefined, { claim: 'one' }),
		chatgpt(undefined, { claim: 'one', generation: 2 }),
	],
	['the same file, written again', chatgpt('one'), chatgpt('one')],
	['one more member', apiKey('sk-one'), { ...apiKey('sk-one'), last_refresh: 'now', unheardOf: true }],
];

test.each(sameAccount)('%s change nothing', async (_, before, after) => {
	const { server, store, open, logIn } = setUp([lists('a'), lists('never')], before);
	const { catalog, events } = open();
	await catalog.list();
	await until('it is stored', () => store.size === 1);
	logIn(after);
	pass();
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await open().catalog.list())).toEqual(['a']);
	expect(events.count('served-fresh')).toBe(1);
	expect(server.starts).toBe(1);
});

const noLogins: [what: string, spoil: (file: string) => void][] = [
	['is a directory', (file) => mkdirSync(file)],
	['leads nowhere', (file) => symlinkSync('/nowhere/at/all', file)],
	['leads to itself', (file) => symlinkSync(file, file)],
	['is empty', (file) => writeFileSync(file, '')],
	['is half a file', (file) => writeFileSync(file, JSON.stringify(chatgpt('one')).slice(0, 40))],
	['is null', (file) => writeFileSync(file, 'null')],
	['is binary', (file) => writeFileSync(file, Buffer.from([0xff, 0xfe, 0, 1]))],
];

test.each(noLogins)('an auth.json that %s is no login, and no failure', async (_, spoil) => {
	const { server, codexHome, store, open } = setUp([lists('a'), lists('never')]);
	spoil(path.join(codexHome, 'auth.json'));
	const { catalog, events } = open();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await until('it is stored', () => store.size === 1);
	pass();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	// The same as none at all.
	rmSync(path.join(codexHome, 'auth.json'), { recursive: true, force: true });
	pass();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await open().catalog.list())).toEqual(['a']);
	expect([...events.ofType('failed'), ...events.ofType('store-failed')]).toEqual([]);
	expect(server.starts).toBe(1);
});

const oddLogins = [
	'[]',
	'7',
	'{}',
	'{"tokens":7}',
	'{"tokens":{"id_token":"a.b.c"}}',
	'{"tokens":{"id_token":7}}',
];

test.each(oddLogins)('an auth.json of %s is no failure', async (text) => {
	const { codexHome, open } = setUp([lists('a')]);
	writeFileSync(path.join(codexHome, 'auth.json'), text);
	expect(idsOf(await open().catalog.list())).toEqual(['a']);
});

test('where the login changes while a list is fetched, nobody gets it from a cache', async () => {
	const { server, store, open, logIn } = setUp([gatedLists('open', 'old'), lists('new')], chatgpt('one'));
	const { catalog } = open();
	const list = catalog.list();
	await server.untilAsked('model/list');
	logIn(chatgpt('two'));
	pass();
	server.open('open');
	// Whoever waits for it has asked before.
	expect(idsOf(await list)).toEqual(['old']);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	await until('it is stored', () => store.size > 0);
	await catalog.close();
	expect([...store.values()]).toMatchObject([{ models: [{ id: 'new' }] }]);
	expect(server.starts).toBe(2);
});

test('a caller of another account does not join the fetch of the one before', async () => {
	const { server, store, open, logIn } = setUp([gatedLists('open', 'old'), lists('new')], chatgpt('one'));
	const keys = new Set<string>();
	const { catalog } = open({
		store: {
			get: (key) => store.get(keys.add(key) && key),
			set: (key, value) => store.set(key, value),
			delete: (key) => store.delete(key),
		},
	});
	const before = catalog.list();
	await server.untilAsked('model/list');
	logIn(chatgpt('two'));
	pass();
	const after = catalog.list();
	await until('it has looked into the store in vain', () => keys.size === 2);
	await new Promise((resolve) => setImmediate(resolve));
	server.open('open');
	expect(idsOf(await before)).toEqual(['old']);
	expect(idsOf(await after)).toEqual(['new']);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('the account is that of the CODEX_HOME of the list, wherever that is from', async () => {
	const { codexHome, logIn, open } = setUp([lists('a'), lists('b')], chatgpt('one'));
	const home = makeDirectory();
	symlinkSync(codexHome, path.join(home, '.codex'));
	const ways: [CodexModelCatalogOptions, object][] = [
		[{ codexHome: undefined, env: { CODEX_HOME: codexHome } }, {}],
		[{ codexHome: undefined, env: { CODEX_HOME: undefined, HOME: home } }, {}],
		[{ codexHome: makeDirectory() }, { codexHome }],
	];
	for (const [index, [options, listOptions]] of ways.entries()) {
		const { catalog, events } = open({ ...options, store: undefined });
		await catalog.list(listOptions);
		logIn(chatgpt(`another-${index}`));
		pass();
		await catalog.list(listOptions);
		expect(events.count('spawned')).toBe(2);
	}
});

test('files are looked at once a second at most', async () => {
	const { server, open, logIn, untilStored } = setUp([lists('old'), lists('new')], chatgpt('one'));
	const { catalog } = open();
	await catalog.list();
	await untilStored();
	logIn(chatgpt('two'));
	pass(checkEveryMs - 1);
	for (let count = 0; count < 10; count++) expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(server.starts).toBe(1);
	pass(1);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a clock that was set back does not put off the next look', async () => {
	const { open, logIn, untilStored } = setUp([lists('old'), lists('new')], chatgpt('one'));
	const { catalog } = open();
	await catalog.list();
	await untilStored();
	logIn(chatgpt('two'));
	pass(-neverMs);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('whoever asks with refresh: true gets the list of the account of now', async () => {
	const { open, logIn } = setUp([lists('one'), lists('two'), lists('three')]);
	const { catalog } = open();
	expect(idsOf(await catalog.list())).toEqual(['one']);
	// As a login in the keyring: no file tells of it.
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['two']);
	logIn(chatgpt('one'));
	pass();
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['three']);
});

// Configuration

test('a config.toml of other content makes the list stale: served at once, refreshed behind', async () => {
	const { server, open, configure, untilStored } = setUp([lists('old'), gatedLists('open', 'new')]);
	configure('model = "a"\n');
	const { catalog, events } = open();
	await catalog.list();
	await untilStored();
	configure('model = "b"\n');
	pass();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(events.ofType('served-stale')).toMatchObject([{ ageMs: checkEveryMs }]);
	expect(catalog.peek()).toMatchObject({ isFresh: false });
	await server.untilAsked('model/list', 2);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	server.open('open');
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	expect(server.starts).toBe(2);
});

test.each([
	['appears', undefined, 'model = "a"\n'],
	['goes', 'model = "a"\n', undefined],
	['becomes unreadable', 'model = "a"\n', null],
])('a config.toml that %s makes the list stale', async (_, before, after) => {
	const { codexHome, open, configure, untilStored } = setUp([lists('old'), lists('new')]);
	if (before) configure(before);
	const { catalog, events } = open();
	await catalog.list();
	await untilStored();
	if (after) configure(after);
	else rmSync(path.join(codexHome, 'config.toml'));
	if (after === null) mkdirSync(path.join(codexHome, 'config.toml'));
	pass();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('a config.toml that was touched or written again as it was changes nothing', async () => {
	const { server, codexHome, open, configure, untilStored } = setUp([lists('a'), lists('never')]);
	configure('model = "a"\n');
	const { catalog } = open();
	await catalog.list();
	await untilStored();
	utimesSync(path.join(codexHome, 'config.toml'), 1, 1);
	pass();
	await catalog.list();
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	configure('model = "a"\n');
	pass();
	await catalog.list();
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	expect(server.starts).toBe(1);
});

test('a list in the store of another configuration of this machine is stale: served at once, refreshed behind', async () => {
	const { store, server, open, configure } = setUp([lists('old'), lists('new')]);
	configure('model = "a"\n');
	const one = open();
	await one.catalog.list();
	await one.catalog.close();
	expect(store.size).toBe(1);
	configure('model = "b"\n');
	const { catalog, events } = open();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed');
	expect(idsOf(await catalog.list())).toEqual(['new']);
	await catalog.close();
	expect(idsOf(await open().catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a list in the store of another machine is as good as its age', async () => {
	const { store, server, open, configure } = setUp([lists('a'), lists('b')]);
	configure('model = "a"\n');
	const one = open();
	await one.catalog.list();
	await one.catalog.close();
	const [[key, value]] = [...store] as [[string, object]];
	store.set(key, { ...value, machine: 'another', configuration: 'another' });
	const { catalog, events } = open();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	// Its own changes count from then on, and that list is none that has heard of them.
	configure('model = "b"\n');
	pass();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(await events.nth('refreshed')).toMatchObject({ attempts: 1 });
	expect(idsOf(await catalog.list())).toEqual(['b']);
	expect(server.starts).toBe(2);
});

const replacements: [change: string, replace: (link: string, one: string, other: string) => void][] = [
	[
		'another target',
		(link, _, other) => {
			rmSync(link);
			symlinkSync(other, link);
		},
	],
	['another size', (_, one) => writeFileSync(one, '# more\n', { flag: 'a' })],
	['another time', (_, one) => utimesSync(one, 1, 1)],
];

test.each(replacements)('a command with %s makes the list stale', async (_, replace) => {
	const { server, open } = setUp([lists('old'), gatedLists('open', 'new')]);
	const one = path.join(server.installAsCodex(), 'codex');
	const folder = makeDirectory();
	const other = path.join(folder, 'other');
	const link = path.join(folder, 'codex');
	renameSync(one, other);
	server.installAsCodex();
	utimesSync(one, 2, 2);
	utimesSync(other, 2, 2);
	symlinkSync(one, link);
	const { catalog, events } = open({
		command: 'codex',
		args: [],
		env: { PATH: `${folder}${path.delimiter}${process.env.PATH}` },
	});
	await catalog.list();
	pass();
	await catalog.list();
	expect(catalog.peek()).toMatchObject({ isFresh: true });
	expect(server.starts).toBe(1);

	replace(link, one, other);
	pass();
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await server.untilAsked('model/list', 2);
	server.open('open');
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a command that is gone does not take the list away', async () => {
	const { server, open, untilStored } = setUp([lists('a')]);
	const command = path.join(server.installAsCodex(), 'codex');
	const { catalog, events } = open({ command, args: [] });
	await catalog.list();
	await untilStored();
	rmSync(command);
	pass();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect((await events.nth('failed')).error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND' });
	expect(idsOf(await catalog.list())).toEqual(['a']);
});
