import { homedir } from 'node:os';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { CodexModelCatalog } from '../src/catalog.js';
import { listCodexModels } from '../src/list-codex-models.js';
import { version } from '../src/version.js';
import {
	failureOf,
	idsOf,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	realCodex,
	script,
} from './harness.js';

const durations = ['deadlineMs', 'fetchTimeoutMs', 'freshMs', 'staleMs', 'cooldownMs'] as const;
const orInfinity = ['deadlineMs', 'freshMs', 'staleMs'] as const;
const justFinite = ['fetchTimeoutMs', 'cooldownMs'] as const;

const construct = (options: unknown) => () => new CodexModelCatalog(options as object);

test.each(durations)('%s takes whole milliseconds from 0 to 2147483647', (name) => {
	for (const value of [0, 1, 2_147_483_647]) expect(construct({ [name]: value })).not.toThrow();
});

test.each(durations)(
	'%s takes nothing else, and the TypeError names it, its bounds and the value',
	(name) => {
		for (const value of [
			-1,
			0.5,
			Number.NaN,
			2_147_483_648,
			Number.NEGATIVE_INFINITY,
			'5',
			true,
			null,
			{},
			[],
			5n,
		]) {
			expect(construct({ [name]: value })).toThrow(TypeError);
		}
		expect(construct({ [name]: -1 })).toThrow(new RegExp(`${name}.* 0 .*2147483647.*-1`));
		expect(construct({ [name]: 1.5 })).toThrow(new RegExp(`${name}.* 0 .*2147483647.*1\\.5`));
		expect(construct({ [name]: Number.NaN })).toThrow(new RegExp(`${name}.* 0 .*2147483647.*NaN`));
		expect(construct({ [name]: 2_147_483_648 })).toThrow(new RegExp(`${name}.* 0 .*2147483647.*2147483648`));
		expect(construct({ [name]: '5' })).toThrow(new RegExp(`${name}.* 0 .*2147483647.*'5'`));
	},
);

test.each(orInfinity)('%s may be Infinity, and says so', (name) => {
	expect(construct({ [name]: Number.POSITIVE_INFINITY })).not.toThrow();
	expect(construct({ [name]: -1 })).toThrow(/Infinity/);
});

test.each(justFinite)('%s may not be Infinity', (name) => {
	expect(construct({ [name]: Number.POSITIVE_INFINITY })).toThrow(
		new RegExp(`${name}.* 0 .*2147483647.*Infinity`),
	);
});

test.each([
	['retries', [0, 1, 100], [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 101, '1', null]],
	['maxEntries', [1, 100], [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null]],
	['command', ['codex', '/a/b', 'with space'], ['', '  ', 7, null, ['codex'], 'a\0b']],
	['args', [[], ['a', '']], ['a', [7], [null], [undefined], {}, null, ['a\0']]],
	['cwd', ['/', '.'], ['', ' ', 7, null, {}, 'a\0']],
	['codexHome', ['/a'], ['', ' ', 7, null, {}, 'a\0']],
	[
		'env',
		[{}, { A: 'b', C: undefined }],
		['A=b', 7, null, ['A=b'], { A: 7 }, { A: null }, { A: 'a\0' }, { 'A\0': 'a' }, new Map()],
	],
	[
		'clientInfo',
		[
			{ name: 'a', version: '1' },
			{ name: 'a', title: 'b', version: '1' },
			{ name: 'a', title: undefined, version: '1' },
		],
		[
			'a',
			null,
			{},
			{ name: 'a' },
			{ version: '1' },
			{ name: 7, version: '1' },
			{ name: 'a', title: 7, version: '1' },
		],
	],
	['onEvent', [() => {}, async () => {}], ['log', {}, null, 7]],
])('%s takes what it should, and a TypeError names it for all else', (name, good, bad) => {
	for (const value of [undefined, ...good]) expect(construct({ [name]: value })).not.toThrow();
	for (const value of bad) {
		expect(construct({ [name]: value })).toThrow(TypeError);
		expect(construct({ [name]: value })).toThrow(new RegExp(`"${name}`));
	}
});

test('options that are no object, or that nobody knows, are misuse', () => {
	for (const options of [null, 7, 'codex', true, []]) expect(construct(options)).toThrow(TypeError);
	expect(construct({ deadlineMS: 5 })).toThrow(/deadlineMS/);
	expect(construct({ deadlineMS: 5 })).toThrow(TypeError);
});

test('misuse of list rejects with a TypeError that names the option, its bounds and the value, and starts nothing', async () => {
	const { catalog, server } = makeScriptedCatalog([['answers']]);
	const misuses: [Record<string, unknown>, RegExp][] = [
		[{ deadlineMs: -1 }, /deadlineMs.* 0 .*2147483647.*-1/],
		[{ deadlineMs: 0.5 }, /deadlineMs.* 0 .*2147483647.*0\.5/],
		[{ deadlineMs: Number.NaN }, /deadlineMs.* 0 .*2147483647.*NaN/],
		[{ deadlineMs: 2_147_483_648 }, /deadlineMs.* 0 .*2147483647.*2147483648/],
		[{ deadlineMs: '5' }, /deadlineMs.*'5'/],
		[{ includeHidden: 'yes' }, /includeHidden.*boolean.*'yes'/],
		[{ refresh: 1 }, /refresh.*boolean.*1/],
		[{ signal: {} }, /signal.*AbortSignal/],
		[{ signal: new AbortController() }, /signal.*AbortSignal/],
		[{ cwd: '' }, /cwd.*''/],
		[{ codexHome: 7 }, /codexHome.*7/],
		[{ include_hidden: true }, /include_hidden/],
	];
	for (const [options, message] of misuses) {
		const error = await failureOf(catalog.list(options));
		expect(error).toBeInstanceOf(TypeError);
		expect(error.message).toMatch(message);
	}
	for (const options of [null, 7, 'a', []]) {
		expect(await failureOf(catalog.list(options as never))).toBeInstanceOf(TypeError);
	}
	expect(server.starts).toBe(0);
});

test('misuse of peek throws, and misuse of the drop-in rejects', async () => {
	const { catalog } = makeScriptedCatalog([['answers']]);
	expect(() => catalog.peek({ includeHidden: 1 as never })).toThrow(/includeHidden/);
	expect(() => catalog.peek({ cwd: '' })).toThrow(TypeError);
	expect(await failureOf(listCodexModels({ deadlineMs: -1 }))).toBeInstanceOf(TypeError);
	expect(await failureOf(listCodexModels('true' as never))).toBeInstanceOf(TypeError);
});

test('undefined stands for the default', async () => {
	const { catalog } = makeScriptedCatalog([['answers', { models: [{ id: 'a' }] }]], {
		cwd: undefined,
		codexHome: undefined,
		env: undefined,
		clientInfo: undefined,
		freshMs: undefined,
		maxEntries: undefined,
	});
	const undefinedOptions = {
		includeHidden: undefined,
		deadlineMs: undefined,
		signal: undefined,
		refresh: undefined,
		cwd: undefined,
		codexHome: undefined,
	};
	expect(idsOf(await catalog.list(undefinedOptions))).toEqual(['a']);
});

test('the command is "codex" on PATH, with the arguments that keep it from its plugins', async () => {
	const server = script(['answers', { models: [{ id: 'a' }] }]);
	const { catalog } = makeCatalog({ env: { PATH: server.installAsCodex() } });
	expect(idsOf(await catalog.list())).toEqual(['a']);
	const [start] = server.find('start');
	expect(start?.argv.slice(start.argv.indexOf('--') + 1)).toEqual([
		'app-server',
		'-c',
		'features.plugins=false',
	]);
});

test('PATH is read at each start, not when the catalog is made', async () => {
	const server = script(['answers', { models: [{ id: 'a' }] }]);
	const { catalog } = makeCatalog({});
	vi.stubEnv('PATH', server.installAsCodex());
	expect(idsOf(await catalog.list())).toEqual(['a']);
});

test('a command with a slash is meant from where the host is, not from the app-server', async () => {
	const server = script(['answers', { models: [{ id: 'a' }] }]);
	const command = path.relative(process.cwd(), path.join(server.installAsCodex(), 'codex'));
	const { catalog } = makeCatalog({ command: command.startsWith('.') ? command : `./${command}` });
	expect(idsOf(await catalog.list())).toEqual(['a']);
});

test('a command and arguments with spaces and odd characters arrive as they are', async () => {
	const args = ['', ' a b ', '"', "'", '$HOME', '*', '\\', 'ä€😀', 'line\nbreak', '%PATH%'];
	const server = script(['answers', { models: [{ id: 'a' }] }]);
	const { catalog } = makeCatalog({ command: server.command, args: [...server.args, '--', ...args] });
	await catalog.list();
	const [start] = server.find('start');
	expect(start?.argv.slice(start.argv.indexOf('--') + 1)).toEqual(args);
});

test("the working directory is the user's home, never the host's", async () => {
	const home = makeDirectory();
	vi.stubEnv('HOME', home);
	const { catalog, server, events } = makeScriptedCatalog([['answers', { models: [{ id: 'a' }] }]]);
	await catalog.list();
	expect(homedir()).toBe(home);
	expect(server.find('start')[0]?.cwd).toBe(home);
	expect(events.ofType('waited')[0]?.cwd).toBe(home);
	expect(home).not.toBe(process.cwd());
});

test("the catalog's cwd is the app-server's, and a call's comes before it", async () => {
	const [one, two] = [makeDirectory(), makeDirectory()];
	const { catalog, server } = makeScriptedCatalog([['answers', { models: [{ id: 'a' }] }]], { cwd: one });
	await catalog.list();
	await catalog.list({ cwd: two });
	expect(server.find('start').map(({ cwd }) => cwd)).toEqual([one, two]);
});

test("the app-server gets the host's environment, with env laid over it and undefined ones removed", async () => {
	vi.stubEnv('TEST_KEPT', 'kept');
	vi.stubEnv('TEST_CHANGED', 'before');
	vi.stubEnv('TEST_REMOVED', 'still there');
	const { catalog, server } = makeScriptedCatalog([['answers', { models: [{ id: 'a' }] }]], {
		env: { TEST_CHANGED: 'after', TEST_NEW: 'new', TEST_EMPTY: '', TEST_REMOVED: undefined },
	});
	vi.stubEnv('TEST_LATER', 'read at the start');
	await catalog.list();
	const env = server.find('start')[0]?.env;
	expect(env).toMatchObject({
		TEST_KEPT: 'kept',
		TEST_CHANGED: 'after',
		TEST_NEW: 'new',
		TEST_EMPTY: '',
		TEST_LATER: 'read at the start',
	});
	expect(env).not.toHaveProperty('TEST_REMOVED');
	expect(process.env).toMatchObject({ TEST_CHANGED: 'before', TEST_REMOVED: 'still there' });
	expect(process.env).not.toHaveProperty('TEST_NEW');
});

test("codexHome is the app-server's CODEX_HOME: a call's before the catalog's before env's before the host's", async () => {
	vi.stubEnv('CODEX_HOME', '/from-host');
	const model = { models: [{ id: 'a' }] };
	const plain = makeScriptedCatalog([['answers', model]]);
	await plain.catalog.list();
	const withEnv = makeScriptedCatalog([['answers', model]], { env: { CODEX_HOME: '/from-env' } });
	await withEnv.catalog.list();
	const withOption = makeScriptedCatalog([['answers', model]], {
		env: { CODEX_HOME: '/from-env' },
		codexHome: '/from-option',
	});
	await withOption.catalog.list();
	await withOption.catalog.list({ codexHome: '/from-call' });
	const homes = [plain, withEnv, withOption].flatMap(({ server }) =>
		server.find('start').map(({ env }) => env.CODEX_HOME),
	);
	expect(homes).toEqual(['/from-host', '/from-env', '/from-option', '/from-call']);
});

test('CODEX_HOME is not set where nobody sets it', async () => {
	vi.stubEnv('CODEX_HOME', '/from-host');
	const { catalog, server, events } = makeScriptedCatalog([['answers', { models: [{ id: 'a' }] }]], {
		env: { CODEX_HOME: undefined },
	});
	await catalog.list();
	expect(server.find('start')[0]?.env).not.toHaveProperty('CODEX_HOME');
	expect(events.ofType('waited')[0]?.codexHome).toBeUndefined();
});

test("Codex is told of this package as its client, or of the host's own name", async () => {
	const model = { models: [{ id: 'a' }] };
	const plain = makeScriptedCatalog([['answers', model]]);
	await plain.catalog.list();
	expect(plain.server.requests('initialize')[0]?.params?.clientInfo).toMatchObject({
		name: 'codex-models',
		version,
	});
	const clientInfo = { name: 'my-hub', title: 'My Hub', version: '7.8.9' };
	const own = makeScriptedCatalog([['answers', model]], { clientInfo });
	await own.catalog.list();
	expect(own.server.requests('initialize')[0]?.params?.clientInfo).toEqual(clientInfo);
});

test('what the caller does to the options afterwards changes nothing', async () => {
	const server = script(['answers', { models: [{ id: 'a' }] }]);
	const options = {
		command: server.command,
		args: [...server.args],
		env: { TEST_OWN: 'then' } as Record<string, string>,
		clientInfo: { name: 'then', version: '1' },
	};
	const { catalog } = makeCatalog(options);
	options.command = '/nowhere';
	options.args.length = 0;
	options.env.TEST_OWN = 'now';
	options.clientInfo.name = 'now';
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.find('start')[0]?.env.TEST_OWN).toBe('then');
	expect(server.requests('initialize')[0]?.params?.clientInfo).toEqual({ name: 'then', version: '1' });
});

test('a deadline that Node could not wait for is refused, not taken for one millisecond', () => {
	expect(construct({ command: realCodex, deadlineMs: 2 ** 31 })).toThrow(TypeError);
});
