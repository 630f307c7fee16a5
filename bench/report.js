// The page docs/performance.md.
import { median, medianRatio, quantile } from './measure.js';

const number = (value) => Math.round(value).toLocaleString('en');
const time = (ms) =>
	ms < 1_000 ? `${ms.toFixed(ms < 0.1 ? 3 : 1)} ms` : `${(ms / 1_000).toFixed(1)} s`;
const ratio = (value) => `${value.toFixed(2)} ×`;
const row = (...cells) => `| ${cells.join(' | ')} |`;
const head = (...cells) => `${row(...cells)}\n${row('---', ...cells.slice(1).map(() => '---:'))}`;
const judge = (isMet) => (isMet ? 'met' : '**not met**');
const goal = (name, most, value) =>
	row(name, `at most ${most} ×`, ratio(value), judge(value <= most));
const limit = (name, most, ms) => row(name, `at most ${most} ms`, time(ms), judge(ms <= most));

export function writeReport(facts, { cold, profile, start, hit, standstill, growth, incident }) {
	const columns = Object.values(incident.columns);
	const failures = columns.slice(2).reduce((sum, { warmFailures }) => sum + warmFailures, 0);
	const within = (share) => columns.map(({ ms }) => time(quantile(ms, share)));
	const coldRow = (title, name) =>
		row(title, time(median(cold.ms[name])), time(median(cold.cpu[name])));
	const warm = columns.slice(2).flatMap(({ ms }) => ms.slice(1));
	const still = Object.entries(standstill);
	const hits = hit.rows.toSorted((a, b) => a.ns - b.ns);

	const profileMs = Object.values(profile).reduce((sum, ms) => sum + ms, 0);
	const [first, last] = [1, 1_000].map((number) =>
		growth.find(({ kind, count }) => kind === 'callers at once' && count === number),
	);

	return `# Performance

\`npm run bench\` writes this page. Measured on ${facts}.

## Goals

${head('', 'goal', 'measured', '')}
${goal('a cold list by name, to a bare conversation with the native program', 1.1, medianRatio(cold.ms.ours, cold.ms.program))}
${goal('a cold list by name, to a bare conversation through the npm launcher', 0.5, medianRatio(cold.ms.ours, cold.ms.launcher))}
${limit('first call of a process with a warm file store', 6, start.ms.warm)}
${goal('the same, to a bare conversation through the launcher', 0.15, start.warmToBare)}
${goal('a hit of `list()`, to lru-cache with a copy for each caller', 1, hit.list)}
${goal('a hit of `listCodexModels()`, to the same', 1.3, hit.dropIn)}
${goal('import, to a module that imports the same modules and packages', 1.3, start.toPackages)}
${goal('main-thread CPU of a fetch, to the bare conversation', 2.2, medianRatio(cold.cpu.ours, cold.cpu.program))}
${still.map(([name, { standstillMs }]) => limit(`standstill for ${name}`, 100, standstillMs)).join('\n')}
${row('failures in the incident after the first list', 'none', failures, judge(failures === 0))}
${limit('99 of 100 requests of the incident after the first list', 10, quantile(warm, 0.99))}

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

The real Codex answers without a network, in a CODEX_HOME that it has used before. Each number is the median of ${cold.rounds} rounds in turn. The bare conversation is \`spawn\`, four messages (\`model/list\` and \`config/read\` among them) and \`JSON.parse\`, without a deadline and without care for failures. Codex itself spends most of the time on \`lsb_release\` and \`getconf\`, which it runs at each start.

${head('', 'time', 'main-thread CPU')}
${coldRow('**this library**', 'ours')}
${coldRow('bare conversation, real program', 'program')}
${coldRow('bare conversation, npm launcher', 'launcher')}

Where the CPU time of the main thread goes in a fetch, the end of its process included: ${time(profileMs)} in a profile, which slows all of it.

${head('', 'time', 'share')}
${Object.entries(profile)
	.map(([name, ms]) => row(name, time(ms), `${Math.round((100 * ms) / profileMs)} %`))
	.join('\n')}

## A new process

Medians of ${start.rounds} processes each. The first call is that of a catalog on the real Codex, without the start of the process and the import. An import loads ${start.packages.join(', ')}.

${head('', 'time')}
${row('first call, cold', time(start.ms.cold))}
${row('first call, with a warm file store', time(start.ms.warm))}
${row('import of this library', time(start.ms.ours))}
${row('import of a module that imports the same modules and packages', time(start.ms.packages))}
${row('bare conversation through the npm launcher', time(start.ms.bare))}

## A hit

A list of 12 models from memory; medians of ${hit.rounds} processes each, in turn. "Copied" adds a copy for each caller; without a copy every caller gets the same list.

${head('', 'ns', 'bytes')}
${hits.map(({ name, ns, bytes }) => row(name, number(ns), number(bytes))).join('\n')}

The other caches keep their list after a change of login, configuration or CODEX_HOME. The two parts of a hit that are no cache are what keeps ours from being faster: each call asks which CODEX_HOME counts, and the drop-in gives each caller a copy.

## As work grows

![The time until the last one has its list, by their number](growth.svg)

Each one asks at the same moment for a list that is not in memory, and a scripted app-server answers at once. The curves have these bends:

- **Callers** share one fetch: the start of the app-server is the time of up to 100. From there on each caller costs its own promise and timer, some ${number(last.ms - first.ms)} µs.
- **Working directories** have a fetch each, and four app-servers of a CODEX_HOME run at a time: a straight line, at the time of a start by four.
- **Processes** on one file store share one fetch. Each one wakes up, takes the lock in its turn and reads the list: a straight line as well, which the processors share.

${head('', 'at once', 'time', 'app-servers', 'standstill')}
${growth.map(({ kind, count, ms, starts, standstillMs }) => row(kind, number(count), time(ms), starts, standstillMs === undefined ? '–' : time(standstillMs))).join('\n')}
`;
}
