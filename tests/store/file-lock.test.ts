import { getEventListeners } from 'node:events';
import fs from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { acquireLock, leaseTimes } from '../../src/store/file-lock.js';
import { fileStore } from '../../src/store/file-store.js';
import { makeDirectory, until } from '../harness.js';

/** Steps that happen right after this process has listed a directory, one for each list. */
const afterListing: (() => void)[] = [];

/** The files that this process has opened. */
const opened: fs.promises.FileHandle[] = [];

/** A step of the holder before it sets a time. */
const beforeTime = { step: async (_seconds: number): Promise<void> => {} };

vi.mock('node:fs/promises', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:fs/promises')>();
	const readdir = async (directory: string) => {
		const names = await original.readdir(directory);
		afterListing.shift()?.();
		return names;
	};
	const open = async (...parameters: Parameters<typeof original.open>) => {
		const handle = await original.open(...parameters);
		opened.push(handle);
		const utimes = handle.utimes.bind(handle);
		handle.utimes = (seconds) =>
			beforeTime.step(Number(seconds)).then(() => utimes(seconds, seconds));
		return handle;
	};
	return { ...original, open, readdir };
});

afterEach(() => {
	afterListing.length = 0;
	opened.length = 0;
});

const times = { ...leaseTimes, pollMs: 1 };
const releasedMs = 1_000_000_000_000;
const makeLock = () => path.join(makeDirectory(), 'x.lock');
const never = () => new AbortController().signal;
const acquire = (lock: string, with_ = times) => acquireLock(lock, never(), with_);

/** A claim of another process, with what it does to it. */
function claimAs(lock: string, name: number | string) {
	const file = path.join(lock, String(name));
	fs.mkdirSync(lock, { recursive: true });
	fs.writeFileSync(file, '', { flag: 'wx' });
	let beats = 0;
	const setTime = (seconds: number) => fs.utimesSync(file, seconds, seconds);
	return {
		beat: () => setTime(1_800_000_000 + 2 * ++beats),
		release: () => setTime(releasedMs / 1_000),
	};
}

/** Replaces the clock that measures leases; the result lets time pass, and the waiting process look at least twice. */
function controlClock() {
	let now = 0;
	const read = vi.spyOn(performance, 'now').mockImplementation(() => now);
	return async (ms = 0) => {
		now += ms;
		const enough = read.mock.calls.length + 4;
		await vi.waitFor(() => expect(read.mock.calls.length).toBeGreaterThan(enough), 10_000);
	};
}

function observe(promise: Promise<unknown>) {
	const state = { isSettled: false };
	promise.finally(() => Object.assign(state, { isSettled: true }));
	return state;
}

test('of many that want the lock at once each gets it, and no two at a time', async () => {
	const directory = makeDirectory();
	let holders = 0;
	let most = 0;
	const turns = Array.from({ length: 30 }, async () => {
		const release = await fileStore({ directory }).lock('key', never());
		holders += 1;
		most = Math.max(most, holders);
		await new Promise(setImmediate);
		holders -= 1;
		await release();
	});
	await Promise.all(turns);
	expect(most).toBe(1);
	const [lock = ''] = fs.readdirSync(directory);
	expect(fs.readdirSync(path.join(directory, lock))).toEqual([String(turns.length)]);
});

test('the next process gets the lock with the release, which may come twice', async () => {
	const lock = makeLock();
	const release = await acquire(lock);
	const next = acquire(lock);
	const state = observe(next);
	// Other locks are not affected; to take them gives the waiting one time for many looks.
	for (const name of 'abcdefgh') await (await acquire(path.join(makeDirectory(), name)))();
	expect(state.isSettled).toBe(false);
	await release();
	const releaseNext = await next;
	await release();
	expect(fs.statSync(path.join(lock, '2')).mtimeMs).not.toBe(releasedMs);
	await releaseNext();
	const { size, mtimeMs } = fs.statSync(path.join(lock, '2'));
	expect([size, mtimeMs, fs.readdirSync(lock)]).toEqual([0, releasedMs, ['2']]);
	// A file that is closed has no descriptor.
	expect(new Set(opened.map(({ fd }) => fd))).toEqual(new Set([-1]));
});

test('a directory that is removed gives the lock to one other process, and the release to none', async () => {
	const directory = path.join(makeDirectory(), 'store');
	const lock = path.join(directory, 'x.lock');
	const release = await acquire(lock, { ...times, beatMs: 1 });
	const waiting = acquire(lock);
	fs.rmSync(directory, { recursive: true });
	const releaseNext = await waiting;
	const { ino, mtimeMs } = fs.statSync(path.join(lock, '1'));
	await release();
	expect(fs.statSync(path.join(lock, '1'))).toMatchObject({ ino, mtimeMs });
	for (const made of [directory, lock]) expect(fs.statSync(made).mode & 0o777).toBe(0o700);
	await releaseNext();
});

// Leases

test('a lock without beats is taken over after the lease, and not before', async () => {
	const lock = makeLock();
	claimAs(lock, 12);
	const pass = controlClock();
	const waiting = acquire(lock);
	const state = observe(waiting);
	await pass();
	for (let passed = 500; passed < times.leaseMs; passed += 500) await pass(500);
	expect(state.isSettled).toBe(false);
	await Promise.race([waiting, pass(500)]);
	await (await waiting)();
	expect(fs.readdirSync(lock)).toEqual(['13']);
});

test('a holder that beats keeps the lock, and a pause of the waiting process does not count', async () => {
	const lock = makeLock();
	const holder = claimAs(lock, 1);
	const pass = controlClock();
	const waiting = acquire(lock);
	const state = observe(waiting);
	await pass();
	for (let beats = 0; beats < 20; beats++) {
		holder.beat();
		await pass(times.beatMs);
	}
	for (let pauses = 0; pauses < 4; pauses++) await pass(3_600_000);
	expect(state.isSettled).toBe(false);
	holder.release();
	await (await waiting)();
});

test('replaced clocks and timers stop neither the beats nor the end of a lease', async () => {
	vi.useFakeTimers({ now: releasedMs });
	const lock = makeLock();
	claimAs(lock, 1);
	const short = { beatMs: 5, leaseMs: 50, pollMs: 1 };
	const release = await acquire(lock, short);
	const seen = new Set<number>();
	while (seen.size < 30) seen.add((await stat(path.join(lock, '2'))).mtimeMs);
	expect(seen).not.toContain(releasedMs);
	await release();
	expect(vi.getTimerCount()).toBe(0);
});

test('the release waits for a beat that is under way', async () => {
	const order: string[] = [];
	let endBeat = () => {};
	const begun = vi.spyOn(beforeTime, 'step').mockImplementation(async (seconds) => {
		const isRelease = seconds * 1_000 === releasedMs;
		if (!isRelease)
			await new Promise<void>((resolve) => {
				endBeat = resolve;
			});
		order.push(isRelease ? 'release' : 'beat');
	});
	const release = await acquire(makeLock(), { ...times, beatMs: 1 });
	await until('a beat is under way', () => begun.mock.calls.length > 0);
	const released = release();
	endBeat();
	await released;
	expect(order).toEqual(['beat', 'release']);
});

// Races

test('a process withdraws when others took the lock, and a higher claim, between its steps', async () => {
	const lock = makeLock();
	let other: ReturnType<typeof claimAs> | undefined;
	afterListing.push(() => {
		other = claimAs(lock, 7);
	});
	const waiting = acquire(lock);
	const state = observe(waiting);
	await until('it has withdrawn', () => other !== undefined && fs.readdirSync(lock).join() === '7');
	const pass = controlClock();
	await pass();
	expect(state.isSettled).toBe(false);
	other?.release();
	await (await waiting)();
	expect(fs.readdirSync(lock)).toEqual(['8']);
});

test('a process withdraws when the claim below is in use again', async () => {
	const lock = makeLock();
	claimAs(lock, 7).release();
	let other: ReturnType<typeof claimAs> | undefined;
	// The directory is removed during the third step, and another process starts again.
	const begin = () => {
		fs.rmSync(lock, { recursive: true });
		other = claimAs(lock, 7);
	};
	afterListing.push(() => {}, begin);
	const waiting = acquire(lock);
	const state = observe(waiting);
	await controlClock()();
	expect([state.isSettled, fs.readdirSync(lock)]).toEqual([false, ['7']]);
	other?.release();
	await (await waiting)();
});

test('a process that fails between claim and check leaves no claim, and tries again', async () => {
	const lock = makeLock();
	afterListing.push(
		() => {},
		() => {
			throw Object.assign(new Error('No file descriptor'), { code: 'EMFILE' });
		},
	);
	await (await acquire(lock))();
	expect(fs.readdirSync(lock)).toEqual(['1']);
});

// Other things in a lock

test('what has no name of a claim stays, and what is no file expires; nothing in it is touched', async () => {
	const [lock, elsewhere] = [makeLock(), makeDirectory()];
	const names = ['007', '0', 'notes', '1.txt', '-1', '1e3', '12345678901234567'];
	for (const name of names) claimAs(lock, name);
	claimAs(elsewhere, 1).beat();
	const target = path.join(elsewhere, '1');
	const { mtimeMs } = fs.statSync(target);
	fs.mkdirSync(path.join(lock, '2', 'inside'), { recursive: true });
	fs.symlinkSync(target, path.join(lock, '3'));
	await (await acquire(lock, { ...times, leaseMs: 50 }))();
	expect(fs.readdirSync(lock).toSorted()).toEqual([...names, '2', '4'].toSorted());
	expect([fs.readdirSync(path.join(lock, '2')), fs.statSync(target).mtimeMs]).toEqual([
		['inside'],
		mtimeMs,
	]);
});

test('a lock that is a link or a file is refused, and nothing behind it is touched', async () => {
	const elsewhere = makeDirectory();
	claimAs(elsewhere, 12).release();
	const [link, file] = [makeLock(), makeLock()];
	fs.symlinkSync(elsewhere, link);
	fs.writeFileSync(file, '');
	for (const lock of [link, file]) await expect(acquire(lock)).rejects.toThrow('Not a directory');
	expect(fs.readdirSync(elsewhere)).toEqual(['12']);
});

test('of many claims that were left behind only the highest one counts', async () => {
	const lock = makeLock();
	for (let number = 1; number < 250; number++) claimAs(lock, number);
	claimAs(lock, 250).release();
	await (await acquire(lock))();
	expect(fs.readdirSync(lock)).toEqual(['251']);
});

// The end of a wait

test('a process that waits, without a timer that keeps it alive, leaves at once with the reason of its signal', async () => {
	const lock = makeLock();
	const countTimers = () =>
		process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
	const before = countTimers();
	const release = await acquire(lock);
	const controller = new AbortController();
	const { signal } = controller;
	const waiting = acquireLock(lock, signal, { ...times, pollMs: 60_000 });
	await until('the process waits', () => getEventListeners(signal, 'abort').length > 0);
	// Neither the beats of the holder nor the wait keep a process alive.
	expect(countTimers()).toBe(before);
	const reason = new Error('Enough');
	controller.abort(reason);
	await expect(waiting).rejects.toBe(reason);
	expect([fs.readdirSync(lock), getEventListeners(signal, 'abort')]).toEqual([['1'], []]);
	await release();
	const other = makeLock();
	await expect(acquireLock(other, signal)).rejects.toBe(reason);
	expect(fs.existsSync(other)).toBe(false);
});

test('a process that leaves while it takes the lock leaves it released', async () => {
	const lock = makeLock();
	const controller = new AbortController();
	afterListing.push(
		() => {},
		() => controller.abort('Enough'),
	);
	await expect(acquireLock(lock, controller.signal, times)).rejects.toBe('Enough');
	expect(fs.statSync(path.join(lock, '1')).mtimeMs).toBe(releasedMs);
});
