// 5. More lists, and longer ones.
import path from 'node:path';
import { CodexModelCatalog } from '../dist/index.js';
import { makeScripted, makeUsedHome, multiply, realCodex } from './codex.js';
import { hand, interleave, median, watchTurns } from './measure.js';

const callsPerSample = 4_000;
const { entries } = await makeUsedHome(realCodex);

const heap = () => {
	globalThis.gc();
	globalThis.gc();
	return process.memoryUsage().heapUsed;
};

// Lists.
const { command, args, directory } = makeScripted({ models: multiply(entries, 12) });
const catalogs = {};
for (const lists of [1, 10, 100]) {
	const before = heap();
	const catalog = new CodexModelCatalog({ command, args, maxEntries: 100 });
	// By CODEX_HOME, as a host with several accounts has them.
	const calls = Array.from({ length: lists }, (_, index) => ({
		codexHome: path.join(directory, String(index)),
	}));
	for (const call of calls) await catalog.list(call);
	catalogs[lists] = { catalog, calls, bytes: heap() - before };
}
const samples = await interleave(
	15,
	Object.fromEntries(
		Object.entries(catalogs).map(([lists, { catalog, calls }]) => [
			lists,
			async () => {
				const startedAt = performance.now();
				for (let call = 0; call < callsPerSample; call++) await catalog.list(calls[call % calls.length]);
				return ((performance.now() - startedAt) / callsPerSample) * 1e6;
			},
		]),
	),
);
const lists = Object.entries(catalogs).map(([count, { bytes }]) => ({
	count: Number(count),
	ns: median(samples[count]),
	bytes,
}));
for (const { catalog } of Object.values(catalogs)) await catalog.close();

// Models.
const models = [];
for (const [count, rounds] of [
	[10, 9],
	[1_000, 9],
	[10_000, 5],
]) {
	const pageSize = Math.min(count, 1_000);
	const scripted = makeScripted({ models: multiply(entries, count), pageSize });
	const times = [];
	const turns = [];
	let bytes = 0;
	for (let round = 0; round < rounds; round++) {
		const before = heap();
		const catalog = new CodexModelCatalog({ command: scripted.command, args: scripted.args });
		const stop = round % 2 === 1 ? watchTurns() : undefined;
		const startedAt = performance.now();
		const { length } = await catalog.list();
		if (length !== count) throw new Error(`Expected ${count} models, got ${length}`);
		const tookMs = performance.now() - startedAt;
		if (stop) turns.push(await stop());
		else times.push(tookMs);
		bytes = heap() - before;
		await catalog.close();
	}
	models.push({ count, pages: Math.ceil(count / pageSize), ms: median(times), turnMs: median(turns), bytes });
}
hand({ lists, models });
