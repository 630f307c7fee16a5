import path from 'node:path';
import { inspect } from 'node:util';
import { expect, test, vi } from 'vitest';
import { CodexModelCatalog, type CodexModelCatalogOptions } from '../../src/index.js';
import { afterTest, failureOf, makeCatalog } from '../harness.js';

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

const longest = 2_147_483_647;

test.each([
	['deadlineMs', true],
	['maxAgeMs', true],
	['staleWhileRevalidateMs', true],
	['fetchTimeoutMs', false],
	['cooldownMs', false],
	['keepAliveMs', false],
])(
	'%s is whole milliseconds, and its TypeError names the bounds and the value',
	(name, isEndless) => {
		for (const value of [undefined, 0, 1, longest])
			expect(refuse({ [name]: value })).toBeUndefined();
		const words = `"${name}" to be a whole number of milliseconds from 0 to ${longest}${isEndless ? ', or Infinity' : ''}`;
		const wrong = [-1, 0.5, Number.NaN, longest + 1, Number.NEGATIVE_INFINITY, true, null];
		for (const value of wrong)
			expect(refuse({ [name]: value })).toContain(`${words}, got ${value} (${typeof value})`);
		expect(refuse({ [name]: '5' })).toContain(`${words}, got '5' (string)`);
		expect(refuse({ [name]: Number.POSITIVE_INFINITY }) === undefined).toBe(isEndless);
	},
);

const client = { name: 'a', version: '1' };
const others: [name: string, good: unknown[], bad: unknown[]][] = [
	['retries', [0, 100], [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 101, '1', null]],
	['maxEntries', [1, 1_000_000], [0, 1.5, Number.POSITIVE_INFINITY, 1_000_001, '1', null]],
	['command', ['codex', '/a/b', '/with space/codex', () => 'codex'], ['', ' ', 7, null, ['codex']]],
	[
		'command',
		['C:\\a b~\\codex.exe'],
		['a\0b', '~', '~/codex', '~\\codex', 'codex app-server', ' codex'],
	],
	['args', [[], ['a', '']], ['a', [7], [null], [undefined], {}, null, ['a\0']]],
	['cwd', ['/', '.', '/a b~/c', '~a'], ['', ' ', 7, null, {}, 'a\0', '~', '~/a']],
	['codexHome', ['/a'], ['', ' ', 7, null, 'a', './a', '~', '~/.codex', '/a\0']],
	['env', [{}, { A: 'b', C: undefined }], ['A=b', 7, null, ['A=b'], { A: 7 }, { A: null }]],
	['env', [{ A: '' }], [{ A: 'a\0' }, { 'A\0': 'a' }]],
	['clientInfo', [client, { ...client, title: 'b' }], ['a', null, {}, { name: 'a' }]],
	['clientInfo', [], [{ version: '1' }, { ...client, name: 7 }, { ...client, title: 7 }]],
	['onEvent', [() => {}, async () => {}], ['log', {}, null, 7]],
	['store', [new Map()], [null, 7, 'redis', {}, { get() {}, set() {} }]],
	['fetchModels', [async () => ({ models: [] })], [null, {}, 'a']],
];

test.each(others)(
	'%s takes %o, and a TypeError names it for every other value',
	(name, good, bad) => {
		for (const value of [undefined, ...good]) expect(refuse({ [name]: value })).toBeUndefined();
		const named = expect.stringContaining(`"${name}"`);
		for (const value of bad) expect([value, refuse({ [name]: value })]).toEqual([value, named]);
	},
);

test('a TypeError says what to try', () => {
	for (const name of ['command', 'cwd', 'codexHome'])
		expect(refuse({ [name]: '~/a' })).toMatch(/home directory in place of "~"|os\.homedir\(\)/);
	expect(refuse({ codexHome: 'a' })).toContain('an absolute path');
});

test('an unknown name is misuse, and the TypeError lists the names', () => {
	expect(refuse({ unheardOf: 5 })).toMatch(
		/^Unknown option "unheardOf"\. The options are command, args, .*onEvent$/,
	);
	expect(refuse(Object.create({ deadlineMS: 5 }))).toContain('Did you mean "deadlineMs"?');
	for (const [name, similar] of [
		['timeoutMs', 'deadlineMs'],
		['dead_line', 'deadlineMs'],
		['fetchTimeout', 'fetchTimeoutMs'],
	] as const)
		expect(refuse({ [name]: 5 })).toContain(
			`"${name}". Did you mean "${similar}"? The options are `,
		);
	expect(refuse({ unheardOf: undefined })).toBeUndefined();
	for (const options of [null, 7, true, []])
		expect(refuse(options)).toBe(
			`Expected option "options" to be an object, got ${inspect(options)} (${typeof options})`,
		);
});

test.each([
	['command', 'codex'],
	['args', []],
	['env', {}],
	['clientInfo', client],
	['retries', 0],
	['keepAliveMs', 0],
])('%s means nothing beside fetchModels', (name, value) => {
	const fetchModels = async () => ({ models: [] });
	expect(refuse({ fetchModels, [name]: value })).toContain(
		`"${name}" means nothing beside "fetchModels"`,
	);
	expect(refuse({ fetchModels, [name]: undefined })).toBeUndefined();
});

test('the TypeError of env or args shows the type of a value only', () => {
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

test('an option may be inherited, and a relative cwd starts from the current directory', async () => {
	const catalog = new CodexModelCatalog(Object.create({ fetchModels: ask, cwd: 'a' }));
	afterTest(() => catalog.close());
	expect(await catalog.list()).toMatchObject([{ id: `${path.resolve('a')} undefined` }]);
	const slow = makeCatalog({ fetchModels: () => new Promise(() => {}), deadlineMs: 50 });
	const failure = await failureOf(slow.catalog.list(Object.create({ deadlineMs: 1 })));
	expect(failure).toMatchObject({ timeoutMs: 1 });
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
		const asked = vi.fn(ask);
		const { catalog } = makeCatalog({ fetchModels: asked });
		for (const call of [catalog.list(options), catalog.read(options)]) {
			const error = await failureOf(call);
			expect([error instanceof TypeError, error.message]).toEqual([
				true,
				expect.stringMatching(message),
			]);
		}
		if (/includeHidden|cwd|codexHome/.test(message.source)) {
			expect(() => catalog.peek(options)).toThrow(message);
			expect(() => catalog.subscribe(() => {}, options)).toThrow(message);
		}
		expect(asked).not.toHaveBeenCalled();
	},
);

test('the options of a call are an object of known names, each of which may be undefined', async () => {
	const { catalog } = makeCatalog({ fetchModels: ask });
	const { signal } = new AbortController();
	const bounds = { deadlineMs: Number.POSITIVE_INFINITY, signal, refresh: false };
	const options = { includeHidden: true, cwd: '/', codexHome: '/', ...bounds };
	const none = Object.fromEntries(Object.keys(options).map((name) => [name, undefined]));
	for (const each of [options, none]) expect(await catalog.list(each)).toHaveLength(1);
	for (const wrong of [null, 7, 'a', []])
		expect(await failureOf(catalog.list(wrong as never))).toBeInstanceOf(TypeError);
	expect(() => catalog.peek({ refresh: true } as object)).toThrow(/Unknown option "refresh"/);
	expect(() => catalog.subscribe('log' as never)).toThrow(/"listener".*function/);
});
