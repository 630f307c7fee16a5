// 4. The incident, replayed at 1:100: a simulated day of requests, four ways to answer them.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { CodexModelCatalog } from '../dist/index.js';
import { watchCatalog } from './catalog-watch.js';
import { makeScripted, makeUsedHome, measureScriptedStart, multiply, realCodex } from './codex.js';
import { makeHandWritten } from './contenders.js';
import { hand, makeDirectory, makeRandom, quantile, sleep, stayAlive } from './measure.js';
import { after, clock, scale, scaledOptions } from './simulated-time.js';

stayAlive();

const seed = 20_260_101;
const requests = 168;
const sessions = 24;
const stalls = 5;
const limitMs = 120_000 / scale;
const dayMs = 86_400_000 / scale;

const { entries } = await makeUsedHome(realCodex);
const models = multiply(entries, 12);
const startMs = await measureScriptedStart(models);

const random = makeRandom(seed);

/** Seven requests a session, some minutes apart; each session begins at any time of the day. */
const arrivals = Array.from({ length: sessions }, (_, session) => {
	let at = random() * dayMs * 0.95;
	return Array.from({ length: requests / sessions }, () => {
		at += -Math.log(1 - random()) * (480_000 / scale);
		return { session, at };
	});
})
	.flat()
	.sort((a, b) => a.at - b.at);

/** What the nth start of an app-server does: 5 of each 168 never answer. Less the start, which is real. */
const waits = Array.from({ length: 2 * requests }, () => (1_000 + random() * 4_000) / scale).map((ms) =>
	(Math.max(0, ms - startMs) / 1_000).toFixed(4),
);
for (let round = 0; round < 2; round++) {
	const places = new Set();
	while (places.size < stalls) places.add(Math.floor(random() * requests));
	for (const place of places) waits[round * requests + place] = 'never';
}

const withLimit = (promise, ms, message) => {
	const { promise: late, cancel } = after(ms, new Error(message));
	return Promise.race([promise, late]).finally(cancel);
};

/** As the tool of the incident has it: an app-server a request, 30 s for each of its two answers. */
function makeConversation({ command, args }, { waitsForExit }) {
	const living = new Set();
	const list = async () => {
		const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
		living.add(child);
		const exited = once(child, 'exit').then(() => living.delete(child));
		const answers = readAnswers(child);
		const ask = (message) => {
			child.stdin.write(`${JSON.stringify(message)}\n`);
			return withLimit(answers.next(), 30_000 / scale, 'no answer within 30 s');
		};
		try {
			await ask({ id: 1, method: 'initialize', params: { clientInfo: { name: 'hub', version: '1.0.0' } } });
			child.stdin.write('{"method":"initialized"}\n');
			const { value } = await ask({ id: 2, method: 'model/list', params: {} });
			return value.result.data;
		} finally {
			child.stdin.end();
			// A stalled one does not heed the end of its input, and the limit of the hub is met.
			if (waitsForExit) await exited;
			else process.kill(-child.pid, 'SIGKILL');
		}
	};
	const killAll = () => {
		for (const { pid } of living) process.kill(-pid, 'SIGKILL');
	};
	return { list, killAll };
}

async function* readAnswers(child) {
	let text = '';
	for await (const chunk of child.stdout.setEncoding('utf8')) {
		const lines = (text + chunk).split('\n');
		text = lines.pop();
		for (const line of lines) yield JSON.parse(line);
	}
}

/** Each way answers `list(session)` with how long the caller waited for an app-server, and tells when nothing is under way. */
const ways = {
	'as it was': (scripted) => {
		const { list, killAll } = makeConversation(scripted, { waitsForExit: true });
		// The hub has given up on those that are left.
		return { list: () => time(list), isIdle: () => true, end: killAll };
	},

	'five-minute map': (scripted) => {
		const { list: load, killAll } = makeConversation(scripted, { waitsForExit: false });
		let fetches = 0;
		const counted = () => {
			fetches++;
			return load().finally(() => fetches--);
		};
		const list = makeHandWritten(counted, Date.now, 300_000 / scale);
		return { list: () => time(list, () => fetches > 0), isIdle: () => fetches === 0, end: killAll };
	},

	'in memory': ({ command, args }) => {
		const watch = watchCatalog();
		const catalog = new CodexModelCatalog({ command, args, ...scaledOptions, onEvent: watch.onEvent });
		return {
			list: () => watch.time(() => catalog.list()),
			isIdle: watch.isIdle,
			end: () => catalog.close(),
		};
	},

	'file store, a process per session': (scripted) =>
		overSessions({ ...scripted, directory: makeDirectory() }),
};

/** A process for each session, with this library and a file store, or without either. */
function overSessions(facts) {
	const children = new Map();
	const lastOf = new Map(arrivals.map(({ session }, index) => [session, index]));
	return {
		/** Before the first request of a session, as its process has long been there by then. */
		async prepare(session) {
			if (children.has(session)) return;
			const child = fork(fileURLToPath(new URL('incident-session.js', import.meta.url)));
			children.set(session, { child, isIdle: true });
			child.on('message', ({ isIdle }) => {
				if (isIdle !== undefined) children.get(session).isIdle = isIdle;
			});
			child.send(facts);
			await once(child, 'message');
		},
		async list(session, index) {
			const entry = children.get(session);
			entry.isIdle = false;
			entry.child.send({ index, offsetMs: clock.offsetMs });
			const result = await new Promise((resolve) => {
				const onMessage = (message) => {
					if (message.index !== index) return;
					entry.child.off('message', onMessage);
					resolve(message);
				};
				entry.child.on('message', onMessage);
			});
			if (lastOf.get(session) === index) entry.isLast = true;
			if (result.error) throw Object.assign(new Error(result.error), { waitedMs: result.waitedMs });
			return result;
		},
		isIdle() {
			for (const [session, { child, isIdle, isLast }] of children) {
				if (!isIdle) return false;
				if (isLast && child.connected) child.disconnect();
				if (isLast) children.set(session, { child, isIdle });
			}
			return true;
		},
		async end() {
			for (const { child } of children.values()) {
				if (child.connected) child.disconnect();
				if (child.exitCode === null) await once(child, 'exit');
			}
		},
	};
}

/** How long a call waited for an app-server. */
async function time(act, isWaiting = () => true) {
	const startedAt = performance.now();
	const promise = act();
	const hasWaited = isWaiting();
	const error = await promise.then(
		() => undefined,
		(reason) => reason,
	);
	const waitedMs = hasWaited ? performance.now() - startedAt : 0;
	if (error) throw Object.assign(error, { waitedMs });
	return { waitedMs };
}

async function replay(makeWay) {
	const scripted = makeScripted({ models, waits });
	const way = makeWay(scripted);
	let index = 0;
	const server = createServer(async (request, response) => {
		const session = /^\/api\/sessions\/(\d+)\/codex-models$/.exec(request.url)?.[1];
		const startedAt = performance.now();
		let waitedMs = 0;
		let status = 200;
		if (session !== undefined) {
			try {
				({ waitedMs } = await withLimit(way.list(Number(session), index++), limitMs, 'the limit of the hub'));
			} catch (error) {
				status = 500;
				waitedMs = error.waitedMs ?? performance.now() - startedAt;
			}
		}
		response.writeHead(status, { 'x-waited-ms': waitedMs });
		response.end(JSON.stringify({ success: status === 200, models: status === 200 ? models : undefined }));
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const agent = new Agent({ keepAlive: true, maxSockets: 8 });
	const ask = async (url) => {
		const startedAt = performance.now();
		const [response] = await once(get({ port: server.address().port, path: url, agent }), 'response');
		for await (const _ of response);
		const waitedMs = Number(response.headers['x-waited-ms']);
		const tookMs = performance.now() - startedAt;
		// Codex's time is simulated time; what this machine takes to do the rest is what it takes.
		return { ms: tookMs + (scale - 1) * waitedMs, waitedMs, hasFailed: response.statusCode !== 200 };
	};
	for (let round = 0; round < 20; round++) await ask('/');

	const results = [];
	const underWay = new Set();
	const beganAt = clock.now();
	for (const [place, { session, at }] of arrivals.entries()) {
		while (clock.now() - beganAt < at) {
			// Nobody is there: the clock is put forward instead of being waited for.
			if (underWay.size === 0 && way.isIdle()) clock.offsetMs += at - (clock.now() - beganAt);
			else await sleep(1);
		}
		const preparedAt = clock.now();
		await way.prepare?.(session);
		// The start of a session's process takes none of the day: requests that come minutes apart would come at once.
		clock.offsetMs -= clock.now() - preparedAt;
		const request = ask(`/api/sessions/${session}/codex-models`).then((result) => {
			underWay.delete(request);
			results[place] = result;
		});
		underWay.add(request);
	}
	await Promise.all(underWay);
	while (!way.isIdle()) await sleep(5);
	await way.end();
	agent.destroy();
	server.close();

	const ms = results.map((result) => result.ms);
	// Warm is who comes after the first list was there.
	const firstList = results.findIndex(({ hasFailed }) => !hasFailed);
	const warm = results.slice(firstList + 1);
	return {
		failures: results.filter(({ hasFailed }) => hasFailed).length,
		coldFailures: results.slice(0, firstList).length,
		slow: ms.filter((one) => one > 1_000).length,
		p50: quantile(ms, 0.5),
		p95: quantile(ms, 0.95),
		p99: quantile(ms, 0.99),
		worst: Math.max(...ms),
		warmP99: quantile(
			warm.map((result) => result.ms),
			0.99,
		),
		warmFailures: warm.filter(({ hasFailed }) => hasFailed).length,
		starts: scripted.countStarts(),
		ms: ms.map((one) => Number(one.toFixed(2))),
	};
}

const columns = {};
for (const [name, makeWay] of Object.entries(ways)) columns[name] = await replay(makeWay);
// What the sessions' processes and HTTP take by themselves.
const { p99: floorP99, p50: floorP50 } = await replay(() => overSessions({ answersAtOnce: true }));
hand({ seed, requests, sessions, stalls, scale, startMs, columns, floorP50, floorP99 });
