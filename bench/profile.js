// Where the main-thread CPU of a fetch goes: a profile of V8, by whose code it is.
import { Session } from 'node:inspector/promises';
import { dist, makeUsedHome } from './codex.js';
import { makeLibrary } from './real-codex.js';

/** The first row that fits a frame counts. */
const kinds = {
	'starting the process (`spawn`)': ({ functionName }) => functionName === 'spawn',
	'collecting garbage': ({ functionName }) => functionName === '(garbage collector)',
	'native code of Node (`(program)`)': ({ functionName }) => functionName === '(program)',
	'this library': ({ url }) => url.includes('/dist/'),
	'its dependencies': ({ url }) => url.includes('/node_modules/'),
	'looking at files (`node:fs`)': ({ url, functionName }) =>
		/internal\/fs|node:fs/.test(url) || /^f?stat$|^access$|^open|^close$|^read/i.test(functionName),
	"Node's streams, timers, modules and the rest": () => true,
};

export async function profileFetch(rounds) {
	const { codexHome } = await makeUsedHome();
	const fetchOnce = await makeLibrary(dist, codexHome);
	for (let round = 0; round < 5; round++) await fetchOnce();
	const session = new Session();
	session.connect();
	await session.post('Profiler.enable');
	await session.post('Profiler.setSamplingInterval', { interval: 100 });
	await session.post('Profiler.start');
	for (let round = 0; round < rounds; round++) await fetchOnce();
	const { profile } = await session.post('Profiler.stop');
	session.disconnect();
	const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
	const sums = Object.fromEntries(Object.keys(kinds).map((name) => [name, 0]));
	for (const [index, id] of profile.samples.entries()) {
		const frame = frames.get(id);
		if (frame.functionName === '(idle)') continue;
		const [name] = Object.entries(kinds).find(([, fits]) => fits(frame));
		sums[name] += profile.timeDeltas[index] / 1_000 / rounds;
	}
	return sums;
}
