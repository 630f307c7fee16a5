// `npm run bench`: measures everything, each section in a process of its own and one after the other, and writes
// docs/performance.md and docs/performance.svg. With names of sections it only prints what those measured.
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { drawIncident } from './chart.js';
import { codexVersion } from './codex.js';
import { run } from './measure.js';
import { describe, writeReport } from './report.js';

const sections = {
	hit: [],
	cold: [],
	'event-loop': [],
	incident: [],
	growth: ['--expose-gc'],
	weight: [],
};

const wanted = process.argv.slice(2);
const startedAt = performance.now();
const results = {};
const loads = [];
for (const [name, flags] of Object.entries(sections)) {
	if (wanted.length > 0 && !wanted.includes(name)) continue;
	const sectionStartedAt = performance.now();
	const file = fileURLToPath(new URL(`${name}.js`, import.meta.url));
	results[name] = JSON.parse(await run(process.execPath, [...flags, file]));
	loads.push(loadavg()[0]);
	console.error(`${name}: ${((performance.now() - sectionStartedAt) / 1_000).toFixed(0)} s`);
}

if (wanted.length > 0) {
	console.log(JSON.stringify(results, undefined, '\t'));
} else {
	const described = describe(results);
	const load = Math.max(...loads);
	// A virtual machine's neighbours show in no load.
	const [{ ns, leastNs }] = results.hit.rows;
	const isBusy = load > availableParallelism() + 0.5 || ns > 1.3 * leastNs;
	const report = writeReport(described, {
		note: isBusy
			? `> The machine had other work, too (a load of up to ${load.toFixed(1)} on ${availableParallelism()} processors; the first row of "A hit" took ${(ns / leastNs).toFixed(1)} times its least): times are higher than they need be, and ratios less certain.`
			: undefined,
		rows: [
			[
				'machine',
				`${cpus()[0].model.trim()}, ${availableParallelism()} processors, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
			],
			['system', `${platform()} ${release()}`],
			['Node', process.version],
			['Codex', codexVersion],
			['date', new Date().toISOString().slice(0, 10)],
			['the run took', `${Math.round((performance.now() - startedAt) / 1_000)} s`],
		],
	});
	writeFileSync(new URL('../docs/performance.md', import.meta.url), report);
	writeFileSync(new URL('../docs/performance.svg', import.meta.url), drawIncident(results.incident.columns));
	for (const { goals } of described) {
		for (const { what, value, isMet } of goals)
			console.log(isMet ? 'met    ' : 'NOT MET', `${what}: ${value}`);
	}
	console.log('Written: docs/performance.md, docs/performance.svg');
}
