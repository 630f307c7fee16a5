import { randomUUID } from 'node:crypto';
import { existsSync, lutimesSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { hash } from '../../src/core/hash.js';
import { acquireLock } from '../../src/store/file-lock.js';
import { fileStore } from '../../src/store/file-store.js';
import { makeDirectory } from '../harness.js';

const dayMs = 24 * 60 * 60 * 1_000;
const weekMs = 7 * dayMs;
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

test.each(['json', `json.${randomUUID()}`])('a file .%s goes when it was untouched for a week', async (suffix) => {
	const directory = makeDirectory();
	const old = write(directory, nameOf('old', suffix), weekMs + 1_000);
	const recent = write(directory, nameOf('recent', suffix), weekMs - 60_000);
	await sweep(directory);
	expect([existsSync(old), existsSync(recent)]).toEqual([false, true]);
});

test('a lock goes when it was unused for a week, and works afterwards', async () => {
	const directory = makeDirectory();
	const { signal } = new AbortController();
	const [old, recent] = ['old', 'recent'].map((key) => path.join(directory, nameOf(key, 'lock'))) as [string, string];
	for (const lock of [old, recent]) await (await acquireLock(lock, signal))();
	age(old, weekMs + 1_000);
	age(recent, weekMs - 60_000);
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
	const names = ['notes.json', 'x.lock', `v2-${hash('a')}.json`, `${draft}.bak`, `v1-${'g'.repeat(32)}.json`];
	for (const name of names) write(directory, name, 10 * dayMs);
	const foreign = path.join(directory, `v0-${hash('a')}.lock`);
	mkdirSync(foreign);
	age(foreign, 10 * dayMs);
	await sweep(directory);
	expect(readdirSync(directory).toSorted()).toEqual([...names, path.basename(foreign)].toSorted());
});

test('the target of a link in the place of a file stays', async () => {
	const [directory, elsewhere] = [makeDirectory(), makeDirectory()];
	const target = write(elsewhere, 'target', 10 * dayMs);
	const link = path.join(directory, nameOf('link', 'json'));
	symlinkSync(target, link);
	lutimesSync(link, 1, 1);
	await sweep(directory);
	expect([existsSync(target), existsSync(link)]).toEqual([true, false]);
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
