import { randomUUID } from 'node:crypto';
import {
	existsSync,
	mkdirSync,
	readdirSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { acquireLock } from '../../src/store/file-lock.js';
import { fileStore } from '../../src/store/file-store.js';
import { hash } from '../../src/system/hash.js';
import { makeDirectory } from '../harness.js';

const dayMs = 24 * 60 * 60 * 1_000;
const nameOf = (key: string, suffix: string) => `v1-${hash(key)}.${suffix}`;

/** Sets the time of a file or directory back by `ms` milliseconds from now. */
function age(file: string, ms: number): void {
	const seconds = (Date.now() - ms) / 1_000;
	utimesSync(file, seconds, seconds);
}

function write(directory: string, name: string, ageMs: number, content: unknown = ''): string {
	const file = path.join(directory, name);
	writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	age(file, ageMs);
	return file;
}

/** Writes a list in such a way that the store sweeps, and removes that list again. */
async function sweep(directory: string): Promise<void> {
	const random = vi.spyOn(Math, 'random').mockReturnValue(0);
	const store = fileStore({ directory });
	await store.set('the one that sweeps', 1);
	random.mockRestore();
	await store.delete('the one that sweeps');
}

test('lists that have expired or are damaged go, and no others', async () => {
	const directory = makeDirectory();
	write(directory, nameOf('expired', 'json'), 0, { expiresAt: Date.now() - 1, value: 1 });
	write(directory, nameOf('damaged', 'json'), 0, '{');
	write(directory, nameOf('fresh', 'json'), 10 * dayMs, {
		expiresAt: Date.now() + dayMs,
		value: 1,
	});
	write(directory, nameOf('endless', 'json'), 1_000 * dayMs, { expiresAt: null, value: 1 });
	await sweep(directory);
	const kept = ['fresh', 'endless'].map((key) => nameOf(key, 'json'));
	expect(readdirSync(directory).toSorted()).toEqual(kept.toSorted());
});

test('drafts go when they were untouched for a day', async () => {
	const directory = makeDirectory();
	const old = write(directory, nameOf('a', `json.${randomUUID()}`), dayMs + 1_000);
	const recent = write(directory, nameOf('a', `json.${randomUUID()}`), dayMs - 60_000);
	await sweep(directory);
	expect([existsSync(old), existsSync(recent)]).toEqual([false, true]);
});

test('a lock goes when it was unused for a day, and works afterwards', async () => {
	const directory = makeDirectory();
	const { signal } = new AbortController();
	const [old, recent] = ['old', 'recent'].map((key) =>
		path.join(directory, nameOf(key, 'lock')),
	) as [string, string];
	for (const lock of [old, recent]) await (await acquireLock(lock, signal))();
	age(old, dayMs + 1_000);
	age(recent, dayMs - 60_000);
	await sweep(directory);
	expect(readdirSync(directory)).toEqual([path.basename(recent)]);
	await (await acquireLock(old, signal))();
	expect(readdirSync(old)).toEqual(['1']);
});

test('a lock that is held stays, although its claim is old', async () => {
	const directory = makeDirectory();
	const lock = path.join(directory, nameOf('key', 'lock'));
	const release = await acquireLock(lock, new AbortController().signal);
	age(path.join(lock, '1'), 10 * dayMs);
	await sweep(directory);
	expect(readdirSync(lock)).toEqual(['1']);
	await release();
});

test('files of anybody else, and of other versions, stay', async () => {
	const directory = makeDirectory();
	const draft = nameOf('a', 'json');
	const names = [
		'notes.json',
		'x.lock',
		`v2-${hash('a')}.json`,
		`${draft}.bak`,
		`v1-${'g'.repeat(32)}.json`,
	];
	for (const name of names) write(directory, name, 10 * dayMs);
	const foreign = path.join(directory, `v0-${hash('a')}.lock`);
	mkdirSync(foreign);
	age(foreign, 10 * dayMs);
	await sweep(directory);
	expect(readdirSync(directory).toSorted()).toEqual([...names, path.basename(foreign)].toSorted());
});

test('a link or a directory in the place of a list harms nothing', async () => {
	const [directory, elsewhere] = [makeDirectory(), makeDirectory()];
	const target = write(elsewhere, 'target', 10 * dayMs);
	symlinkSync(target, path.join(directory, nameOf('link', 'json')));
	const folder = path.join(directory, nameOf('folder', 'json'));
	mkdirSync(folder);
	await sweep(directory);
	expect([existsSync(target), existsSync(folder)]).toEqual([true, true]);
});

test('one sweep looks at a hundred files at most', async () => {
	const directory = makeDirectory();
	for (let key = 0; key < 250; key++) write(directory, nameOf(String(key), 'json'), 10 * dayMs);
	await sweep(directory);
	const { length } = readdirSync(directory);
	expect([150, 151]).toContain(length);
	await sweep(directory);
	await sweep(directory);
	expect(readdirSync(directory).length).toBeLessThanOrEqual(2);
});

test('some writes sweep, most do not', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	const old = write(directory, nameOf('old', 'json'), 10 * dayMs);
	const random = vi.spyOn(Math, 'random').mockReturnValue(0.02);
	await store.set('key', 1);
	expect(existsSync(old)).toBe(true);
	random.mockReturnValue(0.019);
	await store.set('key', 1);
	expect(existsSync(old)).toBe(false);
	expect(await store.get('key')).toBe(1);
});
