import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { inspect } from 'node:util';
import { findHome, isWindows, lookUp } from '../core/environment.js';
import { readRegularFile } from '../core/files.js';
import { hash } from '../core/hash.js';
import type { ModelListStore } from '../core/model-list-store.js';
import { MisuseError } from '../core/settings.js';
import { acquireLock } from './file-lock.js';
import { isSharingViolation, retryOnSharingViolation } from './sharing-violation.js';
import { maxListBytes, readEntry, sweep } from './sweep.js';

export type { ModelListStore } from '../core/model-list-store.js';

export type FileStoreOptions = {
	/**
	 * Where the files are; created when it is missing, readable for its owner only.
	 * @default the platform's cache directory, such as `~/.cache/codex-models`
	 */
	directory?: string | undefined;
};

/** The share of writes that also remove what is out of date: no file needs to remember when that was done last. */
const sweepShare = 1 / 50;

/**
 * A store in files, one for each list, for the processes of one user on one machine: they share lists and fetches.
 *
 * A file is readable for its owner only (0600, in a directory of 0700). It is written under another name, flushed and
 * renamed, so that a reader never sees a part of it.
 *
 * @throws TypeError when `directory` is not a path, or an option is unknown.
 */
export function fileStore(options: FileStoreOptions = {}): Required<ModelListStore> {
	const { directory } = checkOptions(options);
	// Paths start from the working directory of the call; the environment is read at each use.
	const given = directory === undefined ? undefined : path.resolve(directory);
	const findDirectory = () => given ?? findCacheDirectory();
	const makeDirectory = () => mkdir(findDirectory(), { recursive: true, mode: 0o700 });
	// The version of the format is in the name, so that versions of this package do not touch each other's files.
	const toPath = (key: string, suffix: string) => path.join(findDirectory(), `v1-${hash(key)}.${suffix}`);

	return {
		async get(key) {
			try {
				const text = await readRegularFile(toPath(key, 'json'), maxListBytes);
				const entry = text === undefined ? undefined : readEntry(text);
				return entry && entry.expiresAt > Date.now() ? entry.value : undefined;
			} catch (error) {
				if (isSharingViolation(error)) return undefined;
				throw error;
			}
		},

		async set(key, value, ttlMs) {
			const expiresAt = ttlMs === undefined ? null : Date.now() + ttlMs;
			const text = JSON.stringify({ expiresAt, value });
			if (Buffer.byteLength(text) > maxListBytes) throw new Error(`Larger than ${maxListBytes} bytes`);
			await makeDirectory();
			await writeAtomically(toPath(key, 'json'), text);
			if (Math.random() < sweepShare) await sweep(findDirectory());
		},

		async delete(key) {
			await retryOnSharingViolation(() => rm(toPath(key, 'json'), { force: true }));
		},

		async lock(key, signal) {
			signal.throwIfAborted();
			await makeDirectory();
			return acquireLock(toPath(key, 'lock'), signal);
		},
	};
}

function checkOptions(options: FileStoreOptions): FileStoreOptions {
	if (typeof options !== 'object' || options === null) {
		throw new MisuseError(`Expected the options of the file store to be an object, got ${inspect(options)}`);
	}
	for (const name in options) {
		if (name !== 'directory') throw new MisuseError(`Unknown option "${name}"; the only option is directory`);
	}
	const directory: unknown = options.directory;
	const isPath = typeof directory === 'string' && directory.trim() !== '' && !directory.includes('\0');
	if (directory !== undefined && !isPath) {
		const shown = `${inspect(directory, { depth: 0, customInspect: false })} (${typeof directory})`;
		throw new MisuseError(`Expected option "directory" to be a path, got ${shown}`);
	}
	return options;
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
