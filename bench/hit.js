// 1. A hit, beside what users would pick instead, and many callers of one fetch.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodexModelCatalog, listCodexModels } from '../dist/index.js';
import { copySummary } from '../dist/model.js';
import { makeScripted, makeUsedHome, multiply, realCodex } from './codex.js';
import { contenders, copies, makeHandWritten, yardsticks } from './contenders.js';
import { hand, interleave, makeDirectory, median, watchTurns } from './measure.js';

const rounds = 61;
const callers = 1_000;

const { entries, codexHome } = await makeUsedHome(realCodex);
const models = multiply(entries, 12);
const scripted = makeScripted({ models });

// `listCodexModels` has no options but PATH.
const folder = makeDirectory();
const words = [scripted.command, ...scripted.args].map((word) => `'${word}'`).join(' ');
writeFileSync(path.join(folder, 'codex'), `#!/bin/sh\nexec ${words}\n`, { mode: 0o755 });
symlinkSync(process.execPath, path.join(folder, 'node'));
process.env.PATH = `${folder}${path.delimiter}${process.env.PATH}`;
process.env.CODEX_HOME = codexHome;

const list = await listCodexModels();
if (list.length !== 12) throw new Error(`Expected 12 models, got ${list.length}`);

const running = {};

/** Starts it, makes it hot, and tells whether each caller gets a copy. */
async function start(name, copying) {
	const title = copying === undefined ? name : `${name}, ${copying}`;
	const child = fork(fileURLToPath(new URL('hit-contender.js', import.meta.url)), {
		execArgv: ['--expose-gc'],
	});
	const ended = once(child, 'exit').then(() => Promise.reject(new Error(`"${title}" ended`)));
	ended.catch(() => {});
	const tell = async (message) => {
		child.send(message);
		const [answer] = await Promise.race([once(child, 'message'), ended]);
		return answer;
	};
	await tell({ task: 'warm', contender: { name, copying, list } });
	const givesOwnCopy = await tell({ task: 'givesOwnCopy' });
	running[title] = { tell, givesOwnCopy, end: () => child.disconnect() };
	return givesOwnCopy;
}

for (const name of Object.keys(yardsticks)) await start(name);
for (const name of Object.keys(contenders)) {
	if (await start(name)) continue;
	// Those that are written by hand, in each of the ways; another's list, in the best of them.
	const ways = contenders[name] === makeHandWritten ? Object.keys(copies) : ['copied'];
	for (const copying of ways) await start(name, copying);
}

const samplers = Object.fromEntries(
	Object.entries(running).map(([name, { tell }]) => [name, () => tell({ task: 'sample' })]),
);
const samples = await interleave(rounds, samplers);
const rows = [];
for (const [name, { tell, givesOwnCopy, end }] of Object.entries(running)) {
	rows.push({
		name,
		isOurs: name.startsWith('**'),
		ns: median(samples[name]),
		leastNs: Math.min(...samples[name]),
		bytes: await tell({ task: 'weigh' }),
		givesOwnCopy,
		...(await tell({ task: 'count' })),
	});
	end();
}

// Many callers of one fetch.
const joins = [];
for (let round = 0; round < 9; round++) {
	const { command, args } = makeScripted({ models, waits: Array(9).fill('0.1') });
	let isSpawned = () => {};
	const spawned = new Promise((resolve) => {
		isSpawned = resolve;
	});
	const fresh = new CodexModelCatalog({
		command,
		args,
		onEvent: ({ type }) => {
			if (type === 'spawned') isSpawned();
		},
	});
	const first = fresh.list();
	await spawned;
	const stop = watchTurns();
	const startedAt = performance.now();
	const all = Array.from({ length: callers }, () => fresh.list());
	const calledMs = performance.now() - startedAt;
	// From the answer on: the first caller has it, and the others follow in the same turn.
	await first;
	const answeredAt = performance.now();
	await Promise.all(all);
	const answeredMs = performance.now() - answeredAt;
	const turnMs = await stop();
	joins.push({ perCallerUs: ((calledMs + answeredMs) / callers) * 1e3, turnMs });
	await fresh.close();
}

/** What a hit cannot do without, each alone: where it is asked, whose home it is, when, and for whom. */
const parts = {
	'`process.env.CODEX_HOME`': () => process.env.CODEX_HOME,
	'`os.homedir()`': () => homedir(),
	'`Date.now()`': () => Date.now(),
	'a copy of the list': () => list.map(copySummary),
};
let sink;
const partTimers = Object.fromEntries(
	Object.entries(parts).map(([name, act]) => [
		name,
		() => {
			const startedAt = performance.now();
			for (let call = 0; call < 2_000; call++) sink = act();
			return ((performance.now() - startedAt) / 2_000) * 1e6;
		},
	]),
);
const partSamples = await interleave(rounds, partTimers);
if (sink === undefined) throw new Error('Nothing was measured');

hand({
	parts: Object.keys(parts).map((name) => ({ name, leastNs: Math.min(...partSamples[name]) })),
	models: list.length,
	rows,
	callers,
	perCallerUs: median(joins.map(({ perCallerUs }) => perCallerUs)),
	turnMs: median(joins.map(({ turnMs }) => turnMs)),
});
