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

const onBytes = [];
let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('error', () => {});
process.stdout.on('error', () => {});
process.stdin.on('data', (chunk) => {
	for (const act of onBytes) act(chunk);
	const lines = (input + chunk).split('\n');
	input = lines.pop();
	for (const line of lines) {
		if (line.trim() === '') log('blank line');
		else onMessage(JSON.parse(line));
	}
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

	writesHalfALineAndExits() {
		instead(settings.at, ({ id = 1 } = {}) => {
			process.stdout.write(`{"id":${id},"result":{"data":[{"id":"ha`);
			process.exit(settings.code);
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

	/** As 0.66.0 to 0.115.0: of its input only what comes after its words ends it, and nothing where it `isDeaf`. */
	lingers() {
		instead('initialize', () => {
			stayAlive();
			process.stderr.write(settings.words);
			log('written');
			if (!settings.isDeaf) onBytes.push(() => process.exit(1));
		});
	},

	/** Writes a line that looks like the end, takes the hint of a blank line for noise, and answers. */
	survivesItsErrorLine() {
		at.initialize = () =>
			new Promise((resolve) => {
				process.stderr.write(settings.words);
				onBytes.push(resolve);
			});
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

	/** Lines that answer no request, before and after each that does. */
	isNoisy() {
		let calls = 0;
		write = (answer) => {
			const noise = [
				'\u001b[32mWelcome to the launcher!\u001b[0m',
				'',
				'   ',
				'{"id":1,"result":',
				'null',
				'[]',
				`[${JSON.stringify({ id: answer.id, result: { data: [{ id: 'from-an-array' }] } })}]`,
				'"text"',
				'42',
				'{}',
				'{"id":null,"result":{"data":[{"id":"null"}]}}',
				`{"id":"${answer.id}","result":{"data":[{"id":"string-id"}]}}`,
				'{"id":4711,"result":{"data":[{"id":"unknown-id"}]}}',
				'{"id":4711,"error":{"code":-32000,"message":"not yours"}}',
				'{"method":"remoteControl/status/changed","params":{"status":"disabled"}}',
				'{"method":"configWarning"}',
				'{"method":"configWarning","params":{"summary":7}}',
				// The server counts its own requests, so their ids may be those of the client's.
				JSON.stringify({
					id: answer.id,
					method: 'item/tool/call',
					params: {},
					result: { data: [{ id: 'call' }] },
				}),
				JSON.stringify({ id: `call-${++calls}`, method: 'execCommandApproval', params: {} }),
			];
			process.stdout.write(`${noise.join('\n')}\n`);
			say(answer);
			say(answer);
			process.stdout.write('done\n');
		};
	},

	writesCrLf() {
		write = (answer) => process.stdout.write(`${JSON.stringify(answer)}\r\n`);
	},

	writesBytewise() {
		write = async (answer) => {
			for (const byte of Buffer.from(`${JSON.stringify(answer)}\n`)) {
				process.stdout.write(Buffer.of(byte));
				await sleep(0);
			}
		};
	},

	/** Before the answer to `model/list`: `length` bytes, with or without a line's end. */
	writesALongLine() {
		at['model/list'] = async () => {
			const piece = Buffer.alloc(1024 * 1024, 'x');
			for (let left = settings.length; left > 0; left -= piece.length) {
				const isTaken = process.stdout.write(piece.subarray(0, left));
				if (!isTaken) await new Promise((resolve) => process.stdout.once('drain', resolve));
			}
			log('written');
			if (settings.isEnded) process.stdout.write('\n');
			else return false;
		};
	},

	/** An answer whose line, its end not counted, has `length` bytes. */
	answersInALineOfLength() {
		write = (answer) => {
			if (answer.result.data === undefined) return say(answer);
			const bare = JSON.stringify({ ...answer, padding: '' });
			say({ ...answer, padding: 'x'.repeat(settings.length - bare.length) });
		};
	},

	/** An answer of more than `length` bytes, and the exit as soon as the system has taken it. */
	answersAndExits() {
		write = (answer) => {
			if (answer.result.data === undefined) return say(answer);
			const line = `${JSON.stringify({ ...answer, padding: 'x'.repeat(settings.length) })}\n`;
			process.stdout.write(line, () => process.exit(0));
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

	/** Answers for its first list; asked for another, it exits with `code`, refuses with `error`, or hangs. */
	answersOnce() {
		let asked = 0;
		at['model/list'] = ({ id }) => {
			if (++asked === 1) return;
			if ('code' in settings) process.exit(settings.code);
			if ('error' in settings) say({ id, error: settings.error });
			else stayAlive();
			return false;
		};
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
