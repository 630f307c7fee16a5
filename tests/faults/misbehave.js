// The misbehaviour of an app-server: settings.act in settings.phase.
//
//   'spawn'               before it has read anything
//   'initialize', 'model/list', 'config/read', 'between pages' (the second page)
//                         in place of that answer, or before it
//   'after the answer'    when the list is written
//   'while being ended'   at the end of its input, which alone does not end it

import { closeSync } from 'node:fs';

const write = (stream, data) => new Promise((resolve) => stream.write(data, resolve));

/** Each returns false where the answer does not follow. */
const acts = {
	async exits({ code = 0, words = '', half = '' }) {
		if (words) await write(process.stderr, words);
		if (half) await write(process.stdout, half);
		process.exit(code);
	},

	endsBySignal({ signal }, { stayAlive }) {
		stayAlive();
		// Node's own disposition is the system's default only when a listener has come and gone.
		try {
			process.once(signal, () => {}).removeAllListeners(signal);
		} catch {}
		process.kill(process.pid, signal);
		return false;
	},

	hangs(_, { stayAlive }) {
		stayAlive();
		return false;
	},

	closesItsOutput(_, { stayAlive }) {
		stayAlive();
		closeSync(1);
		return false;
	},

	/** And answers what it has read all the same. */
	async closesItsInput({ phase }, { stayAlive }) {
		stayAlive();
		await new Promise((resolve) => process.stdin.destroy().once('close', resolve));
		// Node leaves the descriptor itself open.
		closeSync(0);
		// A request that arrived before counts as unread.
		return phase === 'spawn' ? false : undefined;
	},

	/** Writes `text` a number of `times`, and then answers; `$id` in it stands for the id of the request. */
	async writes({ text, times = 1 }, { stayAlive }, message) {
		const piece = text.replaceAll('$id', String(message?.id));
		if (times === null) stayAlive();
		for (let count = 0; times === null || count < times; count++)
			await write(process.stdout, piece);
	},

	/** A message of its own under the right id, in a line of more than `length` bytes. */
	answersWith({ message: own, length = 0 }, { say }, { id }) {
		say({ id, ...own, padding: 'x'.repeat(length) });
		return false;
	},
};

export async function misbehave(app) {
	const { settings, at, writeWith } = app;
	const { phase } = settings;
	const act = (message) => acts[settings.act](settings, app, message);

	if (phase === 'spawn') return act();
	if (/^(?:initialize|model\/list|config\/read)$/.test(phase)) at[phase] = act;
	if (phase === 'between pages') {
		at['model/list'] = (message) =>
			message.params.cursor === undefined ? undefined : act(message);
	}
	if (phase === 'after the answer') {
		writeWith(async (answer) => {
			await write(process.stdout, `${JSON.stringify(answer)}\n`);
			if (answer.result.nextCursor === null) await act();
		});
	}
	if (phase === 'while being ended') process.stdin.once('end', () => act());
	return undefined;
}
