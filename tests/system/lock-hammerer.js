// A process that takes locks, one after the other, and logs what it does.
//
//   node lock-hammerer.js '{ "module": URL, "directory", "locks", "turns", "seed", "times" }'
//
// It writes a line of JSON before each step, so that a signal loses none: { what, lock, at }, with the time in milliseconds of the
// machine's monotonic clock. It `waits` for the lock, `enters`, may do one of the deeds, and `leaves`.

import { writeSync } from 'node:fs';

const { module, directory, locks, turns, seed, times, shares } = JSON.parse(process.argv[2]);
const { acquireLock } = await import(module);

const now = () => Number(process.hrtime.bigint()) / 1e6;
const log = (what, facts) => writeSync(1, `${JSON.stringify({ what, at: now(), ...facts })}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let state = seed;
/** A number from 0 to 1, the same ones for the same seed. */
function random() {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return state / 2 ** 32;
}

const deeds = {
	dies: () => process.kill(process.pid, 'SIGKILL'),
	stops: () => process.kill(process.pid, 'SIGSTOP'),
	hangs: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * times.leaseMs),
	// Longer than a lease, and well: it keeps the lock.
	dawdles: () => sleep(2 * times.leaseMs),
};

function pickDeed() {
	let pick = random();
	for (const [name, share] of Object.entries(shares)) {
		pick -= share;
		if (pick < 0) return name;
	}
	return undefined;
}

// Waiting for a lock does not keep a process alive.
const alive = setInterval(() => {}, 60_000);
for (let turn = 0; turn < turns; turn++) {
	const lock = Math.floor(random() * locks);
	log('waits', { lock });
	const release = await acquireLock(
		`${directory}/${lock}.lock`,
		new AbortController().signal,
		times,
	);
	log('enters', { lock });
	const deed = pickDeed();
	if (deed) {
		log(deed);
		await deeds[deed]();
	} else {
		await sleep(random() * 4);
	}
	log('leaves', { lock });
	await release();
}
clearInterval(alive);
