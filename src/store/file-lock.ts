import { lstat, mkdir, open, readdir, rm, utimes } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ignore } from '../system/files.js';
import { unref } from '../system/timers.js';
import { retryOnSharingViolation } from './sharing-violation.js';

// A lock between processes: a directory of empty files, one for each claim, numbered upwards.
//
// The modification time of a file is its state, because setting a time needs neither space on the disk nor a second file:
// `releasedTime` means released, any other time means held until it has not changed for `leaseMs`. The holder changes the
// time every `beatMs`, for at most `maxBeats`: a holder that is killed, stopped or stuck loses the lock after `leaseMs`, and
// one that works for too long after `maxBeats * beatMs + leaseMs`. Times are compared for equality only, never with the
// clock of this machine, which may differ from that of a file server.
//
// A process takes the lock in three steps: (1) it lists the files, and goes on if each is released or expired; (2) it
// creates the file with the next number, which only one process can do (O_EXCL); (3) it lists the files again, and
// withdraws if it finds a file that step 1 did not show. The holder then removes the files that step 1 showed.
//
// Why two processes never hold the lock at once, unless the lease of the first has expired: let A create its file before B.
// A holder's file stays until a later holder, which has seen it expired, removes it. So step 3 of B, which follows the
// creation of both files, shows A's file. B withdraws, unless step 1 showed B that A's file was released or expired. Numbers
// grow, so that no name stands for two claims, until the file store removes a lock that was unused for days.

export type LeaseTimes = Readonly<typeof leaseTimes>;

/** All in milliseconds but `maxBeats`. A poll takes `pollMs` to twice that. */
export const leaseTimes = { beatMs: 500, maxBeats: 10, leaseMs: 3_000, pollMs: 25 };

/** In seconds. An even number, because FAT keeps times in steps of two seconds. */
const releasedTime = 1_000_000_000;

const toFile = (directory: string, number: number) => path.join(directory, String(number));

/**
 * Waits until no other process holds the lock, and resolves to its release. Rejects with the signal's reason, or when the
 * directory, which it makes, cannot be used. Timers do not keep the process alive.
 */
export async function acquireLock(
	directory: string,
	signal: AbortSignal,
	times: LeaseTimes = leaseTimes,
): Promise<() => Promise<void>> {
	const findExpired = observeClaims(directory, times);
	for (;;) {
		signal.throwIfAborted();
		const expired = await findExpired();
		const file = expired && !signal.aborted ? await claim(directory, expired) : undefined;
		if (file) {
			const release = hold(file, times);
			if (!signal.aborted) return release;
			await release();
		}
		await sleep(times.pollMs * (1 + Math.random()), undefined, { signal, ref: false }).catch(
			() => {},
		);
	}
}

/** Returns a function that resolves to all claims where each is released or expired, else to `undefined`. */
function observeClaims(directory: string, { leaseMs, beatMs }: LeaseTimes) {
	const claims = new Map<number, { mtimeMs: number | undefined; since: number }>();
	let watchedMs = 0;
	let tickedAt = performance.now();
	/** How long this process has watched. A pause counts as one beat at most: the holder may have been stopped as well. */
	const tick = () => {
		const now = performance.now();
		watchedMs += Math.min(now - tickedAt, beatMs);
		tickedAt = now;
		return watchedMs;
	};
	return async (): Promise<number[] | undefined> => {
		const startedAt = tick();
		const numbers = await listClaims(directory);
		let isFree = true;
		for (const number of numbers) {
			// A claim that has been removed since it was listed is not known to be over.
			const mtimeMs = (await lstat(toFile(directory, number)).catch(ignore('ENOENT')))?.mtimeMs;
			const known = claims.get(number);
			const isKnown = known !== undefined && known.mtimeMs === mtimeMs && mtimeMs !== undefined;
			if (!isKnown) claims.set(number, { mtimeMs, since: tick() });
			const isExpired = isKnown && startedAt - known.since >= leaseMs;
			isFree &&= isExpired || mtimeMs === releasedTime * 1_000;
		}
		return isFree ? numbers : undefined;
	};
}

async function listClaims(directory: string): Promise<number[]> {
	const names = (await readdir(directory).catch(ignore('ENOENT'))) ?? [];
	return names.filter((name) => /^\d{1,15}$/.test(name)).map(Number);
}

/** Claims the lock after the claims that are over; resolves to the file, or to `undefined` where another process was faster. */
async function claim(directory: string, expired: number[]): Promise<string | undefined> {
	const number = Math.max(0, ...expired) + 1;
	// Not "recursive", which answers ENOENT where the file system is read-only (Node 20).
	await mkdir(directory, { mode: 0o700 }).catch(ignore('EEXIST'));
	const handle = await open(toFile(directory, number), 'wx', 0o600).catch(ignore('EEXIST'));
	if (!handle) return undefined;
	await handle.close();
	const allowed = new Set([...expired, number]);
	let isHolder = false;
	try {
		const listed = await listClaims(directory);
		isHolder = listed.includes(number) && listed.every((other) => allowed.has(other));
	} finally {
		const needless = isHolder ? expired : [number];
		// A file that cannot be removed is an expired one for the next holder, too.
		await Promise.allSettled(
			needless.map((other) => rm(toFile(directory, other), { force: true })),
		);
	}
	return isHolder ? toFile(directory, number) : undefined;
}

function hold(file: string, { beatMs, maxBeats }: LeaseTimes): () => Promise<void> {
	const startedAt = Math.floor(Date.now() / 1_000);
	let beats = 0;
	let beat = Promise.resolve();
	const timer = setInterval(() => {
		beats += 1;
		if (beats >= maxBeats) clearTimeout(timer);
		const time = startedAt + 2 * beats;
		// A failed beat needs no answer: the lease ends, and the file of a lost lock does not exist any more.
		beat = beat.then(() => utimes(file, time, time)).catch(() => {});
	}, beatMs);
	unref(timer);
	return async () => {
		clearTimeout(timer);
		// A beat that ends after the release would undo it.
		await beat;
		await retryOnSharingViolation(() => utimes(file, releasedTime, releasedTime)).catch(
			ignore('ENOENT'),
		);
	};
}
