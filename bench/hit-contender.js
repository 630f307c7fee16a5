// One contender of "A hit", in a process of its own: what another leaves behind (a heap that has grown, code that was
// compiled for other shapes) changes what this one takes. Measures when it is told to.
import { createHook } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { copySummary } from '../dist/model.js';
import { contenders, copies, yardsticks } from './contenders.js';
import { interleave } from './measure.js';

/** Short enough to be seldom interrupted, in nanoseconds. */
const sampleNs = 4_000_000;

async function makeAsk({ name, copying, list }) {
	const ask = await { ...yardsticks, ...contenders }[name](async () => list.map(copySummary));
	const copy = copies[copying];
	return copy ? async () => copy(await ask()) : ask;
}

async function time(ask, calls) {
	const startedAt = performance.now();
	for (let call = 0; call < calls; call++) await ask();
	return ((performance.now() - startedAt) / calls) * 1e6;
}

let callsPerSample;

/** Makes it hot, and finds out how many calls fill a sample. */
async function warm(ask) {
	await time(ask, 20_000);
	let least = Number.POSITIVE_INFINITY;
	for (let round = 0; round < 20; round++) least = Math.min(least, await time(ask, 100));
	callsPerSample = Math.ceil(sampleNs / least);
}

/** Not of the first calls: others have had the caches of the processor meanwhile. */
async function sample(ask) {
	await time(ask, callsPerSample);
	return time(ask, callsPerSample);
}

/** What is left of a caller's change when the next one asks. */
async function givesOwnCopy(ask) {
	await ask();
	const mine = await ask();
	mine[0].supportedReasoningEfforts?.push('changed');
	mine.pop();
	const theirs = await ask();
	const isOwn = theirs.length === mine.length + 1 && !JSON.stringify(theirs).includes('"changed"');
	if (!isOwn) {
		mine.push(copySummary(theirs.at(-1)));
		mine[0].supportedReasoningEfforts?.pop();
	}
	return isOwn;
}

/** By how much the heap grows: so few calls that nothing is collected meanwhile. */
async function grow(ask, calls) {
	globalThis.gc();
	const before = process.memoryUsage().heapUsed;
	for (let call = 0; call < calls; call++) await ask();
	return process.memoryUsage().heapUsed - before;
}

/** The room that a call takes. By the difference of the least, for after a collection calls may take 200 kB besides. */
async function weigh(ask) {
	const calls = 20;
	const { few, more } = await interleave(31, {
		few: () => grow(ask, calls),
		more: () => grow(ask, 2 * calls),
	});
	return (Math.min(...more) - Math.min(...few)) / calls;
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

const tasks = { warm, givesOwnCopy, sample, weigh, count };

let ask;
process.on('message', async ({ task, contender }) => {
	if (contender) ask = await makeAsk(contender);
	process.send((await tasks[task](ask)) ?? null);
});
