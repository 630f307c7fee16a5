import path from 'node:path';
import { expect, test } from 'vitest';
import {
	CommandSource,
	checkListener,
	checkListOptions,
	resolveSettings,
} from '../../src/api/settings.js';
import { version } from '../../src/api/version.js';

const durations = [
	'deadlineMs',
	'fetchTimeoutMs',
	'maxAgeMs',
	'staleWhileRevalidateMs',
	'cooldownMs',
	'keepAliveMs',
] as const;
const orInfinity = ['deadlineMs', 'maxAgeMs', 'staleWhileRevalidateMs'] as const;
const finite = ['fetchTimeoutMs', 'cooldownMs', 'keepAliveMs'] as const;

const resolve = (options: unknown) => () => resolveSettings(options as object);

test('the defaults are those of the documentation', () => {
	expect(resolveSettings()).toEqual({
		command: 'codex',
		args: ['app-server', '-c', 'features.plugins=false'],
		cwd: undefined,
		codexHome: undefined,
		env: {},
		clientInfo: { name: 'codex-models', title: 'codex-models', version },
		deadlineMs: 15_000,
		fetchTimeoutMs: 60_000,
		maxAgeMs: 300_000,
		staleWhileRevalidateMs: 86_400_000,
		cooldownMs: 30_000,
		retries: 2,
		maxEntries: 100,
		keepAliveMs: 0,
		inheritsCodexHome: true,
	});
});

test('undefined stands for the default', () => {
	const names = [
		'command',
		'args',
		'cwd',
		'codexHome',
		'env',
		'clientInfo',
		'retries',
		'maxEntries',
		'store',
		'onEvent',
	];
	const options = Object.fromEntries([...names, ...durations].map((name) => [name, undefined]));
	expect(resolveSettings(options)).toEqual(resolveSettings());
	expect(resolve({ unheardOf: undefined })).not.toThrow();
});

test.each(durations)('%s takes whole milliseconds from 0 to 2147483647', (name) => {
	for (const value of [0, 1, 2_147_483_647])
		expect(resolveSettings({ [name]: value })[name]).toBe(value);
});

test.each(durations)(
	'%s takes nothing else, and the TypeError names it, its bounds and the value',
	(name) => {
		const wrong = [
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
		];
		for (const value of wrong) expect(resolve({ [name]: value })).toThrow(TypeError);
		for (const [value, shown] of [
			[-1, '-1'],
			[1.5, '1\\.5'],
			[Number.NaN, 'NaN'],
			[2_147_483_648, '2147483648'],
			['5', "'5'"],
		]) {
			expect(resolve({ [name]: value })).toThrow(
				new RegExp(`"${name}".* 0 .*2147483647.*${shown}`),
			);
		}
	},
);

test.each(orInfinity)('%s may be Infinity, and its TypeError says so', (name) => {
	expect(resolveSettings({ [name]: Number.POSITIVE_INFINITY })[name]).toBe(
		Number.POSITIVE_INFINITY,
	);
	expect(resolve({ [name]: -1 })).toThrow(/Infinity/);
});

test.each(finite)('%s may not be Infinity', (name) => {
	const message = new RegExp(`"${name}".* 0 .*2147483647, got Infinity`);
	expect(resolve({ [name]: Number.POSITIVE_INFINITY })).toThrow(message);
});

const others: [name: string, good: unknown[], bad: unknown[]][] = [
	['retries', [0, 1, 100], [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 101, '1', null]],
	[
		'maxEntries',
		[1, 100, 1_000_000],
		[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_001, '1', null],
	],
	[
		'command',
		['codex', '/a/b', 'with space', () => 'codex'],
		['', '  ', 7, null, ['codex'], 'a\0b'],
	],
	['args', [[], ['a', '']], ['a', [7], [null], [undefined], Array(1), {}, null, ['a\0']]],
	['cwd', ['/', '.'], ['', ' ', 7, null, {}, 'a\0']],
	['codexHome', ['/a'], ['', ' ', 7, null, {}, 'a\0']],
	[
		'env',
		[{}, { A: 'b', C: undefined }],
		[
			'A=b',
			7,
			null,
			['A=b'],
			{ A: 7 },
			{ A: null },
			{ A: 'a\0' },
			{ 'A\0': 'a' },
			{ '': 'a' },
			new Map(),
		],
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
	['store', [new Map()], [null, 7, 'redis', {}, { get() {}, set() {} }]],
];

test.each(others)(
	'%s takes what it should, and a TypeError names it for every other value',
	(name, good, bad) => {
		for (const value of good) expect(resolve({ [name]: value })).not.toThrow();
		for (const value of bad) {
			expect(resolve({ [name]: value })).toThrow(TypeError);
			expect(resolve({ [name]: value })).toThrow(new RegExp(`"${name}`));
		}
	},
);

test('the TypeError of env or args shows the type of a value only, for it can be a secret', () => {
	const secret = 'sk-secret';
	const bad = [
		{ env: secret },
		{ env: [secret] },
		{ env: { OPENAI_API_KEY: [secret] } },
		{ env: { OPENAI_API_KEY: `${secret}\0` } },
		{ env: { [`${secret}\0`]: 'a' } },
		{ args: secret },
		{ args: [{ secret }] },
		{ args: ['--key', `${secret}\0`] },
	];
	for (const options of bad) {
		let message = '';
		try {
			resolveSettings(options as never);
		} catch (error) {
			message = (error as Error).message;
		}
		expect(message).toMatch(/"(?:env|args).*a value of type (?:string|object)/);
		expect(message).not.toContain('secret');
	}
});

test('a long or deep value is shortened in a TypeError', () => {
	const deep = { a: { b: 'c'.repeat(10_000) } };
	for (const value of [deep, 'x'.repeat(1e6), Array(1e5).fill(7)]) {
		expect(resolve({ deadlineMs: value })).toThrow(/^.{0,400}$/s);
	}
});

test('options that are no object, and unknown names, are misuse', () => {
	for (const options of [null, 7, 'codex', true, []]) expect(resolve(options)).toThrow(TypeError);
	expect(resolve({ deadlineMS: 5 })).toThrow(/"deadlineMS".*deadlineMs/);
	expect(resolve({ freshMs: 5 })).toThrow(TypeError);
	expect(resolve(Object.create({ deadlineMS: 5 }))).toThrow(/deadlineMS/);
});

test('an option may be inherited, or the getter of a class', () => {
	class Options {
		get deadlineMs() {
			return 7;
		}
	}
	expect(resolveSettings(Object.create({ deadlineMs: 7 })).deadlineMs).toBe(7);
	expect(resolveSettings(new Options()).deadlineMs).toBe(7);
});

test('changing the options afterwards changes no setting', () => {
	const options = {
		args: ['a'],
		env: { A: 'then' } as Record<string, string>,
		clientInfo: { name: 'then', version: '1' },
	};
	const settings = resolveSettings(options);
	options.args.length = 0;
	options.env.A = 'now';
	options.clientInfo.name = 'now';
	expect(settings).toMatchObject({
		args: ['a'],
		env: { A: 'then' },
		clientInfo: { name: 'then', version: '1' },
	});
});

test('a command with a slash and a cwd start from the directory of this process; a bare command does not', () => {
	expect(resolveSettings({ command: './a/codex' }).command).toBe(path.resolve('a/codex'));
	expect(resolveSettings({ command: 'codex' }).command).toBe('codex');
	expect(resolveSettings({ cwd: 'a' }).cwd).toBe(path.resolve('a'));
});

test('the CODEX_HOME of env counts as codexHome, and an empty or removed one as none', () => {
	const homeOf = (options: object) => {
		const { codexHome, inheritsCodexHome } = resolveSettings(options);
		return [codexHome, inheritsCodexHome];
	};
	expect(homeOf({})).toEqual([undefined, true]);
	expect(homeOf({ codexHome: '/a', env: { CODEX_HOME: '/b' } })).toEqual(['/a', false]);
	expect(homeOf({ env: { CODEX_HOME: '/b' } })).toEqual(['/b', false]);
	expect(homeOf({ env: { CODEX_HOME: '' } })).toEqual([undefined, false]);
	expect(homeOf({ env: { CODEX_HOME: undefined } })).toEqual([undefined, false]);
});

const wrongListOptions: [options: Record<string, unknown>, message: RegExp][] = [
	[{ deadlineMs: -1 }, /deadlineMs.* 0 .*2147483647.*-1/],
	[{ deadlineMs: 0.5 }, /deadlineMs.* 0 .*2147483647.*0\.5/],
	[{ deadlineMs: Number.NaN }, /deadlineMs.* 0 .*2147483647.*NaN/],
	[{ deadlineMs: 2_147_483_648 }, /deadlineMs.* 0 .*2147483647.*2147483648/],
	[{ deadlineMs: '5' }, /deadlineMs.*'5'/],
	[{ includeHidden: 'yes' }, /includeHidden.*boolean.*'yes'/],
	[{ refresh: 1 }, /refresh.*boolean.*1/],
	[{ signal: {} }, /signal.*AbortSignal/],
	[{ signal: { aborted: false } }, /signal.*AbortSignal/],
	[{ signal: { addEventListener() {} } }, /signal.*AbortSignal/],
	[
		{ signal: { aborted: false, addEventListener() {}, removeEventListener() {} } },
		/signal.*AbortSignal/,
	],
	[{ signal: new AbortController() }, /signal.*AbortSignal/],
	[{ cwd: '' }, /cwd.*''/],
	[{ codexHome: 7 }, /codexHome.*7/],
	[{ include_hidden: true }, /include_hidden/],
	[{ maxAgeMs: 5 }, /maxAgeMs/],
];

test.each(wrongListOptions)('the list options %o are misuse', (options, message) => {
	expect(() => checkListOptions(options)).toThrow(TypeError);
	expect(() => checkListOptions(options)).toThrow(message);
});

test('list options are an object of known names, each of which may be undefined', () => {
	for (const options of [null, 7, 'a', []])
		expect(() => checkListOptions(options as never)).toThrow(TypeError);
	const { signal } = new AbortController();
	checkListOptions({
		includeHidden: true,
		deadlineMs: Number.POSITIVE_INFINITY,
		signal,
		refresh: false,
		cwd: '/',
		codexHome: '/',
	});
	checkListOptions({
		includeHidden: undefined,
		deadlineMs: undefined,
		signal: undefined,
		refresh: undefined,
		cwd: undefined,
	});
});

test('a listener is a function', () => {
	checkListener(() => {});
	for (const listener of [undefined, null, {}, 'log'])
		expect(() => checkListener(listener)).toThrow(/"listener".*function/);
});

test('a command that is a function is called for each fetch, and may change its answer', async () => {
	const answers = ['codex', './a/codex'];
	const source = new CommandSource(() => answers.shift() as string);
	expect(source.latest).toBeUndefined();
	expect(await source.resolve()).toBe('codex');
	expect(source.latest).toBe('codex');
	expect(await source.resolve()).toBe(path.resolve('a/codex'));
	expect(source.latest).toBe(path.resolve('a/codex'));
	const fixed = new CommandSource('codex');
	expect([fixed.latest, await fixed.resolve()]).toEqual(['codex', 'codex']);
});

test('a command function that returns no command is misuse, and its failure stays its own', async () => {
	for (const command of [undefined, null, '', ' ', 7, 'a\0']) {
		await expect(new CommandSource(async () => command as string).resolve()).rejects.toThrow(
			TypeError,
		);
	}
	const error = new Error('of the function');
	await expect(new CommandSource(() => Promise.reject(error)).resolve()).rejects.toBe(error);
});
