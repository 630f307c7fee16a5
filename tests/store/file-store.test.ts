import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { fileStore } from '../../src/store/file-store.js';
import { afterTest, makeDirectory, until } from '../harness.js';
import { buildModule } from './build-module.js';

const isLinux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;
const { signal } = new AbortController();
const modeOf = (file: string) => fs.statSync(file).mode & 0o777;
const filesIn = (directory: string, extension: string) =>
	fs
		.readdirSync(directory)
		.flatMap((name) => (name.endsWith(extension) ? path.join(directory, name) : []));

function onlyListIn(directory: string): string {
	const [file, ...others] = filesIn(directory, '.json');
	if (!file || others.length > 0) throw new Error(`Not one list: ${fs.readdirSync(directory)}`);
	return file;
}

/** The arguments of a Node that runs a module with `fileStore`. */
const toArguments = (source: string) => [
	...['--input-type=module', '-e'],
	`import { fileStore } from ${JSON.stringify(buildModule('store/file-store.ts'))};\n${source}`,
];

test('a value that was set is there for every store of the same directory', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const value = { text: '\u2028😀\u0000"', list: [1, null, { a: false }] };
	expect(await store.get('key')).toBeUndefined();
	await store.set('key', value, 60_000);
	// Any string is a key.
	const other = '../../escape\0';
	await store.set(other, 'other');
	const another = fileStore({ directory });
	expect(await another.get('key')).toEqual(value);
	await another.delete('key');
	await another.delete('key');
	expect([await store.get('key'), await store.get(other)]).toEqual([undefined, 'other']);
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

test('a value that is too large is not read', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	await store.set('key', 'old');
	fs.truncateSync(onlyListIn(directory), 2 ** 40);
	await expect(store.get('key')).rejects.toThrow(/Larger than/);
	await store.set('key', 'new');
	expect(await store.get('key')).toBe('new');
});

test('wrong options are refused by name', () => {
	for (const directory of [7, null, '', ' ', {}, 'a\0b'] as never[])
		expect(() => fileStore({ directory })).toThrow(/option "directory"/);
	for (const options of [null, 'directory', 7] as never[])
		expect(() => fileStore(options)).toThrow(TypeError);
	expect(() => fileStore({ dir: 'x' } as object)).toThrow(/Unknown option "dir"/);
	fileStore({ directory: undefined });
});

// The directory

test('many stores make their directories at once, two of them the same one', async () => {
	const [one, two] = [makeDirectory(), makeDirectory()];
	const folders = [one, two, ...['a', 'b', 'b', 'c'].map((name) => path.join(two, name, 'store'))];
	const stores = folders.map((directory) => fileStore({ directory }));
	await Promise.all(stores.map((store, index) => store.set(String(index), index)));
	const values = await Promise.all(stores.map((store, index) => store.get(String(index))));
	expect(values).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a directory is made by a write or a lock only', async () => {
	const directory = path.join(makeDirectory(), 'deep', 'store');
	const store = fileStore({ directory });
	expect(await store.get('key')).toBeUndefined();
	await store.delete('key');
	expect(fs.existsSync(path.dirname(directory))).toBe(false);
	await store.set('key', 1);
	fs.rmSync(path.dirname(directory), { recursive: true });
	await (await store.lock('key', signal))();
	expect(filesIn(directory, '.lock')).toHaveLength(1);
});

test.runIf(isLinux)('a relative directory in a deleted working directory rejects', () => {
	const source = `
		const { rmdirSync } = await import('node:fs');
		const directory = ${JSON.stringify(makeDirectory())};
		process.chdir(directory);
		rmdirSync(directory);
		const store = fileStore({ directory: 'rel' });
		const failures = [store.set('key', 1), store.lock('key', new AbortController().signal)];
		const codes = failures.map((failure) => failure.catch(({ code }) => code));
		console.log(...await Promise.all(codes), await store.get('key'));
	`;
	const output = execFileSync(process.execPath, toArguments(source), { encoding: 'utf8' });
	expect(output).toBe('ENOENT ENOENT undefined\n');
});

// A thread of mutation testing cannot set the umask.
test.runIf(isLinux && isMainThread)('files are the owner’s, whatever the umask is', async () => {
	const directory = path.join(makeDirectory(), 'deep', 'store');
	const before = process.umask(0);
	afterTest(() => process.umask(before));
	const store = fileStore({ directory });
	await store.set('key', 1);
	await (await store.lock('key', signal))();
	const [lock = ''] = filesIn(directory, '.lock');
	const modes = [path.dirname(directory), directory, lock].map(modeOf);
	expect(modes).toEqual([0o700, 0o700, 0o700]);
	expect([onlyListIn(directory), path.join(lock, '1')].map(modeOf)).toEqual([0o600, 0o600]);
});

const link = (directory: string, elsewhere: string) => {
	fs.rmSync(directory, { recursive: true });
	fs.symlinkSync(elsewhere, directory);
};

/** Directories that another user of the machine may have put in the place of one, or behind a link there. */
const planted: Record<string, (directory: string, elsewhere: string) => void> = {
	'may be written to by its group': (directory) => fs.chmodSync(directory, 0o720),
	'may be written to by all': (directory) => fs.chmodSync(directory, 0o1702),
	'is a link to a directory that all may write to': (directory, elsewhere) => {
		link(directory, elsewhere);
		fs.chmodSync(elsewhere, 0o777);
	},
	'is a link to a file': (directory) => link(directory, '/etc/passwd'),
	...(isRoot && {
		'belongs to another user': (directory) => fs.chownSync(directory, 54321, 0),
		'is a link to a directory of another user': (directory, elsewhere) => {
			link(directory, elsewhere);
			fs.chownSync(elsewhere, 54321, 0);
		},
		'is a link of another user to a directory of this one': (directory, elsewhere) => {
			link(directory, elsewhere);
			fs.lchownSync(directory, 54321, 0);
		},
	}),
};

test.runIf(isLinux).each(Object.entries(planted))(
	'a directory that %s is refused, and nothing in it is read or touched',
	async (_, plant) => {
		const [directory, elsewhere] = [makeDirectory(), makeDirectory()];
		const store = fileStore({ directory });
		for (const folder of [directory, elsewhere])
			await fileStore({ directory: folder }).set('key', 'planted');
		plant(directory, elsewhere);
		const look = () => [directory, elsewhere].map((folder) => fs.statSync(folder).mtimeMs);
		const before = look();
		const refusal = /Expected a directory of this user that no other may write to/;
		await expect(store.get('key')).rejects.toThrow(refusal);
		await expect(store.set('key', 1)).rejects.toThrow(refusal);
		await expect(store.delete('key')).rejects.toThrow(refusal);
		await expect(store.lock('key', signal)).rejects.toThrow(refusal);
		expect(look()).toEqual(before);
	},
);

test('a link of the user to a directory of the user is used', async () => {
	const [directory, disk] = [makeDirectory(), makeDirectory()];
	link(directory, disk);
	const store = fileStore({ directory });
	await (await store.lock('key', signal))();
	await store.set('key', 1);
	expect([await store.get('key'), fs.readdirSync(disk).length]).toEqual([1, 2]);
});

test.runIf(isLinux)(
	'where the directory cannot be made, get misses and all else rejects',
	async () => {
		for (const directory of ['/etc/passwd/store', '/proc/missing/store']) {
			const store = fileStore({ directory });
			expect(await store.get('key')).toBeUndefined();
			await expect(store.set('key', 1)).rejects.toThrow();
			await expect(store.lock('key', signal)).rejects.toThrow();
		}
	},
);

// Damage

test('a damaged list is missing', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	for (const damage of ['', '{"expiresAt":null,"va', '[[[]]]', 'null', '\0\x01\xff']) {
		await store.set('key', { a: 1 }, 60_000);
		fs.writeFileSync(onlyListIn(directory), damage);
		expect(await store.get('key'), damage).toBeUndefined();
	}
});

test.runIf(isLinux)('a link, a FIFO and a directory in the place of a list reject', async () => {
	const [directory, elsewhere] = [makeDirectory(), makeDirectory()];
	await fileStore({ directory: elsewhere }).set('key', 'elsewhere');
	const store = fileStore({ directory });
	await store.set('key', 1);
	const file = onlyListIn(directory);
	for (const replace of [
		() => fs.symlinkSync(onlyListIn(elsewhere), file),
		() => execFileSync('mkfifo', [file]),
	]) {
		fs.rmSync(file);
		replace();
		await expect(store.get('key')).rejects.toThrow(/ELOOP|Not a regular file/);
		await store.set('key', 2);
		expect([await store.get('key'), modeOf(file)]).toEqual([2, 0o600]);
	}
	fs.rmSync(file);
	fs.mkdirSync(path.join(file, 'inside'), { recursive: true });
	await expect(store.get('key')).rejects.toThrow();
	await expect(store.set('key', 2)).rejects.toThrow();
	expect(fs.readdirSync(directory)).toEqual([path.basename(file)]);
});

test('a reader sees whole values only while many write and are killed', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const lengths: Record<string, number> = { a: 300_000, b: 10, c: 1_000_000 };
	const kills = Object.entries(lengths).map(([letter, length]) => {
		const args = toArguments(`
			const store = fileStore({ directory: ${JSON.stringify(directory)} });
			for (;;) await store.set('key', '${letter}'.repeat(${length}));
		`);
		const child = spawn(process.execPath, args, { stdio: 'inherit' });
		const gone = new Promise((resolve) => child.once('close', resolve));
		const kill = () => child.kill('SIGKILL') && gone;
		afterTest(kill);
		return kill;
	});
	await until('there is a file', () => filesIn(directory, '.json').length === 1);
	const seen = new Map<string, number>();
	const look = async () => {
		const text = (await store.get('key')) as string;
		const [letter = ''] = text;
		if (text !== letter.repeat(lengths[letter] ?? -1)) throw new Error(text.slice(0, 100));
		seen.set(letter, (seen.get(letter) ?? 0) + 1);
	};
	while (Object.keys(lengths).some((letter) => (seen.get(letter) ?? 0) < 10)) await look();
	for (const kill of kills) {
		await kill();
		await look();
	}
	await store.set('key', 'last');
	expect(await store.get('key')).toBe('last');
});
