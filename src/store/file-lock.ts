import { type FileHandle, lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
// Unlike the global ones, this clock and these timers are real where a test has replaced them.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ignore } from '../system/files.js';
import { makeOwnDirectory } from './own-directory.js';

// A lock between processes: a directory of empty files, one for each claim, numbered upwards. Any other name is ignored.
//
// The modification time of a file is its state, because setting a time needs neither space on the disk nor a second file:
// `releasedTime` means released, any other time means held until it has not changed for `leaseMs`. The holder changes the
// time every `beatMs`: one that is killed, stopped or stuck loses the lock after `leaseMs`. Times are compared for equality
// only, never with a clock. The holder sets them through the handle of the file that it made, so that neither a beat nor a
// release reaches another file of that name, after the directory was removed and made again.
//
// A process takes the lock in three steps: (1) it lists the claims, and goes on if the highest is released or expired (over);
// (2) it creates the next one, which only one process can do (O_EXCL); (3) it looks again, and removes its claim unless that
// is the highest, and the one below is still there and over. The holder then removes lower claims.
//
// Why two processes never hold the lock at once, unless the lease of the first has expired: let A hold it. In step 3 of A
// its claim was the highest, and it stays until the holder of a higher claim removes it. Claims are made directly above the
// highest one, so the first of the higher claims lies directly above that of A, and its process holds the lock only if the
// claim of A was over after both were made. If the directory is removed, A cannot be seen any more, and one other process
// may hold the lock; a process that was between its steps finds the claim below gone or changed.

/** In milliseconds. A poll takes `pollMs` to twice that. */
export const leaseTimes = { beatMs: 500, leaseMs: 3_000, pollMs: 25 };

/** In seconds. Beats count on from it, in even numbers, because FAT keeps times in steps of two seconds. */
const releasedTime = 1_000_000_000;

/**
 * Waits until no other process holds the lock, and resolves to its release. Rejects with the signal's reason, or when the
 * directory, which it makes, cannot be used. Timers do not keep the process alive.
 */
export async function acquireLock(
	directory: string,
	signal: AbortSignal,
	times = leaseTimes,
): Promise<() => Promise<void>> {
	const claim = prepareClaim(directory, times);
	for (;;) {
		signal.throwIfAborted();
		await makeOwnDirectory(path.dirname(directory));
		// The directory may be removed at any moment.
		const handle = await claim().catch(ignore('ENOENT'));
		const release = handle && hold(handle, times.beatMs);
		if (release && !signal.aborted) return release;
		await release?.();
		const pauseMs = times.pollMs * (1 + Math.random());
		await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
	}
}

/** Anything else in a lock is left alone. */
export const claimName = /^[1-9]\d{0,14}$/;

/** The numbers of the claims, the highest one first. Makes the directory of the lock. */
async function listClaims(directory: string) {
	await mkdir(directory, { mode: 0o700 }).catch(ignore('EEXIST'));
	if (!(await lstat(directory)).isDirectory()) throw new Error(`Not a directory: ${directory}`);
	const names = await readdir(directory);
	return names
		.filter((name) => claimName.test(name))
		.map(Number)
		.sort((one, other) => other - one);
}

/** Returns the three steps: they result in the holder's file, or in nothing where another process holds the lock. */
function prepareClaim(directory: string, { beatMs, leaseMs }: typeof leaseTimes) {
	const toFile = (number: number) => path.join(directory, String(number));
	let known = '';
	let unchangedMs = 0;
	let lookedAt = 0;

	/** Whether the highest claim is released or expired. */
	const isOver = async (number: number) => {
		if (number === 0) return true;
		const now = performance.now();
		const { mtimeMs } = await lstat(toFile(number));
		const state = `${number} ${mtimeMs}`;
		// A pause of this process counts as one beat at most: the holder may have been stopped as well.
		unchangedMs = state === known ? unchangedMs + Math.min(now - lookedAt, beatMs) : 0;
		known = state;
		lookedAt = now;
		return mtimeMs === releasedTime * 1_000 || unchangedMs >= leaseMs;
	};

	return async () => {
		const [last = 0] = await listClaims(directory);
		if (!(await isOver(last))) return undefined;
		const file = toFile(last + 1);
		const handle = await open(file, 'wx', 0o600).catch(ignore('EEXIST'));
		if (!handle) return undefined;
		try {
			const [highest, ...lower] = await listClaims(directory);
			if (highest === last + 1 && (await isOver(last))) {
				await Promise.allSettled(lower.map((number) => rm(toFile(number))));
				return handle;
			}
		} catch {
			// The next look tells why this one failed.
		}
		await handle.close();
		await rm(file).catch(ignore('ENOENT'));
		return undefined;
	};
}

/** Beats until the release. */
function hold(handle: FileHandle, beatMs: number) {
	const controller = new AbortController();
	const { signal } = controller;
	const beating = (async () => {
		for (let time = releasedTime + 2; ; time += 2) {
			await sleep(beatMs, undefined, { signal, ref: false });
			// A beat that fails needs no answer: the lease ends.
			await handle.utimes(time, time).catch(() => {});
		}
	})().catch(() => {});
	return async () => {
		if (signal.aborted) return;
		controller.abort();
		// A beat that ends after the release would undo it.
		await beating;
		await handle.utimes(releasedTime, releasedTime).finally(() => handle.close());
	};
}
