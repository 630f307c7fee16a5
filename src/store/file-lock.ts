import { lstat, mkdir, open, readdir, rm, utimes } from 'node:fs/promises';
import path from 'node:path';
import { hasCode } from '../core/files.js';
import { clearTimer, setUnrefInterval, setUnrefTimeout } from '../core/timers.js';
import { retryOnSharingViolation } from './sharing-violation.js';

// A lock between processes, in a directory of its own that holds empty files, one for each claim, numbered upwards.
//
// The modification time of a file is its state, because setting a time needs neither space on the disk nor a second file:
// `releasedTime` means released, any other time means held until it has not changed for `leaseMs`. The holder changes the
// time every `beatMs`, for at most `maxBeats`: a holder that is killed, stopped or stuck loses the lock after `leaseMs`, and
// one that works for too long after `maxBeats * beatMs + leaseMs`. Times are compared for equality only, never with the
// clock of this machine, which may differ from that of a file server.
//
// A process takes the lock in three steps: (1) it lists the files, and goes on if each is released or expired; (2) it
// creates the file with the next number, which only one process can do (O_EXCL); (3) it lists the files again, and
// withdraws if it finds a file that step 1 did not show. At the end the holder removes the files that step 1 showed.
//
// Why two processes never hold the lock at once, unless the lease of the first has expired: let A create its file before B.
// A holder's file stays until a later holder, which has seen it expired, removes it. So step 3 of B, which follows the
// creation of both files, shows A's file. B withdraws, unless step 1 showed B that A's file was released or expired. Numbers
// grow, so that no name stands for two claims. Removing an unused lock restarts the numbers; it needs the directory to be
// unchanged for a day, and step 3 covers a process that listed the files before (see sweep.ts).

export type LeaseTimes = Readonly<typeof leaseTimes>;

/** All in milliseconds but `maxBeats`. A poll takes `pollMs` to twice that. */
export const leaseTimes = { beatMs: 500, maxBeats: 10, leaseMs: 3_000, pollMs: 25 };

/** In seconds. An even number, because FAT keeps times in steps of two seconds. */
const releasedTime = 1_000_000_000;

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
		if (!signal.aborted) await pause(times.pollMs * (1 + Math.random()), signal);
	}
}

/** Returns a function that resolves to all claims where each is released or expired, else to `undefined`. */
function observeClaims(directory: string, { leaseMs, beatMs }: LeaseTimes) {
	const claims = new Map<number, { mtimeMs: number; since: number }>();
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
			const mtimeMs = await readMtime(path.join(directory, String(number)));
			const known = claims.get(number);
			const isExpired = known?.mtimeMs === mtimeMs && startedAt - known.since >= leaseMs;
			if (known?.mtimeMs !== mtimeMs) claims.set(number, { mtimeMs, since: tick() });
			isFree &&= isExpired || mtimeMs === releasedTime * 1_000;
		}
		return isFree ? numbers : undefined;
	};
}

/** NaN where the file has been removed since it was listed: such a claim is not known to be over. */
async function readMtime(file: string): Promise<number> {
	try {
		return (await lstat(file)).mtimeMs;
	} catch (error) {
		if (hasCode(error, 'ENOENT')) return Number.NaN;
		throw error;
	}
}

async function listClaims(directory: string): Promise<number[]> {
	try {
		return (await readdir(directory)).filter((name) => /^\d{1,15}$/.test(name)).map(Number);
	} catch (error) {
		if (hasCode(error, 'ENOENT')) return [];
		throw error;
	}
}

/** Resolves to the file of this process's claim, or to `undefined` where another process was faster. */
async function claim(directory: string, expired: readonly number[]): Promise<string | undefined> {
	const number = Math.max(0, ...expired) + 1;
	const toFile = (other: number) => path.join(directory, String(other));
	// Not "recursive", which answers ENOENT where the file system is read-only (Node 20).
	await mkdir(directory, { mode: 0o700 }).catch(ignoreExisting);
	const handle = await open(toFile(number), 'wx', 0o600).catch(ignoreExisting);
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
		await Promise.allSettled(needless.map((other) => rm(toFile(other), { force: true })));
	}
	return isHolder ? toFile(number) : undefined;
}

function ignoreExisting(error: unknown): undefined {
	if (!hasCode(error, 'EEXIST')) throw error;
}

function hold(file: string, { beatMs, maxBeats }: LeaseTimes): () => Promise<void> {
	const startedAt = Math.floor(Date.now() / 1_000);
	let beats = 0;
	let beat = Promise.resolve();
	const timer = setUnrefInterval(() => {
		beats += 1;
		if (beats >= maxBeats) clearTimer(timer);
		const time = startedAt + 2 * beats;
		// A failed beat needs no answer: the lease ends, and the file of a lost lock does not exist any more.
		beat = beat.then(() => utimes(file, time, time)).catch(() => {});
	}, beatMs);
	return async () => {
		clearTimer(timer);
		// A beat that ends after the release would undo it.
		await beat;
		try {
			await retryOnSharingViolation(() => utimes(file, releasedTime, releasedTime));
		} catch (error) {
			if (!hasCode(error, 'ENOENT')) throw error;
		}
	};
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const end = () => {
			clearTimer(timer);
			signal.removeEventListener('abort', end);
			resolve();
		};
		const timer = setUnrefTimeout(end, ms);
		signal.addEventListener('abort', end);
	});
}
