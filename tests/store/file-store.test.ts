import { execFileSync, spawn } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readdirSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { fileStore } from '../../src/store/file-store.js';

const maxListBytes = 8 * 1024 * 1024;

import { afterTest, makeDirectory, until } from '../harness.js';
import { buildModule } from './build-module.js';

const isWindows = process.platform === 'win32';
const modeOf = (file: string) => statSync(file).mode & 0o777;
const filesIn = (directory: string, extension: string) =>
	readdirSync(directory).flatMap((name) =>
		name.endsWith(extension) ? [path.join(directory, name)] : [],
	);

function onlyListIn(directory: string): string {
	const [file, ...others] = filesIn(directory, '.json');
	if (!file || others.length > 0) throw new Error(`Not one list: ${readdirSync(directory)}`);
	return file;
}

/** Runs a module with `fileStore`, and returns its output. */
function runModule(
	source: string,
	{ env = {}, prefix = [] as string[], imports = buildModule('store/file-store.ts') } = {},
): string {
	const text = `import { fileStore } from ${JSON.stringify(imports)};\n${source}`;
	const [command = '', ...args] = [...prefix, process.execPath, '--input-type=module', '-e', text];
	return execFileSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
}

// Values

test('a value that was set is there for every store of the same directory', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const value = { text: '\u2028😀\u0000"', list: [1, null, { a: false }] };
	expect(await store.get('key')).toBeUndefined();
	await store.set('key', value, 60_000);
	await store.set('other', 'other');
	const another = fileStore({ directory });
	expect(await another.get('key')).toEqual(value);
	expect(await another.get('other')).toBe('other');
	await another.delete('key');
	await another.delete('key');
	expect(await store.get('key')).toBeUndefined();
	expect(await store.get('other')).toBe('other');
});

test('any string is a key', async () => {
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

test('a value is gone when its time is over', async () => {
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

test('a value too large to be read is not written', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', 'old');
	await expect(store.set('key', 'x'.repeat(maxListBytes))).rejects.toThrow(/Larger than/);
	expect(await store.get('key')).toBe('old');
	expect(readdirSync(directory)).toHaveLength(1);
});

test('many writes at once leave one of the values and no other file', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await Promise.all(Array.from({ length: 30 }, (_, index) => store.set('key', index)));
	expect(await store.get('key')).toBeTypeOf('number');
	expect(readdirSync(directory)).toHaveLength(1);
});

test('a directory is made by a write or a lock only', async () => {
	const directory = path.join(makeDirectory(), 'deep', 'store');
	const store = fileStore({ directory });
	expect(await store.get('key')).toBeUndefined();
	await store.delete('key');
	expect(existsSync(path.dirname(directory))).toBe(false);
	await store.set('key', 1);
	expect(await store.get('key')).toBe(1);
	rmSync(path.dirname(directory), { recursive: true });
	await (await store.lock('key', new AbortController().signal))();
	expect(filesIn(directory, '.lock')).toHaveLength(1);
});

test('stores of one directory share a lock for each key', async () => {
	const directory = makeDirectory();
	const [one, other] = [fileStore({ directory }), fileStore({ directory })];
	const { signal } = new AbortController();
	const order: string[] = [];
	const release = await one.lock('key', signal);
	const waiting = other.lock('key', signal).then((releaseOther) => {
		order.push('other');
		return releaseOther;
	});
	await (await other.lock('other key', signal))();
	order.push('release');
	await release();
	await (await waiting)();
	expect(order).toEqual(['release', 'other']);
});

// Options

test.each([7, null, '', ' ', {}, 'a\0b'])('a directory of %j is refused by name', (directory) => {
	expect(() => fileStore({ directory: directory as never })).toThrow(TypeError);
	expect(() => fileStore({ directory: directory as never })).toThrow(
		/option "directory" to be a string/,
	);
});

test('options that are no object, or have an unknown name, are refused', () => {
	for (const options of [null, 'directory', 7])
		expect(() => fileStore(options as never)).toThrow(/"options" to be an object/);
	const unknown = { dir: 'x' } as object;
	expect(() => fileStore(unknown)).toThrow(TypeError);
	expect(() => fileStore(unknown)).toThrow('Unknown option "dir"; the options are directory');
	fileStore({ directory: undefined });
});

// Places and permissions

test('the default directory is the platform’s directory for caches', () => {
	const home = makeDirectory();
	const folders: Partial<Record<NodeJS.Platform, string>> = {
		darwin: 'Library/Caches/codex-models',
		win32: 'AppData/Local/codex-models/Cache',
	};
	const env = { HOME: home, USERPROFILE: home, LOCALAPPDATA: undefined, XDG_CACHE_HOME: undefined };
	runModule(`await fileStore().set('key', 1);`, { env });
	expect(
		onlyListIn(path.join(home, folders[process.platform] ?? '.cache/codex-models')),
	).toBeTruthy();
});

test.runIf(process.platform === 'linux')(
	'an absolute XDG_CACHE_HOME holds the default directory',
	() => {
		const [home, caches] = [makeDirectory(), makeDirectory()];
		const imports = buildModule('store/file-store.ts');
		const source = `await fileStore().set('key', 1);`;
		runModule(source, { imports, env: { HOME: home, XDG_CACHE_HOME: caches } });
		expect(onlyListIn(path.join(caches, 'codex-models'))).toBeTruthy();
		expect(readdirSync(home)).toEqual([]);
		runModule(source, { imports, env: { HOME: home, XDG_CACHE_HOME: 'relative' } });
		expect(onlyListIn(path.join(home, '.cache', 'codex-models'))).toBeTruthy();
	},
);

test.runIf(process.platform === 'linux' && process.getuid?.() === 0)(
	'a user without a home can make a store, and read it',
	() => {
		const imports = buildModule('store/file-store.ts');
		// A user id without a name.
		const source = `process.setuid(54321); console.log(await fileStore().get('key'));`;
		chmodSync(path.dirname(new URL(imports).pathname), 0o755);
		expect(
			runModule(source, { imports, env: { HOME: undefined, XDG_CACHE_HOME: undefined } }),
		).toBe('undefined\n');
	},
);

test.skipIf(isWindows).each([0o000, 0o022, 0o077])(
	'files are the owner’s alone with a umask of %o',
	(umask) => {
		const directory = path.join(makeDirectory(), 'deep', 'store');
		const prefix = ['sh', '-c', `umask ${umask.toString(8)}; exec "$@"`, 'sh'];
		const source = `
		const store = fileStore({ directory: ${JSON.stringify(directory)} });
		await store.set('key', 1);
		await (await store.lock('key', new AbortController().signal))();
	`;
		runModule(source, { prefix });
		const [lock = ''] = filesIn(directory, '.lock');
		for (const folder of [path.dirname(directory), directory, lock])
			expect(modeOf(folder)).toBe(0o700);
		for (const file of [onlyListIn(directory), path.join(lock, '1')])
			expect(modeOf(file)).toBe(0o600);
		expect(readdirSync(directory)).toHaveLength(2);
	},
);

test.skipIf(isWindows)(
	'a file that others could read is the owner’s alone after the next write',
	async () => {
		const directory = makeDirectory();
		const store = fileStore({ directory });
		await store.set('key', 1);
		chmodSync(onlyListIn(directory), 0o666);
		await store.set('key', 2);
		expect(modeOf(onlyListIn(directory))).toBe(0o600);
	},
);

// Damage

const damages: [what: string, damage: (file: string) => void][] = [
	['half of the file is there', (file) => truncateSync(file, Math.floor(statSync(file).size / 2))],
	['the last byte is missing', (file) => truncateSync(file, statSync(file).size - 1)],
	['the file is empty', (file) => truncateSync(file, 0)],
	['the file is full of zeros', (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
	[
		'the file is binary',
		(file) => writeFileSync(file, Buffer.from(Array.from({ length: 512 }, (_, at) => at))),
	],
	['the file says null', (file) => writeFileSync(file, 'null')],
	['the file is other JSON', (file) => writeFileSync(file, '[[[]]]')],
	['the file has another end', (file) => writeFileSync(file, 'x', { flag: 'a' })],
	['the file is a megabyte of brackets', (file) => writeFileSync(file, Buffer.alloc(2 ** 20, '['))],
	[
		'the file is a link to a missing one',
		(file) => {
			rmSync(file);
			symlinkSync('missing', file);
		},
	],
];

test.each(damages)('where %s, the value is missing until the next write', async (_, damage) => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', { a: 1 }, 60_000);
	damage(onlyListIn(directory));
	expect(await store.get('key')).toBeUndefined();
	await store.set('key', { a: 2 }, 60_000);
	expect(await store.get('key')).toEqual({ a: 2 });
	expect(readdirSync(directory)).toHaveLength(1);
});

test('a directory in the place of a file rejects, and no draft is left', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', 1);
	const file = onlyListIn(directory);
	rmSync(file);
	mkdirSync(path.join(file, 'inside'), { recursive: true });
	await expect(store.get('key')).rejects.toThrow();
	await expect(store.set('key', 2)).rejects.toThrow();
	expect(readdirSync(directory)).toEqual([path.basename(file)]);
});

test.skipIf(isWindows)(
	'a FIFO and an endless device in the place of a file reject at once',
	async () => {
		const directory = makeDirectory();
		const store = fileStore({ directory });
		await store.set('key', 1);
		const file = onlyListIn(directory);
		rmSync(file);
		execFileSync('mkfifo', [file]);
		await expect(store.get('key')).rejects.toThrow(/Not a regular file/);
		rmSync(file);
		symlinkSync('/dev/zero', file);
		await expect(store.get('key')).rejects.toThrow(/Not a regular file/);
		await store.set('key', 2);
		expect(await store.get('key')).toBe(2);
	},
);

test('a file that is too large to be a list rejects without being read', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', 1);
	truncateSync(onlyListIn(directory), 2 ** 40);
	await expect(store.get('key')).rejects.toThrow(/Larger than/);
	await store.set('key', 2);
	expect(await store.get('key')).toBe(2);
});

// Where nothing can be written

/** A command line before another one, which sees a file system of its own at `directory`. */
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
		const [command = '', ...args] = inTmpfs('/tmp', 'size=16k');
		execFileSync(command, [...args, 'true'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
})();
if (!canMount)
	console.warn('SKIPPED: full and read-only disks; "unshare -rm" may not mount a tmpfs here.');

test.runIf(process.platform === 'linux')(
	'a directory whose parent cannot be made rejects at once',
	async () => {
		const store = fileStore({ directory: '/proc/missing/folder' });
		await expect(store.set('key', 1, 1_000)).rejects.toMatchObject({ code: 'ENOENT' });
	},
);

test('where the directory cannot be made, get misses and all else rejects', async () => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, '');
	const store = fileStore({ directory: path.join(file, 'store') });
	expect(await store.get('key')).toBeUndefined();
	await expect(store.set('key', 1)).rejects.toThrow();
	await expect(store.lock('key', new AbortController().signal)).rejects.toThrow();
});

test.runIf(canMount)('a read-only disk is read, and rejects writes and locks', async () => {
	const [source, directory] = [makeDirectory(), makeDirectory()];
	await fileStore({ directory: source }).set('key', 'old');
	const then = `cp -a '${source}/.' '${directory}' && mount -o remount,ro '${directory}'`;
	const text = `
		const store = fileStore({ directory: ${JSON.stringify(directory)} });
		const codes = [
			store.set('key', 'new'), store.delete('key'), store.lock('key', new AbortController().signal),
		].map((promise) => promise.then(() => 'done', ({ code }) => code));
		console.log(JSON.stringify([...await Promise.all(codes), await store.get('key')]));
	`;
	const output = runModule(text, { prefix: inTmpfs(directory, 'size=1m', then) });
	expect(JSON.parse(output)).toEqual(['EROFS', 'EROFS', 'EROFS', 'old']);
});

test.runIf(canMount)(
	'a full disk rejects the write, keeps the old value, and can be locked',
	() => {
		const directory = makeDirectory();
		const text = `
		import { readdirSync, writeFileSync } from 'node:fs';
		const directory = ${JSON.stringify(directory)};
		const store = fileStore({ directory });
		await store.set('key', 'old');
		const code = await store.set('key', 'x'.repeat(200_000)).catch(({ code }) => code);
		try { writeFileSync(directory + '/filler', Buffer.alloc(200_000)); } catch {}
		const { signal } = new AbortController();
		for (let turn = 0; turn < 3; turn++) await (await store.lock('key', signal))();
		console.log(JSON.stringify([code, await store.get('key'), readdirSync(directory).length]));
	`;
		const output = runModule(text, { prefix: inTmpfs(directory, 'size=64k') });
		expect(JSON.parse(output)).toEqual(['ENOSPC', 'old', 3]);
	},
);

// Many processes

function startWriter(imports: string, directory: string, letter: string, length: number) {
	const source = `
		import { fileStore } from ${JSON.stringify(imports)};
		const store = fileStore({ directory: ${JSON.stringify(directory)} });
		for (;;) await store.set('key', { letter: '${letter}', text: '${letter}'.repeat(${length}) });
	`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
		stdio: 'inherit',
	});
	const gone = new Promise((resolve) => child.once('close', resolve));
	const kill = async () => {
		child.kill('SIGKILL');
		await gone;
	};
	afterTest(kill);
	return { letter, length, kill };
}

type Value = { letter: string; text: string };

test('a reader never sees a part of a file, nor misses it, while many write', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const imports = buildModule('store/file-store.ts');
	const writers = [
		startWriter(imports, directory, 'a', 300_000),
		startWriter(imports, directory, 'b', 10),
		startWriter(imports, directory, 'c', 1_000_000),
	];
	await until('there is a file', () => filesIn(directory, '.json').length === 1);
	const seen = new Map<string, number>();
	while (writers.some(({ letter }) => (seen.get(letter) ?? 0) < 10)) {
		const value = (await store.get('key')) as Value | undefined;
		const writer = writers.find(({ letter }) => letter === value?.letter);
		if (!value || value.text !== value.letter.repeat(writer?.length ?? -1)) {
			throw new Error(`Saw ${JSON.stringify(value)?.slice(0, 100)}`);
		}
		seen.set(value.letter, (seen.get(value.letter) ?? 0) + 1);
	}
});

test('a writer that is killed leaves the old value or the new one', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const imports = buildModule('store/file-store.ts');
	await store.set('key', { letter: 'z', text: 'z' });
	const drafts = new Set<string>();
	const findDrafts = () => readdirSync(directory).filter((name) => !name.endsWith('.json'));
	for (const [round, letter] of [...'abcdef'].entries()) {
		const { kill } = startWriter(imports, directory, letter, 300_000 * (round + 1));
		await until('the writer is in the middle of a write', () =>
			findDrafts().some((name) => !drafts.has(name)),
		);
		await kill();
		for (const name of findDrafts()) drafts.add(name);
		const { letter: stored, text } = (await store.get('key')) as Value;
		expect(text.length > 0 && text === stored.repeat(text.length)).toBe(true);
	}
	await store.set('key', 'last');
	expect(await store.get('key')).toBe('last');
});
