// 1. A hit, beside what users would pick instead, and many callers of one fetch.
import { createHook } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { CodexModelCatalog, codexModels, listCodexModels } from '../dist/index.js';
import { makeScripted, makeUsedHome, multiply, realCodex } from './codex.js';
import { makeContenders } from './contenders.js';
import { hand, interleave, makeDirectory, median, watchTurns } from './measure.js';

// Another instance of the module: what the contenders give has other shapes, for which the library's own function would be
// compiled, too.
const { copySummary } = await import('../dist/model.js?contenders');

const rounds = 61;
/** Short enough to be seldom interrupted, in nanoseconds. */
const sampleNs = 1_000_000;
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
const value = list.map(copySummary);
const load = async () => list.map(copySummary);
const catalog = codexModels;

const withLiteral = (ask) => async () => (await ask()).map(copySummary);
// As most write it.
const withSpread = (ask) => async () =>
	(await ask()).map((model) => ({
		...model,
		supportedReasoningEfforts: model.supportedReasoningEfforts?.slice(),
		serviceTiers: model.serviceTiers?.slice(),
	}));
const withStructuredClone = (ask) => async () => structuredClone(await ask());

/** What is left of a caller's change when the next one asks. */
async function givesOwnCopy(ask) {
	await ask();
	const mine = await ask();
	mine[0].supportedReasoningEfforts?.push('changed');
	mine.pop();
	const theirs = await ask();
	const isOwn = theirs.length === mine.length + 1 && !JSON.stringify(theirs).includes('"changed"');
	if (!isOwn) {
		mine.push(copySummary(list.at(-1)));
		mine[0].supportedReasoningEfforts?.pop();
	}
	return isOwn;
}

const contenders = {
	'the limit: `async () => value`': async () => value,
	'**`listCodexModels()`**': () => listCodexModels(),
	'**`catalog.list()`** (whole models)': () => catalog.list(),
};
for (const [name, ask] of Object.entries(makeContenders(load))) {
	contenders[name] = ask;
	if (await givesOwnCopy(ask)) continue;
	contenders[`${name}, copied`] = withLiteral(ask);
	if (!name.startsWith('a map')) continue;
	contenders[`${name}, copied with \`...\``] = withSpread(ask);
	contenders[`${name}, copied with structuredClone`] = withStructuredClone(ask);
}

async function time(ask, calls) {
	const startedAt = performance.now();
	for (let call = 0; call < calls; call++) await ask();
	return ((performance.now() - startedAt) / calls) * 1e6;
}

/** As many calls as fill a sample, after as many as make it hot. */
async function makeTimer(ask) {
	await time(ask, 10_000);
	let least = Number.POSITIVE_INFINITY;
	for (let round = 0; round < 20; round++) least = Math.min(least, await time(ask, 100));
	const calls = Math.ceil(sampleNs / least);
	return () => time(ask, calls);
}

/** The room that calls take: so few that nothing is collected meanwhile. */
async function weigh(ask) {
	const calls = 100;
	globalThis.gc();
	const before = process.memoryUsage().heapUsed;
	for (let call = 0; call < calls; call++) await ask();
	return (process.memoryUsage().heapUsed - before) / calls;
}

/** The timers that calls start, and the listeners that they add, each. */
async function count(ask) {
	const calls = 100;
	let timers = 0;
	let listeners = 0;
	const hook = createHook({
		init(_id, type) {
			if (type === 'Timeout' || type === 'Immediate') timers++;
		},
	});
	const places = [
		[EventTarget.prototype, ['addEventListener']],
		[EventEmitter.prototype, ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener']],
	];
	const originals = places.flatMap(([prototype, names]) =>
		names.map((name) => [prototype, name, prototype[name]]),
	);
	for (const [prototype, name, original] of originals) {
		prototype[name] = function (...args) {
			listeners++;
			return original.apply(this, args);
		};
	}
	hook.enable();
	for (let call = 0; call < calls; call++) await ask();
	hook.disable();
	for (const [prototype, name, original] of originals) prototype[name] = original;
	return { timers: timers / calls, listeners: listeners / calls };
}

const timers = {};
for (const [name, ask] of Object.entries(contenders)) timers[name] = await makeTimer(ask);
const samples = await interleave(rounds, timers);
const rows = [];
for (const [name, ask] of Object.entries(contenders)) {
	const bytes = [];
	for (let round = 0; round < 15; round++) bytes.push(await weigh(ask));
	rows.push({
		name,
		isOurs: name.startsWith('**'),
		ns: median(samples[name]),
		leastNs: Math.min(...samples[name]),
		bytes: median(bytes),
		givesOwnCopy: await givesOwnCopy(ask),
		...(await count(ask)),
	});
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

await codexModels.close();

/** What a hit cannot do without, each alone: where it is asked, whose home it is, when, and for whom. */
const parts = {
	'`process.env.CODEX_HOME`': () => process.env.CODEX_HOME,
	'`os.homedir()`': () => homedir(),
	'`Date.now()`': () => Date.now(),
	'a copy of the list': () => value.map(copySummary),
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
