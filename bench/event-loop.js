// 3. What a fetch takes of the host's main thread; and of it, what is synchronous (2).
import { takeSyncTime } from './sync-time.js';

const { CodexModelCatalog } = await import('../dist/index.js');
const { converse, makeUsedHome, realCodex } = await import('./codex.js');
const { findProgram } = await import('../dist/program.js');
const { hand, interleave, median, readCpu, sleep, stayAlive, watchTurns } = await import('./measure.js');

stayAlive();

const fetches = 25;
const { codexHome, env } = await makeUsedHome(realCodex);
const program = await findProgram(realCodex, env);

/** Until the process is gone. */
async function fetch() {
	let ended = () => {};
	const gone = new Promise((resolve) => {
		ended = resolve;
	});
	const catalog = new CodexModelCatalog({
		command: realCodex,
		codexHome,
		onEvent: ({ type }) => {
			if (type === 'exited') ended();
		},
	});
	await catalog.list();
	await gone;
	await catalog.close();
}

const cpuOf = async (act) => {
	const before = readCpu().ms;
	await act();
	return readCpu().ms - before;
};

takeSyncTime();
await fetch();
const first = takeSyncTime();
for (let round = 0; round < 5; round++) await fetch();

const { library, bare } = await interleave(fetches, {
	library: () => cpuOf(fetch),
	bare: () => cpuOf(() => converse(program)),
});

const syncs = [];
const turns = [];
for (let round = 0; round < fetches; round++) {
	takeSyncTime();
	await fetch();
	syncs.push(takeSyncTime());
}
for (let round = 0; round < fetches; round++) {
	const stop = watchTurns();
	await fetch();
	turns.push(await stop());
	await sleep(5);
}
const idle = [];
for (let round = 0; round < fetches; round++) {
	const stop = watchTurns();
	await sleep(70);
	idle.push(await stop());
}

hand({
	fetches,
	cpuSource: readCpu().source,
	cpuMs: median(library),
	bareCpuMs: median(bare),
	turnMs: median(turns),
	idleTurnMs: median(idle),
	spawnMs: median(syncs.map(({ spawnMs }) => spawnMs)),
	syncMs: median(syncs.map(({ spentMs }) => spentMs)),
	syncCalls: syncs.at(-1).calls,
	firstSyncMs: first.spentMs,
	firstSyncCalls: [...new Set(first.calls)],
});
