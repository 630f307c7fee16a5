// The page docs/performance.md.
import { median, medianRatio, quantile } from './measure.js';

const number = (value) => Math.round(value).toLocaleString('en');
const time = (ms) =>
	ms < 1_000 ? `${ms.toFixed(ms < 0.1 ? 3 : 1)} ms` : `${(ms / 1_000).toFixed(1)} s`;
const ratio = (value) => `${value.toFixed(2)} ×`;
const row = (...cells) => `| ${cells.join(' | ')} |`;
const head = (...cells) => `${row(...cells)}\n${row('---', ...cells.slice(1).map(() => '---:'))}`;
const goal = (name, most, value) =>
	row(name, `at most ${most} ×`, ratio(value), value <= most ? 'met' : '**not met**');

export function writeReport(facts, { cold, start, hit, incident }) {
	const columns = Object.values(incident.columns);
	const failures = columns.slice(2).reduce((sum, { warmFailures }) => sum + warmFailures, 0);
	const within = (share) => columns.map(({ ms }) => time(quantile(ms, share)));
	const coldRow = (title, name) =>
		row(title, time(median(cold.ms[name])), time(median(cold.cpu[name])));
	const parts = hit.parts.map(({ name, ns }) => `${name} (${number(ns)} ns)`);
	const hits = hit.rows.toSorted((a, b) => a.ns - b.ns);

	return `# Performance

\`npm run bench\` writes this page. Measured on ${facts}.

## Goals

${head('', 'goal', 'measured', '')}
${goal('a hit of `listCodexModels()`, to the sum of its parts', 1.25, hit.toFloor)}
${goal('main-thread CPU of a fetch, to the bare conversation', 2.2, medianRatio(cold.cpu.ours, cold.cpu.program))}
${goal('import, to the runtime dependencies and an empty module', 1.3, start.toPackages)}
${goal('a cold list, to the bare conversation with the real program', 1.15, medianRatio(cold.ms.ours, cold.ms.program))}
${row('failures in the incident after the first list', 'none', failures, failures === 0 ? 'met' : '**not met**')}

## The incident, replayed

![The share of the requests that were answered within a time](performance.svg)

A day of ${incident.requests} requests from ${incident.sessions} sessions. ${incident.stalls} of ${incident.requests} app-servers never answer; the others answer after 1 to 5 s. "As it was" starts an app-server for each request, gives up after 30 s, and then waits for the exit, up to the hub's limit of 120 s. The five-minute map kills its app-servers. The first three ways have one process; the last way has a process for each session.

${head('', ...Object.keys(incident.columns))}
${row('failures', ...columns.map((column) => column.failures))}
${row('requests over 1 s', ...columns.map(({ ms }) => ms.filter((one) => one > 1_000).length))}
${row('median', ...within(0.5))}
${row('95 of 100 within', ...within(0.95))}
${row('worst', ...within(1))}
${row('app-servers started', ...columns.map(({ starts }) => starts))}

The replay runs at 1:${incident.scale}, and the clock skips the time in which nothing is under way. A wait for an app-server counts ${incident.scale} times; a look into memory or a file counts once.

## A cold list

The real Codex, offline, with a CODEX_HOME that Codex has used before; medians of ${cold.rounds} rounds in turn. The bare conversation is \`spawn\`, three messages and \`JSON.parse\`, without a deadline and without care for failures.

${head('', 'time', 'main-thread CPU')}
${coldRow('**this library**', 'ours')}
${coldRow('bare conversation, real program', 'program')}
${coldRow('bare conversation, npm launcher', 'launcher')}

## A new process

Medians of ${start.rounds} processes each. The first call is that of a catalog on the real Codex, without the start of the process and the import. The runtime dependencies of an import are ${start.packages.join(', ')}.

${head('', 'time')}
${row('first call, cold', time(start.ms.cold))}
${row('first call, with a warm file store', time(start.ms.warm))}
${row('import of this library', time(start.ms.ours))}
${row('import of its runtime dependencies and an empty module', time(start.ms.packages))}
${row('import of an empty module', time(start.ms.empty))}

## A hit

A list of 12 models from memory; medians of ${hit.rounds} processes each, in turn. "Copied" adds a copy for each caller; without a copy every caller gets the same list.

${head('', 'ns', 'bytes')}
${hits.map(({ name, ns, bytes }) => row(name, number(ns), number(bytes))).join('\n')}

A hit of \`listCodexModels()\` cannot avoid these parts, ${number(hit.floorNs)} ns in all: ${parts.join(', ')}. The other caches do without the first two, and keep their list after a change of CODEX_HOME.
`;
}
