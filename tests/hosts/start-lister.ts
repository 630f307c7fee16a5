import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { CodexModel } from '../../src/api/codex-model.js';
import type { CatalogEvent } from '../../src/api/events.js';
import type { CodexModelCatalogOptions, ListOptions } from '../../src/api/options.js';
import type { CatalogSnapshot } from '../../src/api/snapshot.js';
import { afterTest, idsOf } from '../harness.js';

const lister = fileURLToPath(new URL('lister.js', import.meta.url));

type Facts = {
	options: Omit<CodexModelCatalogOptions, 'store' | 'onEvent'>;
	/** The directory of its file store. */
	directory?: string;
};

type Message =
	| { what: 'ready' }
	| { what: 'event'; event: CatalogEvent }
	| { what: 'result'; call: number; value: unknown }
	| { what: 'failure'; call: number; code: string; message: string };

/** A process with a catalog of its own (`lister.js`), which is ended after the test. */
export function startLister(facts: Facts) {
	const child = spawn(process.execPath, [lister, JSON.stringify(facts)], {
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	child.stdin.on('error', () => {});
	const messages: Message[] = [];
	const wakers = new Set<() => void>();
	const wake = () => {
		for (const waker of wakers) waker();
	};
	createInterface({ input: child.stdout }).on('line', (line) => {
		messages.push(JSON.parse(line));
		wake();
	});
	let isGone = false;
	const gone = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>(
		(resolve) => {
			child.once('close', (exitCode, signal) => {
				isGone = true;
				resolve({ exitCode, signal });
				wake();
			});
		},
	);
	afterTest(async () => {
		child.kill('SIGKILL');
		await gone;
	});

	/** The nth message that is such, past or to come. */
	const find = <T extends Message>(isIt: (message: Message) => message is T, count = 1) =>
		new Promise<T>((resolve, reject) => {
			const waker = () => {
				const found = messages.filter(isIt)[count - 1];
				if (!found && !isGone) return;
				wakers.delete(waker);
				if (found) resolve(found);
				else reject(new Error('The host ended before'));
			};
			wakers.add(waker);
			waker();
		});

	let calls = 0;
	const call = async (method: string, argument?: unknown): Promise<unknown> => {
		const index = calls++;
		child.stdin.write(
			`${JSON.stringify(argument === undefined ? [method] : [method, argument])}\n`,
		);
		const answer = await find(
			(message): message is Extract<Message, { call: number }> =>
				'call' in message && message.call === index,
		);
		if (answer.what === 'failure')
			throw Object.assign(new Error(answer.message), { code: answer.code });
		return answer.value;
	};
	type EventOf<T extends CatalogEvent['type']> = Extract<CatalogEvent, { type: T }>;
	return {
		untilReady: () => find((message): message is { what: 'ready' } => message.what === 'ready'),
		gone,
		list: (options?: ListOptions) =>
			call('list', options).then((models) => idsOf(models as CodexModel[])),
		peek: () => call('peek') as Promise<CatalogSnapshot>,
		close: () => call('close'),
		/** Resolves when a call of its own has failed for want of time: whatever it does at once, it has done. */
		failsSoon: (options?: ListOptions) =>
			call('list', { ...options, deadlineMs: 50 }).then(
				() => Promise.reject(new Error('There is a list already')),
				({ code }) => (code === 'ERR_CODEX_TIMEOUT' ? undefined : Promise.reject(new Error(code))),
			),
		/** It has nothing more to do, and may end when it is done. */
		leave: () => child.stdin.end(),
		kill: (signal: NodeJS.Signals) => child.kill(signal),
		get events(): CatalogEvent[] {
			return messages.flatMap((message) => (message.what === 'event' ? message.event : []));
		},
		count: (type: CatalogEvent['type']) =>
			messages.filter((message) => message.what === 'event' && message.event.type === type).length,
		nth: <T extends CatalogEvent['type']>(type: T, count = 1) =>
			find(
				(message): message is { what: 'event'; event: EventOf<T> } =>
					message.what === 'event' && message.event.type === type,
				count,
			).then(({ event }) => event),
	};
}

export type Lister = ReturnType<typeof startLister>;
