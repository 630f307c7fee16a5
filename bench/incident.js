// The incident, replayed faster than it was: a simulated day of requests, and four ways to answer them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeScripted } from './codex.js';
import { makeDirectory } from './measure.js';

const [requests, sessions, stalls, scale] = [168, 24, 5, 50];
const script = fileURLToPath(new URL('incident-runner.js', import.meta.url));

/** The number of processes of each way. */
const ways = {
	'as it was': 1,
	'five-minute map': 1,
	'this library': 1,
	'this library, file store': sessions,
};

/** Numbers from 0 to 1 that are the same in each run: the generator of "Numerical Recipes". */
let state = 20_260_101;
function random() {
	state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
	return state / 2 ** 32;
}

/** Each session begins at a random time of the day, and makes its requests some minutes apart. */
const clocks = Array.from({ length: sessions }, () => random() * 0.95 * (86_400_000 / scale));
const arrivals = Array.from({ length: requests }, (_, index) => {
	const session = index % sessions;
	clocks[session] -= Math.log(1 - random()) * (480_000 / scale);
	return { session, at: clocks[session] };
}).sort((a, b) => a.at - b.at);

/** The seconds of each start of an app-server until it answers: 1 to 5 at full scale. */
const waits = Array.from({ length: requests }, () => ((1 + random() * 4) / scale).toFixed(4));
while (waits.filter((wait) => wait === 'never').length < stalls)
	waits[Math.floor(random() * requests)] = 'never';

async function replay(runners) {
	const results = [];
	const resolvers = [];
	for (const runner of runners) runner.on('message', (result) => resolvers[result.index](result));
	let offsetMs = 0;
	const beganAt = performance.now();
	let settled = Promise.resolve();
	for (const [index, { session, at }] of arrivals.entries()) {
		const untilDue = () => at - (performance.now() - beganAt + offsetMs);
		await Promise.race([settled, sleep(untilDue(), undefined, { ref: false })]);
		// The clock is put forward when nothing is under way.
		offsetMs += Math.max(0, untilDue());
		runners[session % runners.length].send({ index, offsetMs });
		results.push(new Promise((resolve) => resolvers.push(resolve)));
		settled = Promise.all(results);
	}
	return settled;
}

async function measureWay(way) {
	const { command, countStarts } = makeScripted(waits);
	const facts = JSON.stringify({ way, command, scale, directory: makeDirectory() });
	const runners = Array.from({ length: ways[way] }, () => fork(script, [facts]));
	await Promise.all(runners.map((runner) => once(runner, 'message')));
	const results = await replay(runners);
	for (const runner of runners) {
		runner.disconnect();
		await once(runner, 'exit');
	}
	const failures = results.filter(({ hasFailed }) => hasFailed).length;
	const warmFailures = failures - results.findIndex(({ hasFailed }) => !hasFailed);
	return { ms: results.map(({ ms }) => ms), failures, warmFailures, starts: countStarts() };
}

export async function replayIncident() {
	const columns = {};
	for (const way of Object.keys(ways)) columns[way] = await measureWay(way);
	return { requests, sessions, stalls, scale, columns };
}
