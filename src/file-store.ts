import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelListStore } from './store.js';

export type { ModelListStore } from './store.js';

export type FileStoreOptions = {
	/**
	 * Where the files are; made when it is missing, for its owner alone.
	 * @default the platform's cache directory, such as `~/.cache/codex-models`
	 */
	directory?: string | undefined;
};

/** How often a lock that another process holds is tried again, in milliseconds. */
const lockPollMs = 50;

/**
 * A store in files, one a list, for the processes of one user on one machine: they share lists, and fetches, too.
 *
 * A file is the owner's alone (0600, in a directory of 0700), and is written under another name, flushed and renamed, so
 * that a reader never sees half of one. The lock is the kernel's (`fcntl`, `flock`, `LockFileEx`): it ends with the
 * process that holds it, however that ends.
 *
 * @throws TypeError when `directory` is no string.
 */
export function fileStore({ directory }: FileStoreOptions = {}): Required<ModelListStore> {
	if (directory !== undefined && (typeof directory !== 'string' || directory.trim() === '')) {
		throw new TypeError(
			`Expected option "directory" to be a path, got ${String(directory)} (${typeof directory})`,
		);
	}
	const given = directory === undefined ? undefined : path.resolve(directory);
	// When it is needed, for `env-paths` looks for the home directory as soon as it is loaded, and throws where there is none.
	const findFolder = async () =>
		given ?? path.resolve((await import('env-paths')).default('codex-models', { suffix: '' }).cache);
	const toPath = async (key: string, suffix: string) =>
		path.join(await findFolder(), createHash('sha256').update(key).digest('hex').slice(0, 40) + suffix);
	const makeFolder = async () => mkdir(await findFolder(), { recursive: true, mode: 0o700 });

	return {
		async get(key) {
			let text: string;
			try {
				text = await readFile(await toPath(key, '.json'), 'utf8');
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
				throw error;
			}
			try {
				const { value, expiresAt } = JSON.parse(text);
				return typeof expiresAt === 'number' && expiresAt <= Date.now() ? undefined : value;
			} catch {
				// Spoilt by whatever means: the next list is written over it.
				return undefined;
			}
		},

		async set(key, value, ttlMs) {
			await makeFolder();
			const expiresAt = ttlMs === undefined ? null : Date.now() + ttlMs;
			await writeWhole(await toPath(key, '.json'), JSON.stringify({ expiresAt, value }));
		},

		async delete(key) {
			await rm(await toPath(key, '.json'), { force: true });
		},

		async lock(key, signal) {
			// Not before it is needed: it is native code, and there is not one for every platform.
			const { tryLock } = await import('fs-native-extensions');
			await makeFolder();
			// The file stays: one that is removed while others wait for it would be two locks.
			const file = await open(await toPath(key, '.lock'), 'a+', 0o600);
			try {
				while (!tryLock(file.fd)) await sleep(lockPollMs, undefined, { signal, ref: false });
				signal.throwIfAborted();
			} catch (error) {
				await file.close();
				throw error;
			}
			// To close it is to unlock it.
			return () => void file.close().catch(() => {});
		},
	};
}

/**
 * Under another name, flushed, then renamed. Not by `write-file-atomic`: it loads another copy of `signal-exit` than this
 * package, and the two leave a listener behind that ends a host with a `process.once('SIGTERM')` of its own (6.0.0, 4.1.0).
 */
async function writeWhole(file: string, text: string): Promise<void> {
	const draft = `${file}.${randomUUID()}`;
	try {
		await writeFile(draft, text, { flag: 'wx', mode: 0o600, flush: true });
		await rename(draft, file);
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
}
