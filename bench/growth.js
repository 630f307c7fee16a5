// The cost as work grows: callers, working directories, and processes that ask at once on an empty memory.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { dist, importIndex, makeScripted } from './codex.js';
import { makeDirectory } from './measure.js';

const script = fileURLToPath(new URL('growth-runner.js', import.meta.url));

/** The result of some work, its time, and the longest time for which the event loop stood still, in ms. */
async function time(work) {
	let standstillMs = 0;
	let last = performance.now();
	const tick = () => {
		const now = performance.now();
		standstillMs = Math.max(standstillMs, now - last);
		last = now;
	};
	const timer = setInterval(tick, 1);
	const startedAt = performance.now();
	await work();
	const ms = performance.now() - startedAt;
	tick();
	clearInterval(timer);
	return { ms, standstillMs };
}

const times = (count, act) => Promise.all(Array.from({ length: count }, (_, index) => act(index)));

async function measureCallers(count) {
	const { CodexModelCatalog } = await importIndex(dist);
	const { command, countStarts } = makeScripted();
	const catalog = new CodexModelCatalog({ command, codexHome: makeDirectory() });
	const { ms, standstillMs } = await time(() => times(count, () => catalog.list()));
	await catalog.close();
	return { ms, standstillMs, starts: countStarts() };
}

async function measureDirectories(count) {
	const { CodexModelCatalog } = await importIndex(dist);
	const { command, countStarts } = makeScripted();
	const catalog = new CodexModelCatalog({ command, codexHome: makeDirectory(), maxEntries: 200 });
	const list = () => catalog.list({ cwd: makeDirectory(), deadlineMs: 120_000 });
	const { ms, standstillMs } = await time(() => times(count, list));
	await catalog.close();
	return { ms, standstillMs, starts: countStarts() };
}

/** Each process says when it has loaded the library, and all are told to ask at once. */
async function measureProcesses(count) {
	const { command, countStarts } = makeScripted();
	const facts = JSON.stringify({ command, directory: makeDirectory() });
	const children = Array.from({ length: count }, () => fork(script, [facts]));
	const exits = children.map((child) => once(child, 'exit'));
	await Promise.all(children.map((child) => once(child, 'message')));
	const { ms } = await time(() =>
		Promise.all(
			children.map(async (child) => {
				child.send('ask');
				await once(child, 'message');
			}),
		),
	);
	await Promise.all(exits);
	return { ms, starts: countStarts() };
}

/** Many on a list that is known: subscribers, and models. */
export async function measureStandstill() {
	const { CodexModelCatalog } = await importIndex(dist);
	const { modelEntry } = await import(path.join(dist, 'testing', 'index.js'));
	const open = (size) => {
		const models = Array.from({ length: size }, (_, index) => modelEntry({ id: `m${index}` }));
		return new CodexModelCatalog({
			codexHome: makeDirectory(),
			fetchModels: async () => ({ models }),
		});
	};
	const subscribed = open(12);
	await subscribed.list();
	for (let index = 0; index < 1_000; index++) subscribed.subscribe(() => {});
	const refreshed = () => times(1_000, () => subscribed.list({ refresh: true }));
	const large = open(3_000);
	await large.list();
	const results = {
		'1,000 callers, 1,000 subscribers': await time(refreshed),
		'2,000 callers, 3,000 models': await time(() => times(2_000, () => large.list())),
	};
	await Promise.all([subscribed.close(), large.close()]);
	return results;
}

export async function measureGrowth() {
	const kinds = {
		'callers at once': [measureCallers, [1, 10, 100, 1_000]],
		'working directories at once': [measureDirectories, [1, 10, 100]],
		'processes at once on one file store': [measureProcesses, [1, 10, 100]],
	};
	const rows = [];
	for (const [kind, [measure, counts]] of Object.entries(kinds)) {
		for (const count of counts) rows.push({ kind, count, ...(await measure(count)) });
	}
	return rows;
}
