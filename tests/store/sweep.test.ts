import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { acquireLock } from '../../src/store/file-lock.js';
import { fileStore } from '../../src/store/file-store.js';
import { hash } from '../../src/system/hash.js';
import { makeDirectory } from '../harness.js';

const dayMs = 24 * 60 * 60 * 1_000;
const monthMs = 30 * dayMs;
const nameOf = (key: string, suffix: string) => `v1-${hash(key)}.${suffix}`;

/** Sets the time of a file or directory back by `ms` milliseconds from now. */
function age(file: string, ms: number): void {
	const seconds = (Date.now() - ms) / 1_000;
	fs.utimesSync(file, seconds, seconds);
}

function write(directory: string, name: string, ageMs = 10 * monthMs, content = ''): string {
	const file = path.join(directory, name);
	fs.writeFileSync(file, content);
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

test('lists, drafts and locks go when they were untouched for a month, whatever the clock of this process says', async () => {
	const directory = makeDirectory();
	const { signal } = new AbortController();
	const ages = [monthMs + 1_000, monthMs - 60_000];
	const suffixes = ['json', `json.${randomUUID()}`];
	const files = suffixes.flatMap((suffix) =>
		ages.map((ms) => write(directory, nameOf(String(ms), suffix), ms)),
	);
	const [old, recent] = ages.map((ms) => path.join(directory, nameOf(String(ms), 'lock')));
	const locks = [old ?? '', recent ?? ''];
	for (const lock of locks) await (await acquireLock(lock, signal))();
	for (const [index, lock] of locks.entries()) age(lock, ages[index] ?? 0);
	for (const now of [0, Date.now() + 10 * monthMs]) {
		vi.useFakeTimers({ now, toFake: ['Date'] });
		await sweep(directory);
	}
	const kept = [...files, ...locks].map((file) => fs.existsSync(file));
	expect(kept).toEqual([false, true, false, true, false, true]);
});

test('a file of another name or version stays, also in a lock', async () => {
	const directory = makeDirectory();
	const list = nameOf('a', 'json');
	const names = ['notes.json', 'x.lock', list.replace('v1', 'v2'), `${list}.bak`, 'v1-0.lock'];
	for (const name of names) write(directory, name);
	const lock = nameOf('a', 'lock');
	fs.mkdirSync(path.join(directory, lock));
	for (const name of ['1', 'notes']) write(path.join(directory, lock), name);
	age(path.join(directory, lock), 10 * monthMs);
	await sweep(directory);
	expect(fs.readdirSync(directory).toSorted()).toEqual([...names, lock].toSorted());
	expect(fs.readdirSync(path.join(directory, lock))).toEqual(['notes']);
});

test('a sweep removes a link, and nothing behind it', async () => {
	const [directory, elsewhere] = [makeDirectory(), makeDirectory()];
	const target = write(elsewhere, '12');
	age(elsewhere, 10 * monthMs);
	fs.symlinkSync(target, path.join(directory, nameOf('list', 'json')));
	const lock = path.join(directory, nameOf('lock', 'lock'));
	fs.symlinkSync(elsewhere, lock);
	fs.lutimesSync(lock, 0, 0);
	fs.symlinkSync(elsewhere, path.join(directory, nameOf('draft', `json.${randomUUID()}`)));
	fs.mkdirSync(path.join(directory, nameOf('folder', 'json')));
	await sweep(directory);
	expect([fs.readdirSync(elsewhere), fs.readdirSync(directory).length]).toEqual([['12'], 3]);
});

test('some writes sweep', async () => {
	const directory = makeDirectory();
	const store = fileStore({ directory });
	for (let key = 0; key < 250; key++) write(directory, nameOf(String(key), 'json'));
	const random = vi.spyOn(Math, 'random').mockReturnValue(0.02);
	await store.set('key', 1);
	expect(fs.readdirSync(directory)).toHaveLength(251);
	random.mockReturnValue(0.019);
	await store.set('key', 1);
	expect(fs.readdirSync(directory)).toHaveLength(1);
	expect(await store.get('key')).toBe(1);
});
