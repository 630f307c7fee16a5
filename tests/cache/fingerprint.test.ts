import { execFileSync } from 'node:child_process';
import {
	mkdirSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { CommandSource, resolveSettings } from '../../src/api/settings.js';
import { readFingerprint } from '../../src/cache/fingerprint.js';
import { makeDirectory } from './cache-harness.js';

/** A CODEX_HOME with a login and a configuration, and the function that reads its fingerprint. */
function makeHome(options: CodexModelCatalogOptions = {}) {
	const codexHome = makeDirectory();
	const settings = resolveSettings(options);
	const command = new CommandSource(settings.command);
	const fileOf = (name: string) => path.join(codexHome, name);
	const write = (name: string, content: string | object) => {
		const text = typeof content === 'string' ? content : JSON.stringify(content);
		// As Codex does it; a new file also has an inode of its own.
		writeFileSync(`${fileOf(name)}.new`, text);
		renameSync(`${fileOf(name)}.new`, fileOf(name));
	};
	const readHome = (home: string | undefined) =>
		readFingerprint({ cwd: '/', isDefaultCwd: true, codexHome: home, key: '' }, settings, command);
	const read = (home: string = codexHome) => readHome(home);
	return {
		codexHome,
		command,
		fileOf,
		write,
		read,
		readHome,
		logIn: (login: object | string) => write('auth.json', login),
		readAccount: async () => (await read()).account,
		readConfiguration: async () => (await read()).configuration,
	};
}

function makeJwt(claims: object): string {
	const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
	return `${part({ alg: 'none' })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** The login that Codex writes for ChatGPT, once more at each refresh of its tokens. */
function chatgpt(account: string | undefined, { claim = account, generation = 1 } = {}) {
	const jwt = makeJwt({
		email: 'someone@example.com',
		exp: generation,
		...(claim && {
			'https://api.openai.com/auth': { chatgpt_plan_type: 'pro', chatgpt_account_id: claim },
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

const otherAccounts: [change: string, before: object | undefined, after: object | undefined][] = [
	['another account id', chatgpt('one'), chatgpt('two')],
	[
		'another account that only the id token names',
		chatgpt(undefined, { claim: 'one' }),
		chatgpt(undefined, { claim: 'two' }),
	],
	['another key', apiKey('sk-one'), apiKey('sk-two')],
	['a key in place of an account', chatgpt('one'), apiKey('sk-one')],
	['another kind of login', apiKey('sk-one'), { ...apiKey('sk-one'), auth_mode: 'chatgpt' }],
	['a login', undefined, chatgpt('one')],
	['a login with a key', undefined, apiKey('sk-one')],
	['a logout', chatgpt('one'), undefined],
];

test.each(otherAccounts)('%s is another account', async (_, before, after) => {
	const home = makeHome();
	if (before) home.logIn(before);
	const first = await home.readAccount();
	expect(await home.readAccount()).toBe(first);
	if (after) home.logIn(after);
	else rmSync(home.fileOf('auth.json'));
	const second = await home.readAccount();
	expect(second).not.toBe(first);
	for (const account of [first, second]) expect(account).toMatch(/^(?:none|[\da-f]{32})$/);
});

const sameAccounts: [change: string, before: object, after: object][] = [
	['refreshed tokens', chatgpt('one'), chatgpt('one', { generation: 2 })],
	[
		'refreshed tokens where only the id token names the account',
		chatgpt(undefined, { claim: 'one' }),
		chatgpt(undefined, { claim: 'one', generation: 2 }),
	],
	['the same file, written again', chatgpt('one'), chatgpt('one')],
	[
		'another member',
		apiKey('sk-one'),
		{ ...apiKey('sk-one'), last_refresh: 'now', unheardOf: true },
	],
];

test.each(sameAccounts)('%s: the account stays the same', async (_, before, after) => {
	const home = makeHome();
	home.logIn(before);
	const first = await home.readAccount();
	home.logIn(after);
	expect(await home.readAccount()).toBe(first);
});

const noLogins: [what: string, make: (file: string) => void][] = [
	['a directory', (file) => mkdirSync(file)],
	['a link that leads nowhere', (file) => symlinkSync('/nowhere/at/all', file)],
	['a link to itself', (file) => symlinkSync(file, file)],
	['a FIFO', (file) => execFileSync('mkfifo', [file])],
	['an empty file', (file) => writeFileSync(file, '')],
	['half a file', (file) => writeFileSync(file, JSON.stringify(chatgpt('one')).slice(0, 40))],
	['null', (file) => writeFileSync(file, 'null')],
	['a binary file', (file) => writeFileSync(file, Buffer.from([0xff, 0xfe, 0, 1]))],
];

test.each(noLogins)('an auth.json that is %s counts as none', async (_, make) => {
	const home = makeHome();
	make(home.fileOf('auth.json'));
	expect(await home.readAccount()).toBe('none');
	expect(await home.readAccount()).toBe('none');
	rmSync(home.fileOf('auth.json'), { recursive: true, force: true });
	expect(await home.readAccount()).toBe('none');
	home.logIn(chatgpt('one'));
	expect(await home.readAccount()).not.toBe('none');
});

test.each([
	'[]',
	'7',
	'{}',
	'{"tokens":7}',
	'{"tokens":{"id_token":"a.b.c"}}',
	'{"tokens":{"id_token":7}}',
])('an auth.json of %s is no failure', async (text) => {
	const home = makeHome();
	home.logIn(text);
	expect(await home.readAccount()).toMatch(/^(?:none|[\da-f]{32})$/);
});

test('an auth.json of 100 MB is not read, and each version of it counts as another account', async () => {
	const home = makeHome();
	const size = 100 * 1024 * 1024;
	writeFileSync(home.fileOf('auth.json'), '');
	truncateSync(home.fileOf('auth.json'), size);
	const before = process.memoryUsage().arrayBuffers;
	const startedAt = performance.now();
	const first = await home.readAccount();
	expect(performance.now() - startedAt).toBeLessThan(1_000);
	expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size / 2);
	expect(first).not.toBe('none');
	expect(await home.readAccount()).toBe(first);
	utimesSync(home.fileOf('auth.json'), 1, 1);
	expect(await home.readAccount()).not.toBe(first);
});

test.each(['personal_access_token', 'agent_identity', 'bedrock_api_key'])(
	'two logins by %s are two accounts',
	async (member) => {
		const home = makeHome();
		home.logIn({ auth_mode: 'x', [member]: 'one' });
		const one = await home.readAccount();
		home.logIn({ auth_mode: 'x', [member]: 'two' });
		expect(await home.readAccount()).not.toBe(one);
	},
);

test('two logins without an account id are told apart by the subject of their id tokens', async () => {
	const home = makeHome();
	const logIn = (sub: string) =>
		home.logIn({ auth_mode: 'chatgpt', tokens: { id_token: makeJwt({ sub }) } });
	logIn('one');
	const one = await home.readAccount();
	logIn('two');
	expect(await home.readAccount()).not.toBe(one);
});

test('a fingerprint holds no credential', async () => {
	const home = makeHome({ command: '/marked/codex' });
	home.write('config.toml', 'marked = "marked-configuration"\n');
	for (const login of [chatgpt('marked-account'), apiKey('sk-marked')]) {
		home.logIn(login);
		expect(JSON.stringify(await home.read())).not.toContain('marked');
	}
});

const changedConfigurations: [
	change: string,
	before: string | undefined,
	after: string | undefined,
][] = [
	['appears', undefined, 'model = "a"\n'],
	['changes', 'model = "a"\n', 'model = "b"\n'],
	['disappears', 'model = "a"\n', undefined],
	['cannot be parsed any more', 'model = "a"\n', 'model = \n'],
	['is too large', 'model = "a"\n', `# ${'x'.repeat(2 * 1024 * 1024)}`],
];

test.each(changedConfigurations)(
	'a config.toml that %s is another configuration',
	async (_, before, after) => {
		const home = makeHome();
		if (before) home.write('config.toml', before);
		const { account, configuration, command } = await home.read();
		if (after) home.write('config.toml', after);
		else rmSync(home.fileOf('config.toml'));
		const changed = await home.read();
		expect(changed.configuration).not.toBe(configuration);
		expect(changed).toMatchObject({ account, command });
	},
);

test('a config.toml that is a FIFO or a directory counts as none, and hangs nothing', async () => {
	const home = makeHome();
	const none = await home.readConfiguration();
	execFileSync('mkfifo', [home.fileOf('config.toml')]);
	expect(await home.readConfiguration()).toBe(none);
	rmSync(home.fileOf('config.toml'));
	mkdirSync(home.fileOf('config.toml'));
	expect(await home.readConfiguration()).toBe(none);
});

test('a config.toml that was touched, or written again as it was, is the same configuration', async () => {
	const home = makeHome();
	home.write('config.toml', 'model = "a"\n');
	const first = await home.readConfiguration();
	utimesSync(home.fileOf('config.toml'), 1, 1);
	expect(await home.readConfiguration()).toBe(first);
	home.write('config.toml', 'model = "a"\n');
	expect(await home.readConfiguration()).toBe(first);
});

test('the CODEX_HOME is that of the target, else .codex in the home of the environment', async () => {
	const userHome = makeDirectory();
	const home = makeHome({ env: { HOME: userHome } });
	mkdirSync(path.join(userHome, '.codex'));
	writeFileSync(path.join(userHome, '.codex', 'auth.json'), JSON.stringify(apiKey('sk-one')));
	const ofUser = (await home.readHome(undefined)).account;
	expect(ofUser).not.toBe('none');
	expect(await home.readAccount()).toBe('none');
	home.logIn(apiKey('sk-one'));
	expect(await home.readAccount()).toBe(ofUser);
});

test('a CODEX_HOME that does not exist is a home without files', async () => {
	const home = makeHome();
	vi.stubEnv('HOME', '/nowhere/at/all');
	const empty = await home.read();
	for (const missing of ['/nowhere/at/all', undefined]) {
		expect(await home.readHome(missing)).toEqual(empty);
	}
});
