import { execFileSync, spawn } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { fileStore } from '../src/file-store.js';
import type { CodexModelCatalogOptions } from '../src/options.js';
import {
	afterTest,
	idsOf,
	makeCatalog,
	makeDirectory,
	neverMs,
	type Step,
	script,
	until,
} from './harness.js';
import { startLister } from './hosts/start-lister.js';

const isWindows = process.platform === 'win32';
const builtFileStore = new URL('../dist/file-store.js', import.meta.url).href;
const writer = fileURLToPath(new URL('hosts/writer.js', import.meta.url));

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];

/** One app-server, in a home of its own, for catalogs with a file store each in one directory. */
function setUp(steps: Step[], directory = path.join(makeDirectory(), 'store')) {
	const server = script(...steps);
	const codexHome = makeDirectory();
	const { command, args } = server;
	const options = { command, args, codexHome, retries: 0 };
	return {
		server,
		directory,
		options,
		open: (more: CodexModelCatalogOptions = {}) =>
			makeCatalog({
				...options,
				store: fileStore({ directory }),
				deadlineMs: neverMs,
				fetchTimeoutMs: neverMs,
				...more,
			}),
	};
}

const modeOf = (file: string) => statSync(file).mode & 0o777;

const filesIn = (directory: string, extension: string) =>
	readdirSync(directory).flatMap((name) => (name.endsWith(extension) ? [path.join(directory, name)] : []));

/** The only list in a directory. */
function onlyFileIn(directory: string): string {
	const [file, ...others] = filesIn(directory, '.json');
	if (!file || others.length > 0) throw new Error(`There is not one list in ${readdirSync(directory)}`);
	return file;
}

const namesOf = (file: string): string[] => {
	const { value } = JSON.parse(readFileSync(file, 'utf8'));
	return idsOf(value.models);
};

// As a store

test('what was set is what one gets, in this process and in another store of the same directory', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	expect(await store.get('key')).toBeUndefined();
	await store.set('key', { text: '\u2028😀\u0000"', list: [1, null, { a: false }] }, 60_000);
	await store.set('other', 'other');
	const another = fileStore({ directory });
	expect(await another.get('key')).toEqual({ text: '\u2028😀\u0000"', list: [1, null, { a: false }] });
	expect(await another.get('other')).toBe('other');
	await another.delete('key');
	await another.delete('key');
	expect(await store.get('key')).toBeUndefined();
	expect(await store.get('other')).toBe('other');
});

test('a key need not be a file name', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const keys = [
		'../../escape',
		'/etc/passwd',
		'a\0b',
		'con',
		'',
		'__proto__',
		'x'.repeat(10_000),
		'KEY',
		'key',
	];
	for (const key of keys) await store.set(key, `the value of ${key}`);
	for (const key of keys) expect(await store.get(key)).toBe(`the value of ${key}`);
	expect(filesIn(directory, '.json')).toHaveLength(keys.length);
	expect(existsSync(path.join(directory, '../../escape.json'))).toBe(false);
});

test('what is past its time is no more there', async () => {
	vi.useFakeTimers({ toFake: ['Date'] });
	const store = fileStore({ directory: makeDirectory() });
	await store.set('short', 'a', 1_000);
	await store.set('endless', 'b');
	vi.setSystemTime(Date.now() + 999);
	expect(await store.get('short')).toBe('a');
	vi.setSystemTime(Date.now() + 1);
	expect(await store.get('short')).toBeUndefined();
	vi.setSystemTime(Date.now() + 1e12);
	expect(await store.get('endless')).toBe('b');
});

test('many writes at once leave one of the values, whole, and no other file', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await Promise.all(Array.from({ length: 30 }, (_, index) => store.set('key', index)));
	expect(await store.get('key')).toBeTypeOf('number');
	expect(readdirSync(directory)).toHaveLength(1);
});

test('making a store makes no directory, nor does looking into it', async () => {
	const directory = path.join(makeDirectory(), 'deep', 'store');
	const store = fileStore({ directory });
	expect(await store.get('key')).toBeUndefined();
	await store.delete('key');
	expect(existsSync(path.dirname(directory))).toBe(false);
	await store.set('key', 1);
	expect(await store.get('key')).toBe(1);
});

test.each([7, null, '', ' ', {}])('a directory of %j is refused by name', (directory) => {
	expect(() => fileStore({ directory: directory as never })).toThrow(/option "directory" to be a path/);
});

test('a lock is one holder’s at a time, and another’s as soon as it is released', async () => {
	const directory = makeDirectory();
	const [one, other] = [fileStore({ directory }), fileStore({ directory })];
	const { signal } = new AbortController();
	const order: string[] = [];
	const release = await one.lock('key', signal);
	const waiting = other.lock('key', signal).then((releaseOther) => {
		order.push('other');
		return releaseOther;
	});
	// One of another key is nobody’s concern.
	(await other.lock('other key', signal))();
	order.push('release');
	release();
	(await waiting)();
	expect(order).toEqual(['release', 'other']);
});

test('who comes when a lock has passed on waits for the one who has it now', async () => {
	const store = fileStore({ directory: makeDirectory() });
	const { signal } = new AbortController();
	const release = await store.lock('key', signal);
	const second = store.lock('key', signal);
	release();
	const releaseSecond = await second;
	const order: string[] = [];
	const third = store.lock('key', signal).then((releaseThird) => {
		order.push('third');
		return releaseThird;
	});
	// As much to do, and begun later.
	for (const key of ['a', 'b', 'c', 'd', 'e']) (await store.lock(key, signal))();
	order.push('release');
	releaseSecond();
	(await third)();
	expect(order).toEqual(['release', 'third']);
});

test('who waits for a lock may leave, and holds nothing then', async () => {
	const store = fileStore({ directory: makeDirectory() });
	const release = await store.lock('key', new AbortController().signal);
	const controller = new AbortController();
	const waiting = store.lock('key', controller.signal);
	controller.abort(new Error('Enough'));
	await expect(waiting).rejects.toThrow();
	await expect(store.lock('key', controller.signal)).rejects.toThrow();
	release();
	(await store.lock('key', new AbortController().signal))();
});

// Whose it is

test.skipIf(isWindows).each([0o000, 0o022, 0o077])(
	'files are the owner’s alone with a umask of %o',
	async (umask) => {
		const { directory, options } = setUp([lists('a')], path.join(makeDirectory(), 'deep', 'store'));
		const host = startLister({
			prefix: ['sh', '-c', `umask ${umask.toString(8)}; exec "$@"`, 'sh'],
			options,
			directory,
		});
		await host.list();
		await host.close();
		expect(modeOf(path.dirname(directory))).toBe(0o700);
		expect(modeOf(directory)).toBe(0o700);
		const names = readdirSync(directory);
		expect(names.map((name) => path.extname(name)).toSorted()).toEqual(['.json', '.lock']);
		for (const name of names) expect(modeOf(path.join(directory, name))).toBe(0o600);
	},
);

test.skipIf(isWindows)(
	'a file that others could read is the owner’s alone when it is written anew',
	async () => {
		const directory = makeDirectory();
		const store = fileStore({ directory });
		await store.set('key', 1);
		chmodSync(onlyFileIn(directory), 0o666);
		await store.set('key', 2);
		expect(modeOf(onlyFileIn(directory))).toBe(0o600);
	},
);

test('a write leaves no listener on the process, however it and the app-server overlap', async () => {
	const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'exit'];
	const count = () => signals.map((name) => process.listenerCount(name));
	const before = count();
	const { open } = setUp([lists('a')]);
	const { catalog } = open();
	await catalog.list();
	await catalog.close();
	expect(count()).toEqual(before);
});

// What is there may be spoilt

const spoilers: [what: string, spoil: (file: string) => void][] = [
	['is half of it', (file) => truncateSync(file, Math.floor(statSync(file).size / 2))],
	['lacks its last byte', (file) => truncateSync(file, statSync(file).size - 1)],
	['is empty', (file) => truncateSync(file, 0)],
	['is full of zeros', (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
	['is binary', (file) => writeFileSync(file, Buffer.from(Array.from({ length: 512 }, (_, at) => at % 256)))],
	['is null', (file) => writeFileSync(file, 'null')],
	['is another JSON', (file) => writeFileSync(file, '[[[]]]')],
	['has a value of another kind', (file) => writeFileSync(file, '{"expiresAt":null,"value":"x"}')],
	['is followed by rubbish', (file) => writeFileSync(file, 'x', { flag: 'a' })],
	['is sixteen megabytes of rubbish', (file) => writeFileSync(file, Buffer.alloc(16 * 1024 * 1024, '['))],
	[
		'is a link that leads nowhere',
		(file) => {
			rmSync(file);
			symlinkSync('nowhere', file);
		},
	],
];

test('a file that is spoilt is a miss, and a good one takes its place', async () => {
	const { server, directory, open } = setUp([lists('a')]);
	const first = open();
	await first.catalog.list();
	await first.catalog.close();
	for (const [what, spoil] of spoilers) {
		for (const link of filesIn(directory, 'nowhere')) rmSync(link);
		spoil(onlyFileIn(directory));
		const starts = server.starts;
		const { catalog, events } = open();
		expect([what, idsOf(await catalog.list())]).toEqual([what, ['a']]);
		await catalog.close();
		expect([what, server.starts, events.count('store-failed')]).toEqual([what, starts + 1, 0]);
		expect([what, namesOf(filesIn(directory, '.json')[0] as string)]).toEqual([what, ['a']]);
		const next = open();
		expect([what, idsOf(await next.catalog.list())]).toEqual([what, ['a']]);
		await next.catalog.close();
		expect([what, server.starts]).toEqual([what, starts + 1]);
	}
});

test('a directory in the place of a file costs an event and no call', async () => {
	const { directory, open } = setUp([lists('a')]);
	const first = open();
	await first.catalog.list();
	await first.catalog.close();
	const file = onlyFileIn(directory);
	rmSync(file);
	mkdirSync(path.join(file, 'inside'), { recursive: true });
	const { catalog, events } = open();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await catalog.close();
	expect(events.ofType('store-failed').map(({ operation }) => operation)).toEqual(
		expect.arrayContaining(['get', 'set']),
	);
	expect(readdirSync(directory).filter((name) => !/\.(?:json|lock)$/.test(name))).toEqual([]);
});

// Where nothing can be written

test('a directory that cannot be made costs an event and no call', async () => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, '');
	const { server, open } = setUp([lists('a')], path.join(file, 'store'));
	const { catalog, events } = open();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	// Behind the answer.
	await until('it could not be written', () =>
		events.ofType('store-failed').some(({ operation }) => operation === 'set'),
	);
	catalog.clear();
	await catalog.close();
	const operations = events.ofType('store-failed').map(({ operation }) => operation);
	expect(new Set(operations)).toEqual(new Set(['get', 'lock', 'set', 'delete']));
	expect([...events.ofType('failed'), ...events.ofType('retried')]).toEqual([]);
	expect(server.starts).toBe(1);
});

/** A command line before another one that sees a file system of its own at `directory`; that goes with it. */
const inTmpfs = (directory: string, options: string, then = 'true') => [
	'unshare',
	'-rm',
	'sh',
	'-c',
	`mount -t tmpfs -o ${options} tmpfs '${directory}' && ${then} && exec "$@"`,
	'sh',
];

const canMount = (() => {
	try {
		const directory = '/tmp';
		const [command = '', ...args] = inTmpfs(directory, 'size=16k');
		execFileSync(command, [...args, 'true'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
})();
if (!canMount) {
	console.warn('SKIPPED: what a full disk and a read-only one do; "unshare -rm" may not mount a tmpfs here.');
}

test.runIf(canMount)('a read-only disk costs an event and no call, and its list is served', async () => {
	const { server, directory, options } = setUp([lists('old'), lists('new')], makeDirectory());
	const source = makeDirectory();
	const first = startLister({ options, directory: source });
	await first.list();
	await first.close();
	const prefix = inTmpfs(
		directory,
		'size=1m',
		`cp -a '${source}/.' '${directory}' && mount -o remount,ro '${directory}'`,
	);
	const host = startLister({ prefix, options, directory });
	expect(await host.list()).toEqual(['old']);
	expect(host.count('store-failed')).toBe(0);
	expect(await host.list({ refresh: true })).toEqual(['new']);
	await host.close();
	const failed = host.events.filter((event) => event.type === 'store-failed');
	expect(failed.map(({ operation }) => operation)).toEqual(['lock', 'set']);
	for (const { reason } of failed) expect(reason).toMatch(/EROFS/);
	expect(host.count('failed')).toBe(0);
	expect(server.starts).toBe(2);
});

test.runIf(canMount)('a full disk costs an event and no call, and not the list that was there', async () => {
	const long = [{ id: 'new', displayName: 'x'.repeat(200_000) }];
	const { server, directory, options } = setUp(
		[lists('old'), ['answers', { models: long }]],
		makeDirectory(),
	);
	// The directory of another process is not to be seen from here: it says itself what is in it.
	const reader = `
		import { readdirSync, readFileSync } from 'node:fs';
		const names = readdirSync(${JSON.stringify(directory)});
		const [file] = names.filter((name) => name.endsWith('.json'));
		const text = readFileSync(${JSON.stringify(directory)} + '/' + file, 'utf8');
		console.log(JSON.stringify({ names: names.length, ids: JSON.parse(text).value.models.map(({ id }) => id) }));
	`;
	const host = startLister({ prefix: inTmpfs(directory, 'size=64k'), options, directory });
	expect(await host.list()).toEqual(['old']);
	const stored = await host.peek();
	expect(await host.list({ refresh: true })).toEqual(['new']);
	const failure = await host.nth('store-failed');
	expect(failure).toMatchObject({ operation: 'set', reason: expect.stringMatching(/ENOSPC/) });
	expect(host.count('failed')).toBe(0);
	const seen = execFileSync(
		'nsenter',
		[
			'--user',
			'--mount',
			'--preserve-credentials',
			'-t',
			String(host.pid),
			process.execPath,
			'--input-type=module',
			'-e',
			reader,
		],
		{ encoding: 'utf8' },
	);
	expect(JSON.parse(seen)).toEqual({ names: 2, ids: ['old'] });
	expect((await host.peek()).fetchedAt).toBeGreaterThanOrEqual(stored.fetchedAt);
	expect(server.starts).toBe(2);
});

// Many at once

function startWriter(directory: string, letter: string, length: number) {
	const child = spawn(process.execPath, [writer, directory, 'key', letter, String(length)], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let written = 0;
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		written += text.split('\n').length - 1;
	});
	const gone = new Promise((resolve) => child.once('close', resolve));
	const kill = async () => {
		child.kill('SIGKILL');
		await gone;
	};
	afterTest(kill);
	return {
		kill,
		get written() {
			return written;
		},
	};
}

type Value = { letter: string; text: string };

test('a reader never sees half a file, however many write', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const writers = [
		{ letter: 'a', length: 500_000 },
		{ letter: 'b', length: 10 },
		{ letter: 'c', length: 2_000_000 },
	].map(({ letter, length }) => ({ letter, length, ...startWriter(directory, letter, length) }));
	await until('there is a file', () => filesIn(directory, '.json').length === 1);
	const seen = new Map<string, number>();
	while (writers.some(({ letter }) => (seen.get(letter) ?? 0) < 20)) {
		const value = (await store.get('key')) as Value | undefined;
		const wanted = writers.find(({ letter }) => letter === value?.letter);
		// A miss is as bad as half a file: there has been one all the time.
		if (!value || value.text !== value.letter.repeat(wanted?.length ?? -1)) {
			throw new Error(`Saw ${JSON.stringify(value)?.slice(0, 100)}`);
		}
		seen.set(value.letter, (seen.get(value.letter) ?? 0) + 1);
	}
});

test('whoever is killed while it writes leaves the old value or the new one', async () => {
	const leftovers = new Set<string>();
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', { letter: 'z', text: 'z' });
	for (let round = 1; round <= 8; round++) {
		const letter = 'abcdefgh'.charAt(round - 1);
		const length = 300_000 * round;
		const { kill } = startWriter(directory, letter, length);
		// In the middle of a write: the temporary file is there.
		await until('it writes', () =>
			readdirSync(directory).some((name) => !/\.json$/.test(name) && !leftovers.has(name)),
		);
		await kill();
		for (const name of readdirSync(directory)) if (!/\.json$/.test(name)) leftovers.add(name);
		const value = (await store.get('key')) as Value | undefined;
		expect(value?.text.length).toBeGreaterThan(0);
		expect(value?.text === value?.letter.repeat(value.text.length)).toBe(true);
	}
	await store.set('key', { letter: 'y', text: 'y' });
	expect(await store.get('key')).toEqual({ letter: 'y', text: 'y' });
});

test('a host that is done when it has its list leaves it to the next', async () => {
	const { server, directory, options } = setUp([lists('a')]);
	const host = startLister({ options, directory });
	const list = host.list();
	host.leave();
	expect(await list).toEqual(['a']);
	expect(await host.gone).toEqual({ exitCode: 0, signal: null });
	expect(namesOf(onlyFileIn(directory))).toEqual(['a']);
	expect(server.starts).toBe(1);
});

// Where it is, and without native code

/** What a module says on its output, in a process of its own. */
function runModule(source: string, env: NodeJS.ProcessEnv = {}): string {
	const args = ['--no-warnings', '--input-type=module', '-e', source];
	return execFileSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } });
}

const setOne = `
	import { fileStore } from ${JSON.stringify(builtFileStore)};
	await fileStore().set('key', 1);
`;

test('the default directory is the platform’s for caches', () => {
	const home = makeDirectory();
	const folders: Partial<Record<NodeJS.Platform, string>> = {
		darwin: 'Library/Caches/codex-models',
		win32: 'AppData/Local/codex-models/Cache',
	};
	runModule(setOne, {
		HOME: home,
		USERPROFILE: home,
		LOCALAPPDATA: undefined,
		XDG_CACHE_HOME: undefined,
	});
	const directory = path.join(home, folders[process.platform] ?? '.cache/codex-models');
	expect(onlyFileIn(directory)).toBeTruthy();
	expect(home).not.toBe(homedir());
});

test.runIf(process.platform === 'linux')('the default directory heeds XDG_CACHE_HOME', () => {
	const [home, cache] = [makeDirectory(), makeDirectory()];
	runModule(setOne, { HOME: home, XDG_CACHE_HOME: cache });
	expect(onlyFileIn(path.join(cache, 'codex-models'))).toBeTruthy();
	expect(readdirSync(home)).toEqual([]);
});

test('where there is no native code for the platform, lists are shared all the same', async () => {
	const { server, directory, options } = setUp([lists('a')]);
	const missing = `
		export const resolve = (name, context, next) => {
			if (name === 'fs-native-extensions') throw new Error('No native code for this platform');
			return next(name, context);
		};
	`;
	const source = `
		import { register } from 'node:module';
		register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(missing)}`)});
		const { fileStore } = await import(${JSON.stringify(builtFileStore)});
		const { CodexModelCatalog } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)});
		const said = [];
		for (let count = 0; count < 2; count++) {
			const catalog = new CodexModelCatalog({
				...${JSON.stringify(options)},
				store: fileStore({ directory: ${JSON.stringify(directory)} }),
				onEvent: ({ type, operation }) => type === 'store-failed' && said.push(operation),
			});
			said.push((await catalog.list()).length);
			await catalog.close();
		}
		console.log(JSON.stringify(said));
	`;
	expect(JSON.parse(runModule(source))).toEqual(['lock', 1, 1]);
	expect(server.starts).toBe(1);
});
