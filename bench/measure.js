// The means of every measurement: medians, contenders in turn, CPU time, processes and directories.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const quantile = (values, share) =>
	[...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)];
export const median = (values) => quantile(values, 0.5);

/** The median of the ratios of the rounds: a slow moment of the machine slows both samples of a round. */
export const medianRatio = (values, others) =>
	median(values.map((value, round) => value / others[round]));

/** Runs each contender once a round; each round begins with another one. Returns the results and the CPU times of each. */
export async function interleave(rounds, contenders) {
	const names = Object.keys(contenders);
	const [samples, cpu] = [0, 1].map(() => Object.fromEntries(names.map((name) => [name, []])));
	for (let turn = 0; turn < rounds * names.length; turn++) {
		const name = names[(turn + Math.floor(turn / names.length)) % names.length];
		const before = readCpuMs();
		samples[name].push(await contenders[name]());
		cpu[name].push(readCpuMs() - before);
	}
	return { samples, cpu };
}

/** The CPU time of the main thread in ms; that of all threads where the system tells no more. */
function readCpuMs() {
	if (process.platform === 'linux') {
		return (
			Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
		);
	}
	const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
	return (user + system) / 1_000;
}

const directory = mkdtempSync(path.join(tmpdir(), 'codex-models-bench-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));

/** A directory that this process removes when it exits. */
export const makeDirectory = () => mkdtempSync(path.join(directory, 'part-'));

/** Runs Node, and returns the JSON that it prints. */
export function runNode(args, options) {
	return new Promise((resolve, reject) => {
		execFile(process.execPath, args, options, (error, stdout) => {
			if (error) reject(error);
			else resolve(JSON.parse(stdout));
		});
	});
}
