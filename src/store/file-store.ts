import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import type { ModelListStore } from '../api/options.js';
import { checkStoreOptions } from '../api/settings.js';
import { findHome, isWindows, lookUp } from '../system/environment.js';
import { hasCode, ignore, readRegularFile } from '../system/files.js';
import { hash } from '../system/hash.js';
import { acquireLock } from './file-lock.js';
import { isSharingViolation, retryOnSharingViolation } from './sharing-violation.js';

export type { ModelListStore } from '../api/options.js';

export type FileStoreOptions = {
	/** Made when it is missing, for its owner only. @default the platform's cache directory, such as `~/.cache/codex-models` */
	directory?: string | undefined;
};

/** The largest list that is written or read, in bytes: parsing more would hold up the event loop for too long. */
const maxListBytes = 8 * 1024 * 1024;

/** The share of writes that also remove what is out of use: no file needs to remember when that was done last. */
const sweepShare = 1 / 50;
/** The most files that one sweep looks at. */
const maxSwept = 100;
/** How long a draft or a lock has not been touched when it counts as left behind, in milliseconds. */
const unusedAfterMs = 24 * 60 * 60 * 1_000;

/** The names of this version's lists, drafts and locks: versions of this package do not touch each other's files. */
const ownName = /^v1-[0-9a-f]{32}\.(?:json|json\.[0-9a-f-]{36}|lock)$/;

/**
 * A store in files, one for each list, for the processes of one user on one machine: they share lists and fetches.
 *
 * A file is readable for its owner only (0600, in a directory of 0700). It is written under another name, flushed and
 * renamed, so that a reader never sees a part of it.
 *
 * @throws TypeError when `directory` is not a path, or an option is unknown.
 */
export function fileStore(options: FileStoreOptions = {}): Required<ModelListStore> {
	checkStoreOptions(options);
	// Paths start from the working directory of the call; the environment is read at each use.
	const given = options.directory === undefined ? undefined : path.resolve(options.directory);
	const findDirectory = () => given ?? findCacheDirectory();
	const toPath = (key: string, suffix: string) =>
		path.join(findDirectory(), `v1-${hash(key)}.${suffix}`);

	return {
		async get(key) {
			return readEntry(toPath(key, 'json')).catch((error: unknown) => {
				if (!isSharingViolation(error)) throw error;
			});
		},

		async set(key, value, ttlMs) {
			const expiresAt = ttlMs === undefined ? null : Date.now() + ttlMs;
			const text = JSON.stringify({ expiresAt, value });
			if (Buffer.byteLength(text) > maxListBytes)
				throw new Error(`Larger than ${maxListBytes} bytes`);
			await makeDirectory(findDirectory());
			await writeAtomically(toPath(key, 'json'), text);
			if (Math.random() < sweepShare) await sweep(findDirectory());
		},

		async delete(key) {
			await retryOnSharingViolation(() => rm(toPath(key, 'json'), { force: true }));
		},

		async lock(key, signal) {
			signal.throwIfAborted();
			await makeDirectory(findDirectory());
			return acquireLock(toPath(key, 'lock'), signal);
		},
	};
}

/** The platform's directory for caches, as other command-line programs use it. */
function findCacheDirectory(): string {
	const home = findHome();
	if (isWindows) {
		const local = lookUp(process.env, 'LOCALAPPDATA') || path.join(home, 'AppData', 'Local');
		return path.join(local, 'codex-models', 'Cache');
	}
	if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'codex-models');
	const { XDG_CACHE_HOME: caches = '' } = process.env;
	// The specification has a path that is not absolute ignored.
	return path.join(path.isAbsolute(caches) ? caches : path.join(home, '.cache'), 'codex-models');
}

/** Not with `recursive`, which does not end where a parent cannot be made, such as one in /proc (Node 20). */
async function makeDirectory(directory: string): Promise<void> {
	const make = () => mkdir(directory, { mode: 0o700 }).catch(ignore('EEXIST'));
	try {
		await make();
	} catch (error) {
		if (!hasCode(error, 'ENOENT') || path.dirname(directory) === directory) throw error;
		await makeDirectory(path.dirname(directory));
		await make();
	}
}

/** The value of a file, unless it has expired or is damaged. */
async function readEntry(file: string): Promise<unknown> {
	const text = await readRegularFile(file, maxListBytes);
	try {
		const { expiresAt, value } = JSON.parse(text ?? '');
		return expiresAt === null || expiresAt > Date.now() ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Not with `write-file-atomic`, which brings a second copy of `signal-exit` along (6.0.0). */
async function writeAtomically(file: string, text: string): Promise<void> {
	const draft = `${file}.${randomUUID()}`;
	try {
		await writeFile(draft, text, { flag: 'wx', mode: 0o600, flush: true });
		await retryOnSharingViolation(() => rename(draft, file));
	} catch (error) {
		await rm(draft, { force: true }).catch(() => {});
		throw error;
	}
}

/** Removes expired and damaged lists, drafts of processes that were killed, and unused locks. Never rejects. */
async function sweep(directory: string): Promise<void> {
	const names = (await readdir(directory).catch(() => [])).filter((name) => ownName.test(name));
	// Another part of a large directory each time.
	const start = Math.floor(Math.random() * Math.max(1, names.length - maxSwept));
	for (const name of names.slice(start, start + maxSwept)) {
		const file = path.join(directory, name);
		try {
			if (name.endsWith('.lock')) await removeUnusedLock(file);
			else if (
				name.endsWith('.json') ? (await readEntry(file)) === undefined : await isUnused(file)
			)
				await rm(file);
		} catch {}
	}
}

/** A directory's time changes with each claim: a claim that comes after the look is not removed, and keeps the directory. */
async function removeUnusedLock(lock: string): Promise<void> {
	const claims = await readdir(lock);
	if (!(await isUnused(lock))) return;
	for (const claim of claims) await rm(path.join(lock, claim), { force: true });
	await rmdir(lock);
}

const isUnused = async (file: string) => Date.now() - (await lstat(file)).mtimeMs > unusedAfterMs;
