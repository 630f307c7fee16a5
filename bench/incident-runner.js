// A process of the incident: it answers requests in one of the ways. Usage: fork, with the facts as JSON.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodexModelCatalog } from '../dist/index.js';
import { fileStore } from '../dist/store/file-store.js';
import { converse } from './codex.js';
import { makeFiveMinuteMap } from './contenders.js';

const { way, command, scale, directory } = JSON.parse(process.argv[2]);

/** `Date.now` tells the age of a list, and the simulated clock puts `Date.now` forward; timers are real. */
const realNow = Date.now.bind(Date);
let offsetMs = 0;
Date.now = () => realNow() + offsetMs;

/** The number of app-servers. */
let running = 0;
let lastEventAt = 0;
let isServedFromCache = false;

/** The conversation of the incident: 30 s for an answer, then a kill, or a wait for the exit. */
function load({ kills }) {
	running++;
	return converse({ command, limitMs: 30_000 / scale, kills }).finally(() => running--);
}

/** This library, with its defaults at the scale of the replay. */
const catalog = new CodexModelCatalog({
	command,
	codexHome: directory,
	store: way.endsWith('file store')
		? fileStore({ directory: path.join(directory, 'store') })
		: undefined,
	deadlineMs: 15_000 / scale,
	fetchTimeoutMs: 60_000 / scale,
	maxAgeMs: 300_000 / scale,
	staleWhileRevalidateMs: 86_400_000 / scale,
	cooldownMs: 30_000 / scale,
	onEvent({ type }) {
		lastEventAt = performance.now();
		if (type === 'spawned') running++;
		if (type === 'exited') running--;
		if (['hit', 'stale', 'loaded'].includes(type)) isServedFromCache = true;
	},
});
const askMap = makeFiveMinuteMap(() => load({ kills: true }), 300_000 / scale);

const ways = { 'as it was': () => load({ kills: false }), 'five-minute map': askMap };
const list = ways[way] ?? (() => catalog.list());
// The hub gives up on an app-server of "as it was"; an event shortly before means that another step may follow.
const isIdle = () => way === 'as it was' || (running === 0 && performance.now() - lastEventAt > 30);

process.on('message', async (request) => {
	offsetMs = request.offsetMs;
	isServedFromCache = false;
	const startedAt = performance.now();
	// 120 s is the limit of the hub.
	const isLate = sleep(120_000 / scale, true);
	const work = list().then(() => false);
	// The map has started a fetch by now, if it needs one.
	if (list === askMap) isServedFromCache = running === 0;
	const hasFailed = await Promise.race([work, isLate]).catch(() => true);
	const ms = (performance.now() - startedAt) * (isServedFromCache ? 1 : scale);
	while (!isIdle()) await sleep(5);
	process.send({ index: request.index, ms, hasFailed });
});
process.once('disconnect', () => catalog.close().then(process.exit));
process.send('ready');
