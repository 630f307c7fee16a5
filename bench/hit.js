// A hit, beside the caches that users would pick instead.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { dist, makeScripted } from './codex.js';
import { contenders, copiedLru, dropIn, parts, wholeList } from './contenders.js';
import { interleave, makeDirectory, median, medianRatio, runNode } from './measure.js';

const script = fileURLToPath(new URL('hit-contender.js', import.meta.url));

/** `listCodexModels` takes no command: its `codex` comes from PATH. */
function prepareRun() {
	const PATH = `${makeScripted().folder}${path.delimiter}${process.env.PATH}`;
	const env = { ...process.env, PATH, CODEX_HOME: makeDirectory() };
	// A young generation of 16 MB collects nothing while the bytes of some calls are counted.
	const flags = { time: ['--expose-gc'], weigh: ['--expose-gc', '--min-semi-space-size=16'] };
	return (task, name, build = dist) =>
		runNode([...flags[task], script, task, name, build], { env });
}

export async function compareHits(rounds, baseline) {
	const run = prepareRun();
	const builds = { ours: () => run('time', dropIn), baseline: () => run('time', dropIn, baseline) };
	return (await interleave(rounds, builds)).samples;
}

export async function measureHits(rounds) {
	const run = prepareRun();
	const names = Object.keys({ ...contenders, ...parts });
	const timers = names.map((name) => [name, () => run('time', name)]);
	const { samples } = await interleave(rounds, Object.fromEntries(timers));
	const rows = [];
	for (const name of names) {
		rows.push({ name, ns: median(samples[name]), bytes: await run('weigh', name) });
	}
	const toCopied = (name) => medianRatio(samples[name], samples[copiedLru]);
	return { rounds, rows, list: toCopied(wholeList), dropIn: toCopied(dropIn) };
}
