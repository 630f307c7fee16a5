// A `codex app-server` for all that the real one does not do on request.
//
//   node scripted-app-server.js DIRECTORY ACT... [-- ANYTHING]
//
// The first start in DIRECTORY does the first act, the second the second, and all further ones the last.
// Their settings are an array in DIRECTORY/settings.json. Each knows these, besides its own:
//
//   at             the phase of the act, 'model/list' unless it says another:
//                    'spawn'               before it has read anything
//                    'initialize', 'model/list', 'between pages' (the second one), 'config/read'
//                                          in place of that answer, or before it
//                    'after the answer'    when the list is written
//                    'while being ended'   at the end of its input
//   gates          { PHASE: NAME }: before that phase it waits until the file DIRECTORY/NAME is there
//   ignores        the ends that it ignores: 'end' (of input), 'SIGTERM'
//   endsAfterMs    how long it takes to exit after the end of its input
//   grandchild     starts a process that outlives it; `holdsPipes`, `ignoresSigterm`, or `isDetached` in a group of its own
//   models         the entries of its list; or `pages`, arrays of them; or `result`, anything at all
//   lastCursor     the cursor on the last page
//   config         the configuration that `config/read` answers with
//   stderr         what it writes there at its start
//
// DIRECTORY/log gets one JSON object a line: { pid, what, … }, of each start, message, signal and end of input.

import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [directory, ...rest] = process.argv.slice(2);
const logFile = path.join(directory, 'log');

function log(what, facts) {
	appendFileSync(logFile, `${JSON.stringify({ pid: process.pid, what, ...facts })}\n`);
}

log('start', { argv: process.argv.slice(2), cwd: process.cwd(), env: process.env });
const starts = readFileSync(logFile, 'utf8').match(/"what":"start"/g).length;

const steps = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
const step = Math.min(starts, steps.length) - 1;
const settings = JSON.parse(readFileSync(path.join(directory, 'settings.json'), 'utf8'))[step];
const { at = 'model/list', gates = {}, ignores = [], endsAfterMs = 0 } = settings;
const { models = [], pages = [models], lastCursor = null } = settings;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const stayAlive = () => setInterval(() => {}, 60_000);
const write = (stream, text) => new Promise((resolve) => stream.write(text, resolve));
const say = (message) => write(process.stdout, `${JSON.stringify(message)}\n`);

/** Each returns false where the answer does not follow. */
const acts = {
	/** The deeds of the real app-server, with a list of our own. */
	answers() {},

	async exits({ code = 0, words = '', half = '' }) {
		if (words) await write(process.stderr, words);
		if (half) await write(process.stdout, half);
		process.exit(code);
	},

	endsBySignal({ signal }) {
		stayAlive();
		// Node's own disposition is the system's default only when a listener has come and gone.
		try {
			process.once(signal, () => {}).removeAllListeners(signal);
		} catch {}
		process.kill(process.pid, signal);
		return false;
	},

	hangs() {
		stayAlive();
		return false;
	},

	closesItsOutput() {
		stayAlive();
		closeSync(1);
		return false;
	},

	/** And answers what it has read all the same. */
	async closesItsInput() {
		stayAlive();
		await new Promise((resolve) => process.stdin.destroy().once('close', resolve));
		// Node leaves the descriptor itself open.
		closeSync(0);
		// A request that arrived before counts as unread.
		return at === 'spawn' ? false : undefined;
	},

	/** Writes `text` a number of `times`, and then answers; `$id` in it stands for the id of the request. */
	async writes({ text, times = 1, stream = 'stdout' }, message) {
		const piece = text.replaceAll('$id', String(message?.id));
		if (times === null) stayAlive();
		for (let count = 0; times === null || count < times; count++)
			await write(process[stream], piece);
	},

	warns: ({ warning }) => say({ method: 'configWarning', params: warning }),

	/** Answers with a message of its own under the right id, in a line of at least `length` bytes, its end not counted. */
	answersWith({ message, length = 0 }, { id }) {
		const bare = JSON.stringify({ id, ...message, padding: '' });
		say({ id, ...message, padding: 'x'.repeat(Math.max(0, length - bare.length)) });
		return false;
	},
};

const act = (phase, message) => (phase === at ? acts[steps[step]](settings, message) : undefined);

async function pass(gate) {
	if (gate === undefined) return;
	log('waits', { gate });
	while (!existsSync(path.join(directory, gate))) await sleep(5);
}

async function startGrandchild({ holdsPipes, ignoresSigterm, isDetached }) {
	const source = `
		${ignoresSigterm ? "process.on('SIGTERM', () => {});" : ''}
		setInterval(() => {}, 60_000);
		process.send('is up');
		process.disconnect();`;
	const io = holdsPipes ? 'inherit' : 'ignore';
	const options = { stdio: [io, io, io, 'ipc'], detached: isDetached };
	const child = spawn(process.execPath, ['-e', source], options);
	await new Promise((resolve) => child.once('message', resolve));
	child.unref();
	log('grandchild', { grandchild: child.pid });
}

const started = (async () => {
	if (settings.stderr) process.stderr.write(settings.stderr);
	await pass(gates.spawn);
	if (settings.grandchild) await startGrandchild(settings.grandchild);
	return act('spawn');
})();

function resultOf({ method, params }) {
	if (method === 'initialize') return { userAgent: 'scripted/0.0.0' };
	if (method === 'config/read') return { config: settings.config ?? {} };
	if ('result' in settings) return settings.result;
	const page = Number(params.cursor ?? 0);
	const nextCursor = page + 1 < pages.length ? String(page + 1) : lastCursor;
	return { data: pages[page], nextCursor };
}

async function answer(message) {
	const result = resultOf(message);
	await say({ id: message.id, result });
	if (message.method === 'model/list' && result.nextCursor === null) await act('after the answer');
}

let lastAnswer = Promise.resolve();

async function onMessage(message) {
	log('message', { message });
	const { id, method, params } = message;
	if (id === undefined || method === undefined) return;
	if ((await started) === false) return;
	await pass(gates[method]);
	const phase = method === 'model/list' && params.cursor ? 'between pages' : method;
	if ((await act(phase, message)) === false) return;
	// One answer at a time: an act may follow it.
	lastAnswer = lastAnswer.then(() => answer(message));
}

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('error', () => {});
process.stdout.on('error', () => {});
process.stdin.on('data', (chunk) => {
	const lines = (input + chunk).split('\n');
	input = lines.pop();
	for (const line of lines) onMessage(JSON.parse(line));
});
process.stdin.on('end', () => {
	log('end of input');
	act('while being ended');
	if (!ignores.includes('end')) setTimeout(() => process.exit(0), endsAfterMs);
});
if (ignores.includes('end')) stayAlive();

process.on('SIGTERM', () => {
	log('SIGTERM');
	if (ignores.includes('SIGTERM')) return;
	process.removeAllListeners('SIGTERM');
	process.kill(process.pid, 'SIGTERM');
});
