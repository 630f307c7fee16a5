import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { makeDirectory } from '../harness.js';

/** Opened and described paths, and the gate that holds them up. */
const calls: string[] = [];
let gate: (() => Promise<void>) | undefined;

vi.mock('node:fs/promises', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:fs/promises')>();
	const open = async (file: string, ...rest: []) => {
		calls.push(file);
		await gate?.();
		return original.open(file, ...rest);
	};
	const stat = async (file: string) => {
		calls.push(file);
		await gate?.();
		return original.stat(file);
	};
	return { ...original, open, stat };
});

// The setup has loaded the module already, with the real functions.
vi.resetModules();
const { describeFile, hasCode, ignore, readRegularFile } = await import(
	'../../src/system/files.js'
);

const isWindows = process.platform === 'win32';
const makeFile = (text = 'text') => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, text);
	return file;
};

test('a regular file is read as UTF-8, to its end', async () => {
	const file = makeFile('ä'.repeat(100_000));
	expect(await readRegularFile(file, 200_000)).toBe('ä'.repeat(100_000));
	expect(await readRegularFile(makeFile(''), 0)).toBe('');
});

test('a path that does not exist is undefined', async () => {
	const file = makeFile();
	expect(await readRegularFile(`${file}.other`, 10)).toBeUndefined();
	if (!isWindows) expect(await readRegularFile(path.join(file, 'below'), 10)).toBeUndefined();
});

test('a file above the limit rejects', async () => {
	await expect(readRegularFile(makeFile('12345'), 4)).rejects.toThrow(/Larger than 4 bytes/);
});

test.skipIf(isWindows)(
	'a FIFO, a device and a directory reject without waiting for anything',
	async () => {
		const directory = makeDirectory();
		const fifo = path.join(directory, 'fifo');
		execFileSync('mkfifo', [fifo]);
		const link = path.join(directory, 'link');
		symlinkSync(fifo, link);
		for (const file of [fifo, link, '/dev/zero', directory]) {
			await expect(readRegularFile(file, 1_000)).rejects.toThrow(/Not a regular file/);
			expect(await describeFile(file)).toBe('none');
		}
	},
);

test('a description changes with the file, and there is none without one', async () => {
	const file = makeFile();
	const first = await describeFile(file);
	expect(await describeFile(file)).toBe(first);
	utimesSync(file, 1, 1);
	const second = await describeFile(file);
	expect(second).not.toBe(first);
	writeFileSync(file, 'longer text');
	utimesSync(file, 1, 1);
	expect(await describeFile(file)).not.toBe(second);
	expect(await describeFile(`${file}.other`)).toBe('none');
	mkdirSync(`${file}.directory`);
	expect(await describeFile(`${file}.directory`)).toBe('none');
});

test('callers that come during a look share the next one, which sees what was written until then', async () => {
	const file = makeFile('old');
	for (const look of [(path: string) => readRegularFile(path, 100), describeFile]) {
		calls.length = 0;
		let open = () => {};
		const opened = new Promise<void>((resolve) => {
			open = resolve;
		});
		gate = () => opened;
		const first = look(file);
		const others = Array.from({ length: 50 }, () => look(file));
		const missing = look(`${file}.other`);
		expect(calls).toEqual([file, `${file}.other`]);
		open();
		await first;
		gate = undefined;
		writeFileSync(file, 'new text');
		const results = new Set(await Promise.all(others));
		expect(results.size).toBe(1);
		expect(calls.filter((call) => call === file)).toHaveLength(2);
		await missing;
	}
	expect(await readRegularFile(file, 100)).toBe('new text');
});

test('a look that fails fails for its own callers only', async () => {
	const file = makeFile('12345');
	const results = await Promise.allSettled([
		readRegularFile(file, 4),
		readRegularFile(file, 4),
		readRegularFile(file, 4),
	]);
	expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
	const [first, second] = [readRegularFile(file, 4), readRegularFile(file, 4)];
	await expect(first).rejects.toThrow();
	writeFileSync(file, '1234');
	expect(await second).toBe('1234');
});

test('codes are told from errors of any kind', () => {
	expect(hasCode(Object.assign(new Error('x'), { code: 'ENOENT' }), 'EPERM', 'ENOENT')).toBe(true);
	for (const error of [undefined, null, 'ENOENT', new Error('ENOENT'), { code: 7 }]) {
		expect(hasCode(error, 'ENOENT')).toBe(false);
	}
});

test('three looks are under way at most, and the next one starts when one ends', async () => {
	const files = Array.from({ length: 5 }, () => makeFile());
	calls.length = 0;
	const opens: (() => void)[] = [];
	gate = () => new Promise((resolve) => opens.push(resolve));
	const looks = files.map((file) => describeFile(file));
	await vi.waitFor(() => expect(opens).toHaveLength(3));
	expect(calls).toEqual(files.slice(0, 3));
	opens[0]?.();
	await looks[0];
	await vi.waitFor(() => expect(opens).toHaveLength(4));
	expect(calls).toEqual(files.slice(0, 4));
	gate = undefined;
	for (const open of opens) open();
	expect(new Set(await Promise.all(looks)).size).toBe(5);
	expect(calls).toEqual(files);
});

test('a handler ignores errors of its code, and throws any other', () => {
	const error = Object.assign(new Error('x'), { code: 'ENOENT' });
	expect(ignore('ENOENT')(error)).toBeUndefined();
	expect(() => ignore('EEXIST')(error)).toThrow(error);
});

test.skipIf(isWindows)('a path with a name that is too long rejects', async () => {
	const name = 'x'.repeat(300);
	await expect(readRegularFile(path.join(makeDirectory(), name), 10)).rejects.toThrow(
		/ENAMETOOLONG/,
	);
});
