// A `codex app-server` for all that the real one does not do on request.
//
//   node scripted-app-server.js DIRECTORY BEHAVIOUR... [-- ANYTHING]
//
// The first start in DIRECTORY follows the first behaviour, the second the second, and all further ones the last.
// Their settings are an array in DIRECTORY/settings.json. Each knows these, besides its own:
//
//   at             the phase in which it does what it is named for: 'start', 'initialize' or 'model/list'
//   gates          { PHASE: NAME }: before that phase it waits until the file DIRECTORY/NAME is there
//   ignores        the ends that it ignores: 'end' (of input), 'SIGTERM'
//   endsAfterMs    how long it takes to exit after the end of its input
//   models         the entries of its list; or `pages`, arrays of them; or `result`, anything at all
//   config         the configuration that `config/read` answers with
//   stderr         what it writes there at its start; or `stderrAtList`, when it is asked for its models
//
// DIRECTORY/log gets one JSON object a line: { pid, what, … }, of each start, message, signal and end of input.

import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [directory, ...rest] = process.argv.slice(2);
const logFile = path.join(directory, 'log');

function log(what, facts) {
	appendFileSync(
		logFile,
		`${JSON.stringify({ pid: process.pid, at: Date.now(), what, ...facts })}\n`,
	);
}

log('start', { argv: process.argv.slice(2), cwd: process.cwd(), env: process.env });
const starts = readFileSync(logFile, 'utf8').match(/"what":"start"/g).length;

const steps = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
const step = Math.min(starts, steps.length) - 1;
const settings = JSON.parse(readFileSync(path.join(directory, 'settings.json'), 'utf8'))[step];
const { gates = {}, ignores = [], endsAfterMs = 0, models = [] } = settings;

/** The deeds in place of an answer, or besides it, by phase; one that returns false leaves the request unanswered. */
const at = { start() {}, initialize() {}, 'model/list'() {} };
const instead = (phase, act) => {
	at[phase] = async (message) => {
		await act(message);
		return false;
	};
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const stayAlive = () => setInterval(() => {}, 60_000);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

async function pass(gate) {
	if (gate === undefined) return;
	log('waits', { gate });
	while (!existsSync(path.join(directory, gate))) await sleep(5);
}

function answerOf({ id, method, params }) {
	if (method === 'initialize')
		return { id, result: settings.initializeResult ?? { userAgent: 'scripted/0.0.0' } };
	if (method === 'config/read') return { id, result: { config: settings.config ?? {} } };
	if ('result' in settings) return { id, result: settings.result };
	if (!settings.pages) return { id, result: { data: models, nextCursor: null } };
	const page = Number(params.cursor ?? 0);
	const nextCursor = page + 1 < settings.pages.length ? String(page + 1) : null;
	return { id, result: { data: settings.pages[page], nextCursor } };
}

let write = say;
let lastWrite = Promise.resolve();

async function onMessage(message) {
	log('message', { message });
	if (message.id === undefined || message.method === undefined) return;
	if ((await started) === false) return;
	if (message.method === 'model/list' && settings.stderrAtList)
		process.stderr.write(settings.stderrAtList);
	await pass(gates[message.method]);
	if ((await at[message.method]?.(message)) === false) return;
	// One answer at a time: a behaviour may write an answer in pieces.
	lastWrite = lastWrite.then(() => write(answerOf(message)));
	await lastWrite;
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
	if (ignores.includes('end')) return;
	setTimeout(() => process.exit(0), endsAfterMs);
});
if (ignores.includes('end')) stayAlive();

process.on('SIGTERM', () => {
	log('SIGTERM');
	if (ignores.includes('SIGTERM')) return;
	process.removeAllListeners('SIGTERM');
	process.kill(process.pid, 'SIGTERM');
});

const behaviours = {
	/** The deeds of the real app-server, with a list of our own. */
	answers() {},

	exits() {
		instead(settings.at, () => process.exit(settings.code));
	},

	endsBySignal() {
		instead(settings.at, () => {
			stayAlive();
			process.removeAllListeners(settings.signal);
			process.kill(process.pid, settings.signal);
		});
	},

	closesItsOutput() {
		instead(settings.at, () => {
			stayAlive();
			closeSync(1);
		});
	},

	/** And answers what it has read all the same. */
	closesItsInput() {
		at[settings.at] = async () => {
			stayAlive();
			await new Promise((resolve) => process.stdin.destroy().once('close', resolve));
			// Node leaves the descriptor itself open.
			closeSync(0);
		};
	},

	hangs() {
		instead(settings.at, stayAlive);
	},

	/**
	 * Starts a process that outlives it and, where told, `holdsPipes`, `ignoresSigterm`, or `isDetached` in a group of its own.
	 */
	leavesAGrandchild() {
		at.start = async () => {
			const source = `
				${settings.ignoresSigterm ? "process.on('SIGTERM', () => {});" : ''}
				setInterval(() => {}, 60_000);
				process.send('is up');
				process.disconnect();`;
			const io = settings.holdsPipes ? 'inherit' : 'ignore';
			const stdio = [io, io, io, 'ipc'];
			const child = spawn(process.execPath, ['-e', source], {
				stdio,
				detached: settings.isDetached,
			});
			await new Promise((resolve) => child.once('message', resolve));
			child.unref();
			log('grandchild', { grandchild: child.pid });
		};
		if (settings.at) instead(settings.at, () => process.exit(settings.code));
	},

	/** An answer whose line, its end not counted, has `length` bytes. */
	answersInALineOfLength() {
		write = (answer) => {
			if (answer.result.data === undefined) return say(answer);
			const bare = JSON.stringify({ ...answer, padding: '' });
			say({ ...answer, padding: 'x'.repeat(settings.length - bare.length) });
		};
	},

	/** Before the list, `mebibytes` of it. */
	floodsStderr() {
		at['model/list'] = async () => {
			const line = `${'e'.repeat(1023)}\n`.repeat(1024);
			for (let left = settings.mebibytes; left > 0; left--) {
				if (!process.stderr.write(line))
					await new Promise((resolve) => process.stderr.once('drain', resolve));
			}
			log('written');
		};
	},

	/** Answers with the JSON-RPC error, or whatever is there for it. */
	refuses() {
		instead(settings.at, ({ id }) => say({ id, error: settings.error }));
	},

	/** Answers with this message, whatever it is, under the right id. */
	answersWith() {
		instead(settings.at, ({ id }) => say({ id, ...settings.message }));
	},

	/** One act of `faults/misbehave.js`, in any phase. */
	misbehaves() {
		at.start = async () => {
			const { misbehave } = await import('./faults/misbehave.js');
			const writeWith = (other) => {
				write = other;
			};
			return misbehave({ settings, at, say, stayAlive, writeWith });
		};
	},

	warns() {
		at['model/list'] = () => say({ method: 'configWarning', params: settings.warning });
	},

	/** Pages without an end, or that lead back to one. */
	turnsPages() {
		let page = 0;
		instead('model/list', ({ id }) => {
			page++;
			const isLast = page === settings.count;
			const nextCursor = isLast ? (settings.lastCursor ?? null) : String(page);
			say({ id, result: { data: [{ id: `page-${page}` }], nextCursor } });
		});
	},
};

behaviours[steps[step]]();

const started = (async () => {
	if (settings.stderr) process.stderr.write(settings.stderr);
	await pass(gates.start);
	return at.start();
})();
