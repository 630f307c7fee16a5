import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { readRegularFile } from '../core/files.js';

/** The largest list that is written or read, in bytes: parsing more would hold up the event loop for too long. */
export const maxListBytes = 8 * 1024 * 1024;

/** The most files that one sweep looks at. */
const maxFiles = 100;

/** How long a file has not been touched when it counts as left behind, in milliseconds. */
const abandonedAfterMs = 24 * 60 * 60 * 1_000;

/** The names of this version's files. All other files in the directory belong to somebody else. */
const ownName = /^v1-[0-9a-f]{32}\.(?:(?<list>json)|(?<draft>json\.[0-9a-f-]{36})|(?<lock>lock))$/;

export type Entry = { expiresAt: number; value: unknown };

/** The content of a list's file; `undefined` where it is damaged. */
export function readEntry(text: string): Entry | undefined {
	try {
		const { expiresAt, value } = JSON.parse(text);
		return { expiresAt: typeof expiresAt === 'number' ? expiresAt : Number.POSITIVE_INFINITY, value };
	} catch {
		return undefined;
	}
}

/**
 * Removes expired and damaged lists, drafts of processes that were killed, and unused locks. Never rejects. Each file must
 * have been untouched for a day, so that no process is at work with it.
 */
export async function sweep(directory: string): Promise<void> {
	const names = (await readdir(directory).catch(() => [])).filter((name) => ownName.test(name));
	// Another part of a large directory each time.
	const start = names.length > maxFiles ? Math.floor(Math.random() * names.length) : 0;
	for (const name of [...names.slice(start), ...names.slice(0, start)].slice(0, maxFiles)) {
		await sweepFile(path.join(directory, name)).catch(() => {});
	}
}

async function sweepFile(file: string): Promise<void> {
	const { list, lock } = ownName.exec(path.basename(file))?.groups ?? {};
	if (lock) return removeUnusedLock(file);
	if (!(await isAbandoned(file))) return;
	if (list) {
		const text = await readRegularFile(file, maxListBytes);
		const entry = text === undefined ? undefined : readEntry(text);
		if (entry && entry.expiresAt > Date.now()) return;
	}
	await rm(file, { force: true });
}

/**
 * A directory's time changes with each claim, so that all claims in an abandoned directory are over. Only claims that were
 * listed before the time was read are removed; with a newer claim in it, the directory cannot be removed.
 */
async function removeUnusedLock(lock: string): Promise<void> {
	const claims = await readdir(lock);
	if (!(await isAbandoned(lock))) return;
	for (const name of claims) await rm(path.join(lock, name), { force: true });
	await rmdir(lock);
}

const isAbandoned = async (file: string) => Date.now() - (await lstat(file)).mtimeMs > abandonedAfterMs;
