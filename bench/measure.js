import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export function quantile(values, share) {
	const sorted = [...values].sort((a, b) => a - b);
	const place = (sorted.length - 1) * share;
	const below = sorted[Math.floor(place)];
	return below + (sorted[Math.ceil(place)] - below) * (place - Math.floor(place));
}

export const median = (values) => quantile(values, 0.5);

/**
 * Runs each contender once a round, each round beginning with another one; gives the samples of each.
 *
 * @param {number} rounds
 * @param {Record<string, () => Promise<number>>} contenders
 * @returns {Promise<any>}
 */
export async function interleave(rounds, contenders) {
	const names = Object.keys(contenders);
	const samples = Object.fromEntries(names.map((name) => [name, []]));
	for (let round = 0; round < rounds; round++) {
		for (let turn = 0; turn < names.length; turn++) {
			const name = names[(round + turn) % names.length];
			samples[name].push(await contenders[name]());
		}
	}
	return samples;
}

/** CPU time of the thread that runs JavaScript, in milliseconds, and what it was read from. */
export function readCpu() {
	if (process.threadCpuUsage) {
		const { user, system } = process.threadCpuUsage();
		return { ms: (user + system) / 1_000, source: 'process.threadCpuUsage()' };
	}
	if (process.platform === 'linux') {
		const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
		return { ms: Number(nanoseconds) / 1e6, source: 'the schedstat of the main thread' };
	}
	const { user, system } = process.cpuUsage();
	return { ms: (user + system) / 1_000, source: 'process.cpuUsage(), all threads' };
}

/** Watches the event loop, which it keeps busy for that; gives what ends it and tells the longest turn, in milliseconds. */
export function watchTurns() {
	let longestMs = 0;
	let last = performance.now();
	let isOver = false;
	const turn = () => {
		const now = performance.now();
		longestMs = Math.max(longestMs, now - last);
		last = now;
		if (!isOver) setImmediate(turn);
	};
	setImmediate(turn);
	return () =>
		new Promise((resolve) => {
			setImmediate(() => {
				isOver = true;
				resolve(longestMs);
			});
		});
}

/** Numbers from 0 to 1 that are the same in each run (mulberry32). */
export function makeRandom(seed) {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
	};
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const directories = [];
process.once('exit', () => {
	for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** A directory that goes with this process. */
export function makeDirectory() {
	directories.push(mkdtempSync(path.join(tmpdir(), 'codex-models-bench-')));
	return directories.at(-1);
}

/** What a program prints. */
export function run(command, args, options) {
	return new Promise((resolve, reject) => {
		execFile(command, args, { maxBuffer: 2 ** 26, ...options }, (error, stdout, stderr) => {
			if (error) reject(new Error(`${command} ${args.join(' ')} failed:\n${stderr}`, { cause: error }));
			else resolve(stdout);
		});
	});
}

/** The bytes of all files below a folder. */
export function sizeOf(folder) {
	const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
	const files = entries.filter((entry) => entry.isFile());
	return files.reduce(
		(sum, { parentPath, name }) => sum + readFileSync(path.join(parentPath, name)).length,
		0,
	);
}

/** Begins a section that runs in a process of its own: the library does not keep it alive, and `hand` ends it. */
export function stayAlive() {
	setInterval(() => {}, 60_000);
}

export function hand(result) {
	process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
