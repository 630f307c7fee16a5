import { execFileSync } from 'node:child_process';
import {
	existsSync,
	mkdirSync,
	readdirSync,
	rmSync,
	statSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { acquireLock, leaseTimes } from '../../src/store/file-lock.js';
import { makeDirectory, until } from '../harness.js';
import { buildModule } from './build-module.js';

/** Steps that happen right after this process has listed a directory, or created a file. */
const afterListing: (() => void)[] = [];
const afterCreation: (() => void)[] = [];

vi.mock('node:fs/promises', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:fs/promises')>();
	const readdir = async (directory: string) => {
		try {
			return await original.readdir(directory);
		} finally {
			afterListing.shift()?.();
		}
	};
	const open = async (...parameters: Parameters<typeof original.open>) => {
		const handle = await original.open(...parameters);
		afterCreation.shift()?.();
		return handle;
	};
	return { ...original, open, readdir };
});

afterEach(() => {
	afterListing.length = 0;
	afterCreation.length = 0;
});

const times = { ...leaseTimes, pollMs: 1 };
const releasedMs = 1_000_000_000_000;
const makeLock = () => path.join(makeDirectory(), 'x.lock');
const acquire = (lock: string, with_ = times) =>
	acquireLock(lock, new AbortController().signal, with_);

/** A claim of another process, with what it does to it. */
function claimAs(lock: string, number: number) {
	const file = path.join(lock, String(number));
	mkdirSync(lock, { recursive: true });
	writeFileSync(file, '', { flag: 'wx' });
	let beats = 0;
	const setTime = (seconds: number) => utimesSync(file, seconds, seconds);
	return {
		beat: () => setTime(1_800_000_000 + 2 * ++beats),
		release: () => setTime(releasedMs / 1_000),
	};
}

/** Replaces the clock that waiting processes measure leases with. */
function controlClock() {
	let now = performance.now();
	const read = vi.spyOn(performance, 'now').mockImplementation(() => now);
	/** Lets the waiting process look at least twice. */
	const settle = async () => {
		const enough = read.mock.calls.length + 8;
		await vi.waitFor(() => expect(read.mock.calls.length).toBeGreaterThan(enough), {
			timeout: 10_000,
		});
	};
	const advance = (ms: number) => {
		now += ms;
	};
	return {
		settle,
		advance,
		pass: async (ms: number) => {
			advance(ms);
			await settle();
		},
	};
}

function observe<T>(promise: Promise<T>) {
	const state = { isSettled: false };
	const settle = () => {
		state.isSettled = true;
	};
	promise.then(settle, settle);
	return state;
}

test('one process at a time holds the lock, and the next gets it with the release', async () => {
	const lock = makeLock();
	const order: string[] = [];
	const release = await acquire(lock);
	const next = acquire(lock).then((releaseNext) => {
		order.push('next');
		return releaseNext;
	});
	// Other locks are not affected; taking them gives the waiting one time for many looks.
	for (const name of 'abcdefgh') await (await acquire(path.join(makeDirectory(), name)))();
	order.push('release');
	await release();
	await (await next)();
	expect(order).toEqual(['release', 'next']);
});

test('of many that want the lock at once each gets it, and no two at a time', async () => {
	const lock = makeLock();
	let holders = 0;
	let most = 0;
	const turns = Array.from({ length: 30 }, async () => {
		const release = await acquire(lock);
		holders += 1;
		most = Math.max(most, holders);
		await new Promise(setImmediate);
		holders -= 1;
		await release();
	});
	await Promise.all(turns);
	expect(most).toBe(1);
	// The claims that are over were removed.
	expect(readdirSync(lock)).toEqual([String(turns.length)]);
});

test('a released lock is marked as such and leaves one empty file', async () => {
	const lock = makeLock();
	for (let turn = 1; turn <= 3; turn++) await (await acquire(lock))();
	expect(readdirSync(lock)).toEqual(['3']);
	const { size, mtimeMs, mode } = statSync(path.join(lock, '3'));
	expect([size, mtimeMs]).toEqual([0, releasedMs]);
	if (process.platform !== 'win32')
		expect([mode & 0o777, statSync(lock).mode & 0o777]).toEqual([0o600, 0o700]);
});

test('a lock can be released twice, and when its directory has been removed', async () => {
	const lock = makeLock();
	const release = await acquire(lock);
	await release();
	await release();
	const releaseNext = await acquire(lock);
	await release();
	expect(statSync(path.join(lock, '2')).mtimeMs).not.toBe(releasedMs);
	rmSync(lock, { recursive: true });
	await releaseNext();
	expect(existsSync(lock)).toBe(false);
});

// Leases

test('the lock of a holder that does not beat is taken over after the lease, and not before', async () => {
	const lock = makeLock();
	claimAs(lock, 7);
	const clock = controlClock();
	const waiting = acquire(lock);
	const state = observe(waiting);
	await clock.settle();
	for (let passed = 400; passed < times.leaseMs; passed += 400) await clock.pass(400);
	expect(state.isSettled).toBe(false);
	clock.advance(400);
	const release = await waiting;
	expect(readdirSync(lock)).toEqual(['8']);
	await release();
});

test('a holder that beats keeps the lock for longer than the lease', async () => {
	const lock = makeLock();
	const holder = claimAs(lock, 1);
	const clock = controlClock();
	const controller = new AbortController();
	const waiting = acquireLock(lock, controller.signal, times);
	const state = observe(waiting);
	await clock.settle();
	for (let beats = 0; beats < 20; beats++) {
		holder.beat();
		await clock.pass(times.beatMs);
	}
	expect(state.isSettled).toBe(false);
	holder.release();
	await (await waiting)();
});

test('a pause of the waiting process does not count as a pause of the holder', async () => {
	const lock = makeLock();
	const holder = claimAs(lock, 1);
	const clock = controlClock();
	const waiting = acquire(lock);
	const state = observe(waiting);
	await clock.settle();
	for (let pauses = 0; pauses < 4; pauses++) await clock.pass(3_600_000);
	expect(state.isSettled).toBe(false);
	holder.release();
	await (await waiting)();
});

test('a holder beats so that its time changes, and stops after the last beat', async () => {
	vi.useFakeTimers({ toFake: ['setInterval', 'clearTimeout'] });
	const lock = makeLock();
	const release = await acquire(lock);
	const readTime = () => statSync(path.join(lock, '1')).mtimeMs;
	const seen = new Set([readTime()]);
	for (let beats = 1; beats <= times.maxBeats; beats++) {
		vi.advanceTimersByTime(times.beatMs);
		await until('the time has changed', () => !seen.has(readTime()));
		seen.add(readTime());
	}
	expect(vi.getTimerCount()).toBe(0);
	await release();
});

test('a beat that is under way does not undo the release', async () => {
	const lock = makeLock();
	for (let turn = 1; turn <= 100; turn++) {
		const release = await acquire(lock, { ...times, beatMs: 1 });
		const startedAt = performance.now();
		await until('a beat is under way', () => performance.now() - startedAt >= 1 + (turn % 3));
		await release();
		expect(statSync(path.join(lock, String(turn))).mtimeMs).toBe(releasedMs);
	}
});

// Races

test('a process withdraws when a claim appears that it did not see before', async () => {
	const lock = makeLock();
	let other: ReturnType<typeof claimAs> | undefined;
	afterListing.push(() => {
		other = claimAs(lock, 7);
	});
	const waiting = acquire(lock);
	const state = observe(waiting);
	await until('it has withdrawn', () => other !== undefined && readdirSync(lock).join() === '7');
	const clock = controlClock();
	await clock.settle();
	expect(state.isSettled).toBe(false);
	vi.restoreAllMocks();
	other?.release();
	const release = await waiting;
	expect(readdirSync(lock)).toEqual(['8']);
	await release();
});

test('a process waits when another one was faster to claim the next number', async () => {
	const lock = makeLock();
	let other: ReturnType<typeof claimAs> | undefined;
	afterListing.push(() => {
		other = claimAs(lock, 1);
	});
	const waiting = acquire(lock);
	const state = observe(waiting);
	const clock = controlClock();
	await clock.settle();
	expect(state.isSettled).toBe(false);
	expect(readdirSync(lock)).toEqual(['1']);
	vi.restoreAllMocks();
	other?.release();
	const release = await waiting;
	expect(readdirSync(lock)).toEqual(['2']);
	await release();
});

test('a process whose own claim was removed does not take itself for the holder', async () => {
	const lock = makeLock();
	afterCreation.push(() => rmSync(lock, { recursive: true }));
	const release = await acquire(lock);
	expect(afterCreation).toEqual([]);
	expect(readdirSync(lock)).toEqual(['1']);
	await release();
});

test('a process makes the directory again that was removed before the claim', async () => {
	const lock = makeLock();
	await (await acquire(lock))();
	afterListing.push(() => rmSync(lock, { recursive: true }));
	await (await acquire(lock))();
	expect(readdirSync(lock)).toEqual(['1']);
});

test('a link that leads nowhere counts as a claim that expires', async () => {
	const lock = makeLock();
	mkdirSync(lock);
	symlinkSync('missing', path.join(lock, '3'));
	await (await acquire(lock, { ...times, leaseMs: 50 }))();
	expect(readdirSync(lock)).toEqual(['4']);
});

test('files of other names are neither claims nor removed', async () => {
	const lock = makeLock();
	mkdirSync(lock);
	for (const name of ['notes', '1.txt', '-1', '1e3', '12345678901234567']) {
		writeFileSync(path.join(lock, name), '');
	}
	await (await acquire(lock))();
	expect(readdirSync(lock).toSorted()).toEqual(
		['-1', '1', '1.txt', '12345678901234567', '1e3', 'notes'].toSorted(),
	);
});

// Leaving, and failing

test('a signal that is aborted already takes nothing', async () => {
	const lock = makeLock();
	await expect(acquireLock(lock, AbortSignal.abort('Enough'), times)).rejects.toBe('Enough');
	expect(existsSync(lock)).toBe(false);
});

test('a process that waits may leave with the reason of its signal, and holds nothing then', async () => {
	const lock = makeLock();
	const release = await acquire(lock);
	const controller = new AbortController();
	const listen = vi.spyOn(controller.signal, 'addEventListener');
	const waiting = acquireLock(lock, controller.signal, { ...times, pollMs: 60_000 });
	const reason = new Error('Enough');
	await until('the process waits', () => listen.mock.calls.length > 0);
	controller.abort(reason);
	await expect(waiting).rejects.toBe(reason);
	expect(readdirSync(lock)).toEqual(['1']);
	await release();
	await (await acquire(lock))();
});

test('a process that leaves while it looks claims nothing', async () => {
	const lock = makeLock();
	const controller = new AbortController();
	afterListing.push(() => controller.abort('Enough'));
	await expect(acquireLock(lock, controller.signal, times)).rejects.toBe('Enough');
	expect(existsSync(lock)).toBe(false);
});

test('a process that leaves while it claims the lock leaves it released', async () => {
	const lock = makeLock();
	const controller = new AbortController();
	afterListing.push(
		() => {},
		() => controller.abort('Enough'),
	);
	await expect(acquireLock(lock, controller.signal, times)).rejects.toBe('Enough');
	expect(readdirSync(lock)).toEqual(['1']);
	expect(statSync(path.join(lock, '1')).mtimeMs).toBe(releasedMs);
});

test('a directory that cannot be made or listed rejects with the error', async () => {
	const file = path.join(makeDirectory(), 'file');
	writeFileSync(file, '');
	await expect(acquire(file)).rejects.toMatchObject({ code: 'ENOTDIR' });
	await expect(acquire(path.join(file, 'x.lock'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test('a process that fails between claim and check leaves no claim', async () => {
	const lock = makeLock();
	afterListing.push(
		() => {},
		() => {
			throw Object.assign(new Error('No file descriptor'), { code: 'EMFILE' });
		},
	);
	await expect(acquire(lock)).rejects.toMatchObject({ code: 'EMFILE' });
	expect(readdirSync(lock)).toEqual([]);
});

test('neither holding a lock nor waiting for one keeps a process alive', async () => {
	const lock = makeLock();
	const source = `
		import { acquireLock } from ${JSON.stringify(buildModule('store/file-lock.ts'))};
		const { signal } = new AbortController();
		acquireLock(${JSON.stringify(lock)}, signal).then(() => {
			console.log('holds, with a timer that counts:', process.getActiveResourcesInfo().includes('Timeout'));
			acquireLock(${JSON.stringify(lock)}, signal).then(() => console.log('holds again'));
		});
	`;
	const output = execFileSync(process.execPath, ['--input-type=module', '-e', source], {
		encoding: 'utf8',
	});
	expect(output).toBe('holds, with a timer that counts: false\n');
});
