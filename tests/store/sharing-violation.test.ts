import { rename, rm } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { fileStore } from '../../src/store/file-store.js';
import { makeDirectory } from '../harness.js';

// Windows refuses to replace or remove a file that another process has open. The system is played; `test:windows` meets it.
vi.mock('../../src/system/environment.js', async (importOriginal) => ({
	...(await importOriginal<object>()),
	isWindows: true,
}));

vi.mock('node:fs/promises', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:fs/promises')>();
	return { ...original, rename: vi.fn(original.rename), rm: vi.fn(original.rm) };
});

const failure = (code: string) => Object.assign(new Error(code), { code });

test('a write and a removal are repeated until no other process has the file open', async () => {
	const store = fileStore({ directory: makeDirectory() });
	for (const code of ['EPERM', 'EACCES', 'EBUSY'])
		vi.mocked(rename).mockRejectedValueOnce(failure(code));
	await store.set('key', 1);
	expect(await store.get('key')).toBe(1);
	vi.mocked(rm).mockRejectedValueOnce(failure('EBUSY'));
	await store.delete('key');
	expect(await store.get('key')).toBeUndefined();
});

test('a write rejects at once for another reason, and for this one after a while', async () => {
	const store = fileStore({ directory: makeDirectory() });
	vi.mocked(rename).mockClear().mockRejectedValue(failure('ENOSPC'));
	await expect(store.set('key', 1)).rejects.toMatchObject({ code: 'ENOSPC' });
	expect(rename).toHaveBeenCalledTimes(1);
	vi.mocked(rename).mockRejectedValue(failure('EPERM'));
	await expect(store.set('key', 1)).rejects.toMatchObject({ code: 'EPERM' });
});
