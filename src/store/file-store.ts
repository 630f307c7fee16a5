import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import pRetry from 'p-retry';
import { aPath, check } from '../api/option-rules.js';
import type { ModelListStore } from '../api/options.js';
import { findHome, isWindows, resolvePath } from '../system/environment.js';
import { hasCode, readRegularFile } from '../system/files.js';
import { hash } from '../system/hash.js';
import { acquireLock, claimName } from './file-lock.js';
import { hasOwnDirectory, makeOwnDirectory } from './own-directory.js';

export type { ModelListStore } from '../api/options.js';

export type FileStoreOptions = {
	/** Made when it is missing, for its owner only. @default the platform's cache directory, such as `~/.cache/codex-models` */
	directory?: string | undefined;
};

/** The largest list that is read, in bytes: parsing more would hold up the event loop for too long. */
const maxListBytes = 8 * 1024 * 1024;

/** The share of writes that also remove what is out of use: no file needs to remember when that was done last. */
const sweepShare = 1 / 50;
/** The age at which a file that is not written again counts as left behind: longer than any fetch may take. */
const unusedAfterMs = 30 * 24 * 60 * 60 * 1_000;

/** The names of this version's lists, drafts and locks: versions of this package do not touch each other's files. */
const ownName = /^v1-\w{32}\.(json|lock|json\.[\w-]{36})$/;

/**
 * A store in files, one for each list, for the processes of one user on one machine: they share lists and fetches.
 *
 * A file is readable for its owner only (0600, in a directory of 0700). It is written under another name, flushed and
 * renamed, so that a reader never sees a part of it. Some writes remove files that were left behind a month ago.
 *
 * @throws TypeError when `directory` is not a path, or an option is unknown.
 */
export function fileStore(options: FileStoreOptions = {}): Required<ModelListStore> {
	check(options, { directory: aPath });
	const directory = resolvePath(options.directory ?? findCacheDirectory());
	const toPath = (key: string, suffix: string) => path.join(directory, `v1-${hash(key)}.${suffix}`);

	return {
		async get(key) {
			await hasOwnDirectory(directory);
			return retryOnSharingViolation(() => readEntry(toPath(key, 'json')));
		},

		async set(key, value, ttlMs = Infinity) {
			const text = JSON.stringify({ expiresAt: Date.now() + ttlMs, value });
			await makeOwnDirectory(directory);
			// Not with `write-file-atomic`, which listens for the end of the host (`signal-exit`) and follows links (7.0.1).
			const file = toPath(key, 'json');
			const draft = `${file}.${randomUUID()}`;
			try {
				await writeFile(draft, text, { flag: 'wx', mode: 0o600, flush: true });
				await retryOnSharingViolation(() => rename(draft, file));
			} finally {
				await rm(draft, { force: true });
			}
			if (Math.random() < sweepShare) await sweep(directory);
		},

		async delete(key) {
			await hasOwnDirectory(directory);
			await retryOnSharingViolation(() => rm(toPath(key, 'json'), { force: true }));
		},

		lock: (key, signal) => acquireLock(toPath(key, 'lock'), signal),
	};
}

/** The platform's directory for caches, as other command-line programs use it. */
function findCacheDirectory() {
	const home = findHome();
	if (isWindows) {
		const caches = process.env.LOCALAPPDATA || path.join(home, 'AppData', 'Local');
		return path.join(caches, 'codex-models', 'Cache');
	}
	if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'codex-models');
	const { XDG_CACHE_HOME: caches = '' } = process.env;
	// The specification has a path that is not absolute ignored.
	return path.join(path.isAbsolute(caches) ? caches : path.join(home, '.cache'), 'codex-models');
}

/** The value of a file, unless it has expired or is damaged. */
async function readEntry(file: string): Promise<unknown> {
	const text = await readRegularFile(file, maxListBytes, constants.O_NOFOLLOW);
	try {
		const { expiresAt, value } = JSON.parse(text ?? '');
		return expiresAt === null || expiresAt > Date.now() ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Repeats a step for half a second: Windows refuses to replace a file that another process has open (nodejs/node#29481). */
const retryOnSharingViolation = <T>(step: () => Promise<T>) =>
	pRetry(step, {
		retries: 50,
		maxTimeout: 10,
		shouldRetry: ({ error }) => isWindows && hasCode(error, 'EPERM', 'EACCES', 'EBUSY'),
	});

/** Removes lists, drafts and locks that were left behind. */
async function sweep(directory: string) {
	// The time of the write before, because the clock of this process may be another one.
	const { mtimeMs: now } = await stat(directory);
	for (const name of await readdir(directory)) {
		if (ownName.test(name)) await removeUnused(path.join(directory, name), now).catch(() => {});
	}
}

async function removeUnused(file: string, now: number) {
	const claims = (await lstat(file)).isDirectory() ? await readdir(file) : undefined;
	// The time of a directory changes with each claim: one that comes after this look is not removed, and keeps the lock.
	if (now - (await lstat(file)).mtimeMs <= unusedAfterMs) return;
	if (!claims) return rm(file);
	for (const name of claims.filter((name) => claimName.test(name))) await rm(path.join(file, name));
	await rmdir(file);
}
