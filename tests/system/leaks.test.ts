import { expect, test } from 'vitest';
import { runHost } from '../host.js';

/** Answers with a list that grows no page, in a few milliseconds; the end of its input ends it. */
const answerer = `
	read -r _
	echo '{"id":1,"result":{}}'
	read -r _
	read -r _
	echo '{"id":2,"result":{"data":[{"id":"a","displayName":"A"},{"id":"b","hidden":true}],"nextCursor":null}}'
	echo '{"id":3,"result":{"config":{}}}'
	cat > /dev/null
`;

/** Fails each in its own way: exits, an unreadable answer, an error, a closed output. */
const failures = [
	`exit 3`,
	`read -r _; echo '{"id":1,"result":{}}'; read -r _; read -r _; echo '{"id":2,"result":null}'; cat > /dev/null`,
	`read -r _; echo '{"id":1,"error":{"code":-32600,"message":"no"}}'; cat > /dev/null`,
	`read -r _; exec > /dev/null; cat > /dev/null`,
];

/** The figures of a host, before and after. */
const meter = `
	import { setFlagsFromString } from 'node:v8';
	import { runInNewContext } from 'node:vm';
	setFlagsFromString('--expose_gc');
	const collect = runInNewContext('gc');
	/** Every timer of the package's, also those that keep no host alive. */
	const timers = new Set();
	for (const name of ['setTimeout', 'setInterval']) {
		const set = globalThis[name];
		globalThis[name] = (...parameters) => {
			const timer = set(...parameters);
			timers.add(timer);
			return timer;
		};
	}
	const countTimers = () => {
		for (const timer of timers) if (timer._destroyed) timers.delete(timer);
		return timers.size;
	};
	const turn = () => new Promise((resolve) => setImmediate(resolve));
	const children = () => readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim();
	const count = () => ({
		descriptors: readdirSync('/proc/self/fd').length,
		children: children() === '' ? 0 : children().split(' ').length,
		resources: process.getActiveResourcesInfo().sort(),
		timers: countTimers(),
		listeners: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)])),
	});
	const heap = async () => {
		for (let pass = 0; pass < 4; pass++) {
			await turn();
			// The set would hold what cleared timers hold.
			countTimers();
			collect();
		}
		return process.memoryUsage().heapUsed;
	};
	/** Resolves when no child is left, and the figures stay the same for a while. */
	const atRest = async () => {
		for (let last = '', same = 0, now; same < 5; last = now) {
			await new Promise((resolve) => setTimeout(resolve, 20));
			await turn();
			now = JSON.stringify(count());
			same = now === last && children() === '' ? same + 1 : 0;
		}
		return count();
	};
	const failed = (promise) => promise.then(() => 'none', ({ code, name }) => (name === 'AbortError' ? name : code));
	/** The bytes that each run leaves in the heap: the slope from the middle on, where caches are full and code is compiled. */
	const slopeOf = async (runs, run) => {
		const points = [];
		for (let point = 0; point < 5; point++) {
			for (let n = 0; n < runs / 5; n++) await run();
			await atRest();
			points.push(await heap());
		}
		return (points[4] - points[1]) / ((runs / 5) * 3);
	};
	const sh = (source, options) =>
		new CodexModelCatalog({ command: '/bin/sh', args: ['-c', source], cwd: '/', retries: 0, maxAgeMs: 0, ...options });
`;

async function measure(source: string) {
	const [told] = await runHost(meter + source, { facts: { answerer, failures } });
	expect(told.after).toEqual(told.before);
	expect(told.after.children).toBe(0);
	return told;
}

test('a thousand fetches with real processes leave nothing in the host, and under 1 kB of its heap each', async () => {
	const { bytes, fetches, exits } = await measure(`
		let exits = 0;
		const catalog = sh(facts.answerer, { onEvent: ({ type }) => { if (type === 'exited') exits++; } });
		let fetches = 0;
		const fetch = async () => {
			const models = await catalog.list({ refresh: true, includeHidden: true });
			if (models.length !== 2) throw new Error('No list');
			fetches++;
		};
		for (let n = 0; n < 50; n++) await fetch();
		const before = await atRest();
		const bytes = await slopeOf(1_000, fetch);
		const after = await atRest();
		await catalog.close();
		tell({ before, after, bytes, fetches, exits });
	`);
	expect(fetches).toBe(1_050);
	expect(exits).toBe(1_050);
	expect(bytes).toBeLessThan(1_000);
}, 240_000);

test('fetches that fail, in four ways, leave nothing in the host, and under 1 kB of its heap each', async () => {
	const { bytes, codes } = await measure(`
		const codes = new Set();
		const catalogs = facts.failures.map((source) => sh(source));
		const fail = async () => {
			for (const catalog of catalogs) codes.add(await failed(catalog.list()));
		};
		const missing = new CodexModelCatalog({ command: '/there/is/none', retries: 0 });
		const failAll = async () => {
			await fail();
			codes.add(await failed(missing.list()));
		};
		for (let n = 0; n < 20; n++) await failAll();
		const before = await atRest();
		const bytes = (await slopeOf(120, failAll)) / 5;
		const after = await atRest();
		await Promise.all([...catalogs, missing].map((catalog) => catalog.close()));
		tell({ before, after, bytes, codes: [...codes].sort() });
	`);
	expect(codes).toEqual([
		'ERR_CODEX_EXITED',
		'ERR_CODEX_NOT_FOUND',
		'ERR_CODEX_PROTOCOL',
		'ERR_CODEX_RPC',
	]);
	expect(bytes).toBeLessThan(1_000);
});

test('catalogs that are made, used and closed leave nothing in the host, and under 1 kB of its heap each', async () => {
	const { bytes } = await measure(`
		const use = async () => {
			const catalog = sh(facts.answerer, { keepAliveMs: 60_000 });
			await catalog.list();
			const second = failed(catalog.list({ refresh: true }));
			await catalog.close();
			await second;
		};
		// It takes some hundred until all is compiled and every cache of Node's is full.
		for (let n = 0; n < 200; n++) await use();
		const before = await atRest();
		const bytes = (await slopeOf(300, use)) / 2;
		const after = await atRest();
		tell({ before, after, bytes });
	`);
	expect(bytes).toBeLessThan(1_000);
});

test('ten thousand hits, joins, deadlines and aborts leave nothing in the host, nor on a signal', async () => {
	const { bytes, outcomes, listenersLeft } = await measure(`
		import { getEventListeners, setMaxListeners } from 'node:events';
		const hits = sh(facts.answerer, { maxAgeMs: Infinity });
		await hits.list();
		const hit = async () => {
			await hits.list();
		};
		const outcomes = {};
		const shared = new AbortController();
		setMaxListeners(0, shared.signal);
		/** The callers join one fetch; every second one leaves it. */
		const joinAndLeave = async (callers) => {
			const catalog = sh('read -r _; cat > /dev/null', { deadlineMs: 600_000 });
			const calls = Array.from({ length: callers }, (_, index) => {
				const controller = new AbortController();
				const options = [
					{ signal: controller.signal },
					{ deadlineMs: 1 },
					{ signal: shared.signal },
					{ signal: shared.signal, deadlineMs: Infinity },
				][index % 4];
				const outcome = failed(catalog.list(options));
				if (index % 4 === 0) controller.abort();
				return outcome;
			});
			await Promise.all(calls.filter((_, index) => index % 4 < 2));
			await catalog.close();
			for (const outcome of await Promise.all(calls)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
		};
		for (let n = 0; n < 2_000; n++) await hit();
		await joinAndLeave(1_000);
		for (const name of Object.keys(outcomes)) delete outcomes[name];
		const before = await atRest();
		const hitBytes = await slopeOf(10_000, hit);
		const joinBytes = (await slopeOf(10, () => joinAndLeave(1_000))) / 1_000;
		const after = await atRest();
		const listenersLeft = getEventListeners(shared.signal, 'abort').length;
		await hits.close();
		tell({ before, after, bytes: Math.max(hitBytes, joinBytes), outcomes, listenersLeft });
	`);
	expect(outcomes).toEqual({
		AbortError: 2_500,
		ERR_CODEX_TIMEOUT: 2_500,
		ERR_CODEX_CLOSED: 5_000,
	});
	expect(listenersLeft).toBe(0);
	expect(bytes).toBeLessThan(100);
});
