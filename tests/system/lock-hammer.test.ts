import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { acquireLock } from '../../src/store/file-lock.js';
import { afterTest, makeDirectory } from '../harness.js';
import { buildModule } from '../store/build-module.js';

const hammerer = fileURLToPath(new URL('lock-hammerer.js', import.meta.url));

/** Shorter than the real ones, so that many holders can be lost in a minute. */
const times = { beatMs: 100, leaseMs: 1_200, pollMs: 10 };

/** The shortest time after its last sign of life in which a holder may be replaced. */
const shortestMs = times.leaseMs - 2 * times.beatMs;

type Plan = {
	locks: number;
	processes: number;
	atOnce: number;
	turns: number;
	/** How likely a holder does what, at each turn. */
	shares: Partial<Record<Deed, number>>;
	/** Whether processes are also killed and stopped in whatever they do. */
	interrupts: boolean;
};

/** A holder that dawdles is slow and well, and keeps the lock. */
const deeds = ['dies', 'stops', 'hangs', 'dawdles'] as const;

type Deed = (typeof deeds)[number];

type Line = { what: 'waits' | 'enters' | 'leaves' | Deed; lock: number; at: number };

/** The time that one process held a lock. */
type Hold = {
	lock: number;
	pid: number;
	waitsFrom: number;
	from: number;
	to: number;
	deed?: Deed;
	deedAt?: number;
};

type Stop = { pid: number; from: number; to: number };

const now = () => Number(process.hrtime.bigint()) / 1e6;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs all hammerers, some at a time. */
async function hammer(directory: string, { processes, atOnce, interrupts, ...plan }: Plan) {
	const holds: Hold[] = [];
	const stops: Stop[] = [];
	const ends: unknown[] = [];
	const module = buildModule('store/file-lock.ts');

	async function stop(child: ChildProcess, ms: number, from = now()) {
		await sleep(ms);
		stops.push({ pid: child.pid as number, from, to: now() });
		child.kill('SIGCONT');
	}

	async function run(seed: number) {
		const facts = JSON.stringify({ module, directory, seed, times, ...plan });
		const child = spawn(process.execPath, [hammerer, facts], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		afterTest(() => child.kill('SIGKILL'));
		const gone = once(child, 'close');
		const pid = child.pid as number;
		let waitsFrom = 0;
		let hold: Hold | undefined;
		createInterface({ input: child.stdout }).on('line', (text) => {
			const { what, lock, at }: Line = JSON.parse(text);
			if (what === 'waits') waitsFrom = at;
			else if (what === 'enters') {
				hold = { lock, pid, waitsFrom, from: at, to: Number.POSITIVE_INFINITY };
				holds.push(hold);
			} else if (hold && what === 'leaves') {
				hold.to = at;
				hold = undefined;
			} else if (hold) {
				Object.assign(hold, { deed: what, deedAt: at });
				if (what === 'stops') void stop(child, 2 * times.leaseMs, at);
			}
		});
		// One in five is interrupted in whatever it does: waiting, claiming, holding or releasing.
		const fate = interrupts ? seed % 10 : 9;
		if (fate < 2) {
			await Promise.race([gone, sleep(60 + ((seed * 37) % 400))]);
			if (fate === 0) child.kill('SIGKILL');
			// A short stop must not cost the lock.
			else if (child.kill('SIGSTOP'))
				await stop(child, seed % 20 < 10 ? times.leaseMs / 4 : 2 * times.leaseMs);
		}
		const [exitCode, signal] = await gone;
		if (hold) hold.to = hold.deed === 'dies' ? (hold.deedAt as number) : now();
		ends.push(signal ?? exitCode);
	}

	let seed = 0;
	const runner = async () => {
		while (seed < processes) await run(++seed);
	};
	await Promise.all(Array.from({ length: atOnce }, runner));
	expect(ends.filter((end) => end !== 0 && end !== 'SIGKILL')).toEqual([]);
	return { holds, stops };
}

/** Finds the holds that overlap without an excuse, and the takeovers. */
function judge(ofLock: Hold[], stops: Stop[]) {
	const overlaps: { hold: Hold; later: Hold }[] = [];
	const takeovers: { deed: Deed; ms: number }[] = [];
	for (const [index, hold] of ofLock.entries()) {
		const { deed, deedAt = 0 } = hold;
		const next = ofLock[index + 1];
		const isLost = deed === 'dies' || (next !== undefined && next.from < hold.to);
		if (next && deed && isLost)
			takeovers.push({ deed, ms: next.from - Math.max(deedAt, next.waitsFrom) });
		for (const later of ofLock.slice(index + 1)) {
			if (later.from >= hold.to) continue;
			/** Whether the process was stopped for that long, in or around the time in between. */
			const wasStopped = ({ pid }: Hold) =>
				stops.some(
					({ from, to, ...stop }) =>
						stop.pid === pid && from < later.from && to > hold.from && to - from > shortestMs,
				);
			const wasLost = deed === 'hangs' && later.from - deedAt > shortestMs;
			if (!wasLost && !wasStopped(hold) && !wasStopped(later)) overlaps.push({ hold, later });
		}
	}
	return { overlaps, takeovers };
}

/** Runs a plan, and expects that no two processes held a lock at once. */
async function expectExclusion(plan: Plan) {
	const directory = makeDirectory();
	const { holds, stops } = await hammer(directory, plan);
	const verdicts = Array.from({ length: plan.locks }, (_, lock) => {
		const ofLock = holds.filter((hold) => hold.lock === lock);
		return judge(
			ofLock.sort((one, other) => one.from - other.from),
			stops,
		);
	});
	expect(verdicts.flatMap(({ overlaps }) => overlaps)).toEqual([]);

	// The next process takes over whatever was left behind.
	for (let lock = 0; lock < plan.locks; lock++) {
		const folder = path.join(directory, `${lock}.lock`);
		const release = await acquireLock(folder, AbortSignal.timeout(10_000), times);
		expect(readdirSync(folder)).toHaveLength(1);
		await release();
	}
	return { holds, takeovers: verdicts.flatMap(({ takeovers }) => takeovers) };
}

test('sixteen processes that want one lock hold it in turn', async () => {
	const plan = { locks: 1, processes: 16, atOnce: 16, turns: 60, shares: {}, interrupts: false };
	const { holds } = await expectExclusion(plan);
	expect(holds).toHaveLength(16 * 60);
});

test('two hundred processes that are killed and stopped at random never hold a lock at once', async () => {
	const shares = { dies: 0.03, stops: 0.012, hangs: 0.008, dawdles: 0.006 };
	const plan = { locks: 10, processes: 200, atOnce: 14, turns: 6, shares, interrupts: true };
	const { holds, takeovers } = await expectExclusion(plan);
	expect(holds.length).toBeGreaterThan(plan.processes);
	for (const deed of deeds) {
		expect(holds.filter((hold) => hold.deed === deed)).not.toEqual([]);
		const ms = takeovers.flatMap((takeover) => (takeover.deed === deed ? takeover.ms : []));
		ms.sort((one, other) => one - other);
		expect(ms[ms.length >> 1] ?? 0).toBeLessThan(times.leaseMs + 1_000);
	}
}, 120_000);
