import path from 'node:path';
import { expect, test } from 'vitest';
import { CodexModelCatalog, type CodexModelCatalogOptions } from '../../src/index.js';
import { afterTest, failureOf, makeCatalog, plainModel } from '../harness.js';

/** The message of the TypeError by which the options of a catalog fail; `undefined` where they are taken. */
function refuse(options: unknown): string | undefined {
	try {
		new CodexModelCatalog(options as CodexModelCatalogOptions);
		return undefined;
	} catch (error) {
		expect(error).toBeInstanceOf(TypeError);
		return (error as TypeError).message;
	}
}

const orInfinity = ['deadlineMs', 'maxAgeMs', 'staleWhileRevalidateMs'];
const finite = ['fetchTimeoutMs', 'cooldownMs', 'keepAliveMs'];
const longest = 2_147_483_647;
const badDurations = [
	-1,
	0.5,
	Number.NaN,
	longest + 1,
	Number.NEGATIVE_INFINITY,
	'5',
	true,
	null,
	5n,
];

test.each([...orInfinity, ...finite])(
	'%s is whole milliseconds, and its TypeError names it, its bounds and the value',
	(name) => {
		for (const value of [undefined, 0, 1, longest])
			expect(refuse({ [name]: value })).toBeUndefined();
		for (const value of badDurations) {
			const shown =
				typeof value === 'string' ? "'5'" : typeof value === 'bigint' ? '5n' : `${value}`;
			const message = refuse({ [name]: value }) ?? '';
			expect(message).toContain(
				`"${name}" to be a whole number of milliseconds from 0 to ${longest}`,
			);
			expect(message).toContain(`got ${shown} (${typeof value})`);
			expect(message.includes('Infinity, got') || value === Number.NEGATIVE_INFINITY).toBe(
				orInfinity.includes(name) || value === Number.NEGATIVE_INFINITY,
			);
		}
		const isAllowed = refuse({ [name]: Number.POSITIVE_INFINITY }) === undefined;
		expect(isAllowed).toBe(orInfinity.includes(name));
	},
);

const shell = { command: '/bin/sh' };
const others: [name: string, good: unknown[], bad: unknown[]][] = [
	['retries', [0, 100], [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 101, '1', null]],
	['maxEntries', [1, 1_000_000], [0, 1.5, Number.POSITIVE_INFINITY, 1_000_001, '1', null]],
	[
		'command',
		['codex', '/a/b', '/with space/codex', 'C:\\a b\\codex.exe', () => 'codex'],
		['', '  ', 7, null, ['codex'], 'a\0b', '~', '~/codex', 'npx codex', 'codex app-server'],
	],
	['args', [[], ['a', '']], ['a', [7], [null], [undefined], Array(1), {}, null, ['a\0']]],
	['cwd', ['/', '.', '/a b'], ['', ' ', 7, null, {}, 'a\0', '~', '~/a']],
	['codexHome', ['/a'], ['', ' ', 7, null, 'a', './a', '~', '~/.codex', '/a\0']],
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
	['fetchModels', [async () => ({ models: [] })], [null, {}, 'a']],
];

test.each(others)(
	'%s takes what it should, and a TypeError names it for every other value',
	(name, good, bad) => {
		for (const value of [undefined, ...good]) expect(refuse({ [name]: value })).toBeUndefined();
		for (const value of bad)
			expect([value, refuse({ [name]: value })]).toEqual([
				value,
				expect.stringContaining(`"${name}"`),
			]);
	},
);

test('a TypeError says what to try', () => {
	for (const name of ['command', 'cwd', 'codexHome'])
		expect(refuse({ [name]: '~/a' })).toMatch(/home directory in place of "~"|os\.homedir\(\)/);
	expect(refuse({ command: 'npx codex' })).toContain('with its arguments in "args"');
	expect(refuse({ codexHome: 'a' })).toContain('an absolute path');
});

test('an unknown name is misuse, and the TypeError proposes a similar one', () => {
	for (const [name, similar] of [
		['deadlineMS', 'deadlineMs'],
		['deadlinMs', 'deadlineMs'],
		['timeout', 'fetchTimeoutMs'],
		['commnd', 'command'],
		['arg', 'args'],
	]) {
		expect(refuse({ [name as string]: 5 })).toMatch(
			`Unknown option "${name}". Did you mean "${similar}"? `,
		);
	}
	expect(refuse({ unheardOf: 5 })).toMatch(
		/^Unknown option "unheardOf"\. The options are command, args, .*onEvent$/,
	);
	expect(refuse(Object.create({ deadlineMS: 5 }))).toContain('deadlineMS');
	expect(refuse({ unheardOf: undefined })).toBeUndefined();
	for (const options of [null, 7, 'codex', true, []]) expect(refuse(options)).toContain('options');
});

test.each([
	['command', 'codex'],
	['args', []],
	['env', {}],
	['clientInfo', { name: 'a', version: '1' }],
	['retries', 0],
	['keepAliveMs', 0],
])('%s means nothing beside fetchModels', (name, value) => {
	const fetchModels = async () => ({ models: [] });
	expect(refuse({ fetchModels, [name]: value })).toContain(
		`"${name}" means nothing beside "fetchModels"`,
	);
	expect(refuse({ fetchModels, [name]: undefined })).toBeUndefined();
});

test('the TypeError of env or args shows the type of a value only, for it can be a secret', () => {
	for (const options of [
		{ env: 'secret' },
		{ env: ['secret'] },
		{ env: { OPENAI_API_KEY: ['secret'] } },
		{ env: { 'secret\0': 'a' } },
		{ args: 'secret' },
		{ args: [{ secret: 'secret' }] },
		{ args: ['--key', 'secret\0'] },
	]) {
		expect(refuse(options)).toMatch(/"(?:env|args)".* got a value \((?:string|object)\)$/);
		expect(refuse(options)).not.toContain('secret');
	}
});

test('a long or deep value is shortened in a TypeError', () => {
	for (const value of [{ a: { b: 'c'.repeat(10_000) } }, 'x'.repeat(1e6), Array(1e5).fill(7)])
		expect(refuse({ deadlineMs: value })?.length).toBeLessThan(400);
});

const ask = async ({ cwd, codexHome }: { cwd: string; codexHome: string | undefined }) => ({
	models: [{ id: `${cwd} ${codexHome}` }],
});

test('an option may be inherited, or the getter of a class, and a relative cwd starts from the current directory', async () => {
	class Options {
		get fetchModels() {
			return ask;
		}
		get cwd() {
			return 'a';
		}
	}
	for (const options of [new Options(), Object.create({ fetchModels: ask, cwd: 'a' })]) {
		const catalog = new CodexModelCatalog(options);
		afterTest(() => catalog.close());
		expect(await catalog.list()).toEqual([
			expect.objectContaining({ id: `${path.resolve('a')} undefined` }),
		]);
	}
});

const badCalls: [options: Record<string, unknown>, message: RegExp][] = [
	[{ deadlineMs: -1 }, /"deadlineMs".* 0 .*2147483647.*-1/],
	[{ deadlineMs: '5' }, /"deadlineMs".*'5'/],
	[{ includeHidden: 'yes' }, /"includeHidden".*boolean.*'yes'/],
	[{ refresh: 1 }, /"refresh".*boolean.*1/],
	[{ signal: {} }, /"signal".*AbortSignal/],
	[
		{ signal: { aborted: false, addEventListener() {}, removeEventListener() {} } },
		/"signal".*AbortSignal/,
	],
	[{ signal: new AbortController() }, /"signal".*AbortSignal/],
	[{ cwd: '~/a' }, /"cwd".*'~\/a'/],
	[{ codexHome: 'a' }, /"codexHome".*absolute.*'a'/],
	[{ include_hidden: true }, /"include_hidden"/],
	[{ maxAgeMs: 5 }, /"maxAgeMs"/],
];

test.each(badCalls)(
	'the options %o of a call are misuse, and nothing is asked',
	async (options, message) => {
		let asked = 0;
		const { catalog } = makeCatalog({
			fetchModels: async () => ({ models: [plainModel(`${++asked}`)] }),
		});
		for (const error of [
			await failureOf(catalog.list(options)),
			await failureOf(catalog.read(options)),
		]) {
			expect(error).toBeInstanceOf(TypeError);
			expect(error.message).toMatch(message);
		}
		if (Object.keys(options).some((name) => /includeHidden|cwd|codexHome/.test(name))) {
			expect(() => catalog.peek(options)).toThrow(message);
			expect(() => catalog.subscribe(() => {}, options)).toThrow(message);
		}
		expect(() => catalog.peek({ refresh: true } as object)).toThrow(/Unknown option "refresh"/);
		expect(() => catalog.subscribe('log' as never)).toThrow(/"listener".*function/);
		for (const wrong of [null, 7, 'a', []])
			expect(await failureOf(catalog.list(wrong as never))).toBeInstanceOf(TypeError);
		expect(asked).toBe(0);
	},
);

test('a list of valid options is taken, each of which may be undefined', async () => {
	const { catalog } = makeCatalog({ ...shell, fetchModels: undefined, args: ['-c', 'exit'] });
	const { signal } = new AbortController();
	const options = {
		includeHidden: true,
		deadlineMs: Number.POSITIVE_INFINITY,
		signal,
		refresh: false,
		cwd: '/',
		codexHome: '/',
	};
	const none = Object.fromEntries(Object.keys(options).map((name) => [name, undefined]));
	for (const each of [options, none])
		expect(await failureOf(catalog.list(each))).toMatchObject({ code: 'ERR_CODEX_EXITED' });
});

test('changing the options afterwards changes nothing', async () => {
	const options = {
		command: '/bin/sh',
		args: ['-c', 'echo "$WHEN" >&2; exit 1'],
		env: { WHEN: 'then' } as Record<string, string>,
		retries: 0,
	};
	const { catalog } = makeCatalog(options);
	options.args.length = 0;
	options.env.WHEN = 'now';
	options.command = '/nowhere';
	expect(await failureOf(catalog.list())).toMatchObject({ stderr: 'then' });
});
