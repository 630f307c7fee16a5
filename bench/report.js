// The tables of docs/performance.md.

const goal = (what, value, isMet) => ({ what, value, isMet });
const ms = (value, digits = 1) => `${value.toFixed(digits)} ms`;
const whole = (value) => Math.round(value).toLocaleString('en');
const kB = (bytes) => `${(bytes / 1_000).toFixed(1)} kB`;
const time = (value) => (value < 1_000 ? ms(value) : `${(value / 1_000).toFixed(1)} s`);

function table(head, rows) {
	const line = (cells) => `| ${cells.join(' | ')} |`;
	return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
		'\n',
	);
}

function describeHit({ rows, parts, models, callers, perCallerUs, turnMs }) {
	const [limit] = rows;
	const ours = rows.find(({ name }) => name.includes('listCodexModels'));
	const copying = rows.filter(({ givesOwnCopy, isOurs }) => givesOwnCopy && !isOurs);
	const first = copying.every(({ ns }) => ns > ours.ns);
	const times = ours.ns / limit.ns;
	return {
		title: '1. A hit',
		goals: [
			goal('`listCodexModels()`: at most 9 times the limit', `${times.toFixed(1)} times`, times <= 9),
			goal(
				'first of all that give a copy',
				first ? 'yes' : `after ${copying.filter(({ ns }) => ns <= ours.ns).length} of ${copying.length}`,
				first,
			),
			goal('no timer, no listener', `${ours.timers}, ${ours.listeners}`, ours.timers + ours.listeners === 0),
			goal('at most 4,500 bytes', `${whole(ours.bytes)} bytes`, ours.bytes <= 4_500),
		],
		text: [
			`Each is asked for the same promise, a list of ${models} models, and has it. "Own copy" is tried: one caller changes its list, and the next one does not see it; those that fail are listed a second time, with the copy that this library makes added to them. Each runs in a process of its own, and they are sampled in turn: medians, the least, and bytes by the growth of a heap that nothing is collected from, at its least.`,
			table(
				['', 'ns', 'least', 'to the limit', 'bytes', 'timers', 'listeners', 'own copy'],
				[...rows]
					.sort((a, b) => a.ns - b.ns)
					.map(({ name, ns, leastNs, bytes, timers, listeners, givesOwnCopy }) => [
						name,
						whole(ns),
						whole(leastNs),
						`${(ns / limit.ns).toFixed(1)} ×`,
						whole(bytes),
						timers,
						listeners,
						givesOwnCopy ? 'yes' : 'no',
					]),
			),
			`Of a hit of \`listCodexModels()\` ${parts.map(({ name, leastNs }) => `${whole(leastNs)} ns are ${name}`).join(', ')}, each measured alone, and at its least. With the limit's least that is ${((limit.leastNs + parts.reduce((sum, { leastNs }) => sum + leastNs, 0)) / limit.leastNs).toFixed(1)} times the limit: the floor, as long as a list is looked up by the CODEX_HOME and the home directory of the moment of the call, which the maps above do not do. A host that sets CODEX_HOME and asks at once must not get another home's list.`,
			`${whole(callers)} callers who join one fetch: ${perCallerUs.toFixed(1)} µs each, from the call and for the answer; the longest turn of the event loop is ${ms(turnMs)}.`,
		],
	};
}

function describeCold({ rows }, { syncMs, spawnMs, syncCalls, firstSyncMs, firstSyncCalls }) {
	const [installed] = rows;
	const worst = Math.max(...rows.map(({ toProgram }) => toProgram));
	const worstLauncher = Math.max(...rows.map(({ toLauncher }) => toLauncher));
	const calls = (names) => [...new Set(names)].map((name) => `\`${name}\``).join(', ') || 'none';
	return {
		title: '2. A cold list on the real Codex',
		goals: [
			goal(
				'at most 1.15 times the bare conversation with the real program, on every release',
				`${installed.toProgram.toFixed(2)} on ${installed.version}, ${worst.toFixed(2)} at worst`,
				worst <= 1.15,
			),
			goal(
				"half the launcher's time",
				`${installed.toLauncher.toFixed(2)} on ${installed.version}, ${worstLauncher.toFixed(2)} at worst`,
				worstLauncher <= 0.5,
			),
			goal(
				'no synchronous file or process call of more than a millisecond in all',
				`${ms(Math.max(syncMs, firstSyncMs), 2)} (${calls([...syncCalls, ...firstSyncCalls])})`,
				Math.max(syncMs, firstSyncMs) < 1,
			),
		],
		text: [
			'The bare conversation is `spawn`, three messages and `JSON.parse`: no deadline, no look at the login, no thought of an exit. In a CODEX_HOME that was used before, offline. Medians; the ratios are medians of the pairs of a round.',
			table(
				[
					'Codex',
					'rounds',
					'this library',
					'bare, real program',
					'bare, launcher',
					'to the program',
					'to the launcher',
				],
				rows.map((row) => [
					row.version,
					row.rounds,
					ms(row.libraryMs),
					ms(row.programMs),
					ms(row.launcherMs),
					row.toProgram.toFixed(2),
					row.toLauncher.toFixed(2),
				]),
			),
			`Node's \`spawn\` itself, which nobody is spared, holds the thread for ${ms(spawnMs)} and is not counted among the synchronous calls.`,
		],
	};
}

function describeEventLoop(result) {
	const { cpuMs, bareCpuMs, cpuSource, turnMs, idleTurnMs, fetches } = result;
	return {
		title: '3. The event loop',
		goals: [
			goal(
				"at most 6 ms of the main thread's CPU per fetch",
				`${ms(cpuMs)} (the bare conversation: ${ms(bareCpuMs)})`,
				cpuMs <= 6,
			),
		],
		text: [
			`Medians of ${fetches} fetches from the real Codex, \`spawn\` included, until its process is gone. CPU time by ${cpuSource}. The turn of a loop in which nothing happens tells what the machine adds.`,
			table(
				['', 'this library', 'bare conversation', 'nothing'],
				[
					['CPU time of the main thread', ms(cpuMs), ms(bareCpuMs), ''],
					['longest turn', ms(turnMs), '', ms(idleTurnMs)],
				],
			),
		],
	};
}

function describeIncident({ columns, seed, requests, sessions, stalls, scale, startMs, floorP50, floorP99 }) {
	const ours = Object.values(columns).slice(2);
	const names = Object.keys(columns);
	const rowOf = (name, read) => [name, ...Object.values(columns).map(read)];
	return {
		title: '4. The incident, replayed',
		goals: [
			goal(
				'no failure but a cold start that meets a stall',
				ours.map(({ warmFailures }) => warmFailures).join(', '),
				ours.every(({ warmFailures }) => warmFailures === 0),
			),
			goal(
				'p99 under 10 ms once warm',
				ours.map(({ warmP99 }) => ms(warmP99)).join(', '),
				ours.every(({ warmP99 }) => warmP99 < 10),
			),
		],
		text: [
			'![Share of the requests that were answered within how long](performance.svg)',
			`${requests} requests in a day, from ${sessions} sessions, to an HTTP server with a route and a limit of 120 s, by seed ${seed}. Of each ${requests} app-servers that are started ${stalls} never answer and do not heed the end of their input; the others answer 1 to 5 s after their start. As it was: a process a request, 30 s for each of two answers, then a wait for its exit. The five-minute map starts and ends its app-servers in the same way, but kills them. The first three are one process each, the last is one for each session.`,
			table(
				['', ...names],
				[
					rowOf('failures', ({ failures }) => failures),
					rowOf('requests over 1 s', ({ slow }) => slow),
					rowOf('p50', ({ p50 }) => time(p50)),
					rowOf('p95', ({ p95 }) => time(p95)),
					rowOf('p99', ({ p99 }) => time(p99)),
					rowOf('worst', ({ worst }) => time(worst)),
					rowOf('p99 once warm', ({ warmP99 }) => time(warmP99)),
					rowOf('app-servers started', ({ starts }) => starts),
				],
			),
			`A process per session by itself: where each answers a constant, without this library, p50 is ${ms(floorP50)} and p99 ${ms(floorP99)}. The first call of a process, which is one in seven here, looks at \`auth.json\`, \`config.toml\`, the command and the stored list with code that has never run before.`,
			`Scaled 1:${scale}: answers after 10 to 50 ms, the limit at 1.2 s, and \`deadlineMs\`, \`fetchTimeoutMs\`, \`freshMs\`, \`staleMs\` and \`cooldownMs\` a hundredth of their defaults. While nothing is under way the clock is put forward to the next request instead of being waited for. In the table a wait for an app-server counts a hundred times, and all else (HTTP, the look into memory or a file) as it took. A scripted app-server starts in ${ms(startMs)}, which is part of its 10 to 50 ms; what a fetch takes besides is counted a hundred times, too, as are the grace periods for the end of a process, which are not scaled.`,
		],
	};
}

function describeGrowth({ lists, models }) {
	return {
		title: '5. Growth',
		goals: [],
		text: [
			'`catalog.list({ codexHome })` in turn through so many lists of 12 models, all in memory; and a fetch of so many models from a scripted app-server that starts in some milliseconds, in pages of 1,000. Memory is what is left on the heap afterwards.',
			table(
				['lists', 'a hit', 'memory'],
				lists.map(({ count, ns, bytes }) => [whole(count), `${whole(ns)} ns`, kB(bytes)]),
			),
			table(
				['models', 'pages', 'a fetch', 'longest turn', 'memory'],
				models.map(({ count, pages, ms: took, turnMs, bytes }) => [
					whole(count),
					pages,
					ms(took),
					ms(turnMs),
					kB(bytes),
				]),
			),
		],
	};
}

function describeWeight(result) {
	const {
		minifiedBytes,
		laterBytes,
		gzippedBytes,
		packages,
		installedBytes,
		tarballBytes,
		importMs,
		leastImportMs,
		emptyMs,
	} = result;
	return {
		title: '6. Weight',
		goals: [
			goal(
				'entry under 8 kB, minified and gzipped, dependencies aside',
				kB(gzippedBytes),
				gzippedBytes < 8_000,
			),
			goal('import under 25 ms', ms(importMs), importMs < 25),
		],
		text: [
			table(
				['', ''],
				[
					['entry, minified', kB(minifiedBytes)],
					['entry, minified and gzipped', kB(gzippedBytes)],
					['loaded later, minified and gzipped', kB(laterBytes)],
					['import in a new process (median)', ms(importMs)],
					['the same, the least', ms(leastImportMs)],
					['import of an empty module', ms(emptyMs)],
					['tarball', kB(tarballBytes)],
					[`installed, ${packages.length} packages`, kB(installedBytes)],
				],
			),
			table(
				['the largest packages', ''],
				packages.slice(0, 8).map(({ name, bytes }) => [`\`${name}\``, kB(bytes)]),
			),
		],
	};
}

export function describe(results) {
	return [
		describeHit(results.hit),
		describeCold(results.cold, results['event-loop']),
		describeEventLoop(results['event-loop']),
		describeIncident(results.incident),
		describeGrowth(results.growth),
		describeWeight(results.weight),
	];
}

export function writeReport(sections, facts) {
	const goals = sections.flatMap(({ title, goals: some }) =>
		some.map(({ what, value, isMet }) => [title, what, value, isMet ? 'met' : '**not met**']),
	);
	return [
		'# Performance',
		'Written by `npm run bench`; not to be edited.',
		facts.note,
		table(
			['', ''],
			facts.rows.map(([name, value]) => [name, value]),
		),
		'## Goals',
		table(['', 'goal', 'measured', ''], goals),
		...sections.flatMap(({ title, text }) => [`## ${title}`, ...text]),
	]
		.filter(Boolean)
		.join('\n\n')
		.concat('\n');
}
