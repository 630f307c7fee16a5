// Measures everything, and writes docs/performance.md and its two pictures. Needs a POSIX shell.
// --quick: a trial with few rounds, which prints the page instead.
// --baseline DIR: compares a hit and a cold list with those of another build, whose dist is DIR.
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { drawGrowth, drawIncident } from './chart.js';
import { codexVersion } from './codex.js';
import { measureGrowth, measureStandstill } from './growth.js';
import { compareHits, measureHits } from './hit.js';
import { replayIncident } from './incident.js';
import { median, medianRatio } from './measure.js';
import { profileFetch } from './profile.js';
import { compareCold, measureCold, measureStart } from './real-codex.js';
import { writeReport } from './report.js';

const options = { quick: { type: 'boolean' }, baseline: { type: 'string' } };
const { quick, baseline } = parseArgs({ options }).values;

async function compareBuilds(other) {
	const hit = await compareHits(quick ? 3 : 15, other);
	const cold = await compareCold(quick ? 3 : 31, other);
	for (const [name, { ours, baseline }] of Object.entries({
		'a hit, ns': hit,
		'a cold list, ms': cold,
	})) {
		const ratio = medianRatio(ours, baseline);
		const medians = `${median(ours).toFixed(1)}, baseline ${median(baseline).toFixed(1)}`;
		console.log(`${name}: ${medians}, ratio ${ratio.toFixed(2)}, goal at most 1.1`);
		if (ratio > 1.1) process.exitCode = 1;
	}
}

async function writePage() {
	const system = `${availableParallelism()} processors, ${process.platform} ${process.arch}`;
	const facts = `${system}, load ${loadavg()[0].toFixed(1)} at the start; Node ${process.version}, Codex ${codexVersion}`;
	const results = {
		cold: await measureCold(quick ? 3 : 41),
		profile: await profileFetch(quick ? 3 : 40),
		start: await measureStart(quick ? 3 : 21),
		hit: await measureHits(quick ? 1 : 11),
		standstill: await measureStandstill(),
		growth: await measureGrowth(),
		incident: await replayIncident(),
	};
	const page = writeReport(facts, results);
	if (quick) return console.log(page);
	const write = (name, text) => writeFileSync(new URL(`../docs/${name}`, import.meta.url), text);
	write('performance.md', page);
	write('performance.svg', drawIncident(results.incident));
	write('growth.svg', drawGrowth(results.growth));
	console.log(page.split('\n\n')[4]);
}

// The library does not keep a process alive.
const keepAlive = setInterval(() => {}, 60_000);
await (baseline ? compareBuilds(path.resolve(baseline)) : writePage());
clearInterval(keepAlive);
