import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import { countUnhandledRejections, makeCache } from './cache-harness.js';
import { exitError, makeFiles, makeGate, pass, settle, stopClock } from './fakes.js';

// Two processes that share a store, whose operations end in any order, against rules that always hold.

type Step =
	| { do: 'list' | 'refresh' | 'clear' | 'fail' | 'log in' | 'time' }
	| { do: 'answer'; nth: number }
	| { do: 'store'; nth: number; how: 'succeeds' | 'rejects' };

const step: fc.Arbitrary<[process: number, step: Step]> = fc.tuple(
	fc.constantFrom(0, 1),
	fc.oneof(
		{
			weight: 6,
			arbitrary: fc.constantFrom<Step>({ do: 'list' }, { do: 'list' }, { do: 'refresh' }),
		},
		{
			weight: 2,
			arbitrary: fc.constantFrom<Step>({ do: 'clear' }, { do: 'log in' }, { do: 'fail' }),
		},
		{ weight: 3, arbitrary: fc.constant<Step>({ do: 'time' }) },
		{ weight: 5, arbitrary: fc.nat(3).map((nth): Step => ({ do: 'answer', nth })) },
		{
			weight: 8,
			arbitrary: fc
				.tuple(fc.nat(3), fc.constantFrom('succeeds', 'succeeds', 'succeeds', 'rejects'))
				.map(([nth, how]): Step => ({ do: 'store', nth, how })),
		},
	),
);

/** A store in memory whose operations wait for a test, and whose lock is exclusive. */
function makeSlowStore() {
	const map = new Map<string, unknown>();
	const pending: { succeed(): void; reject(): void }[] = [];
	const holders = new Set<string>();
	const waiting: (() => void)[] = [];
	const later = <T>(act: () => T) => {
		const gate = makeGate<T>();
		pending.push({
			succeed: () => gate.open(act()),
			reject: () => gate.fail(new Error('of the store')),
		});
		return gate.opened;
	};
	const grant = () => {
		for (const tryAgain of waiting.splice(0)) tryAgain();
	};
	const store: ModelListStore = {
		get: (key) => later(() => map.get(key)),
		set: (key, value) => later(() => map.set(key, structuredClone(value))),
		delete: (key) => later(() => map.delete(key)),
		lock: (key, signal) =>
			new Promise((resolve, reject) => {
				signal.addEventListener('abort', () => reject(signal.reason), { once: true });
				const tryToHold = () => {
					if (signal.aborted) return;
					if (holders.has(key)) {
						waiting.push(tryToHold);
						return;
					}
					holders.add(key);
					resolve(() => {
						holders.delete(key);
						grant();
					});
				};
				tryToHold();
			}),
	};
	return { store, map, pending, holders };
}

async function drive(steps: [number, Step][], withLock: boolean): Promise<number> {
	const { store, pending, holders } = makeSlowStore();
	const { get, set, delete: remove, lock } = store;
	const given = withLock ? { get, set, delete: remove, lock } : { get, set, delete: remove };
	const files = makeFiles();
	const options = {
		store: given as ModelListStore,
		maxAgeMs: 2_000,
		staleWhileRevalidateMs: 5_000,
		cooldownMs: 500,
	};
	const caches = [makeCache(options, { files }), makeCache(options, { files })];
	const calls: Promise<unknown>[] = [];
	/** Times are numbers of steps. */
	let clock = 0;
	const clearedAt = [-1, -1];
	const startedAt = new Map<object, number>();
	const ended = new Set<object>();
	const answers = new Map<
		string,
		{ account: string; process: number; startedAt: number; answeredAt: number }
	>();
	let served = 0;

	const call = (process: number, refresh: boolean) => {
		const { account } = files.current;
		const [calledAt, forgottenAt] = [clock, clearedAt[process] as number];
		const check = ([id]: string[]) => {
			served++;
			const answer = answers.get(id as string);
			if (!answer) throw new Error(`No app-server answered ${id}`);
			if (refresh) expect(answer.answeredAt).toBeGreaterThanOrEqual(calledAt);
			expect(answer.account).toBe(account);
			expect(answer.answeredAt).toBeGreaterThanOrEqual(forgottenAt);
			if (answer.process === process) expect(answer.startedAt).toBeGreaterThanOrEqual(forgottenAt);
		};
		const list = caches[process]?.ids({ refresh, deadlineMs: 8_000 }).then(check, ({ code }) => {
			expect(['ERR_CODEX_EXITED', 'ERR_CODEX_TIMEOUT']).toContain(code);
		});
		calls.push(list as Promise<void>);
		list?.catch(() => {});
	};

	const fetchesUnderWay = () =>
		caches.flatMap((made, process) =>
			made.fetches.all.filter((fetch) => !ended.has(fetch)).map((fetch) => ({ fetch, process })),
		);

	const succeed = (nth: number) => {
		const { fetch, process } = fetchesUnderWay()[nth] ?? {};
		if (!fetch || process === undefined) return;
		ended.add(fetch);
		const { account } = fetch.context.fingerprint;
		const id = `${account} ${answers.size}`;
		answers.set(id, {
			account,
			process,
			startedAt: startedAt.get(fetch) ?? clock,
			answeredAt: clock,
		});
		fetch.succeed([id]);
	};

	const perform = async (process: number, one: Step): Promise<void> => {
		if (one.do === 'list' || one.do === 'refresh') call(process, one.do === 'refresh');
		if (one.do === 'clear') {
			clearedAt[process] = clock;
			caches[process]?.clear();
		}
		if (one.do === 'log in') {
			files.change({ account: files.current.account === 'one' ? 'two' : 'one' });
			// Until the next look at the files, the account of before counts.
			await pass(1_000);
		}
		if (one.do === 'time') await pass(700);
		if (one.do === 'answer') succeed(one.nth);
		if (one.do === 'fail') {
			const { fetch } = fetchesUnderWay()[0] ?? {};
			if (fetch) ended.add(fetch);
			fetch?.fail(exitError());
		}
		if (one.do === 'store') {
			const [operation] = pending.splice(one.nth, 1);
			if (one.how === 'rejects') operation?.reject();
			else operation?.succeed();
		}
		await settle();
		// Answers of one millisecond are as old as each other.
		await pass(2);
		clock++;
		for (const { fetch } of fetchesUnderWay()) {
			if (!startedAt.has(fetch)) startedAt.set(fetch, clock);
			if (fetch.context.signal.aborted) ended.add(fetch);
		}
		// With a lock, all processes share one fetch of an account; without it, each process has one of a target.
		const places = fetchesUnderWay().map(({ fetch, process }) =>
			withLock ? fetch.context.fingerprint.account : process,
		);
		expect(new Set(places).size).toBe(places.length);
	};

	for (const [process, one] of steps) await perform(process, one);
	// The end: every store operation and every fetch comes to its end, and so does every call.
	await Promise.all([
		Promise.all(calls),
		(async () => {
			for (let round = 0; round < 12; round++) {
				await pass(1_000);
				for (const { succeed: end } of pending.splice(0)) end();
				await settle();
				await perform(0, { do: 'answer', nth: 0 });
				await settle();
			}
		})(),
	]);
	await Promise.all([
		...caches.map((made) => made.close()),
		settle().then(() => {
			for (const { succeed: end } of pending.splice(0)) end();
			return pass(3_000);
		}),
	]);
	await settle();
	expect(holders.size).toBe(0);
	expect(vi.getTimerCount()).toBe(0);
	return served;
}

test.each([true, false])(
	'processes that share a slow store keep to its rules, and end every call (with a lock: %s)',
	async (withLock) => {
		const unhandled = countUnhandledRejections();
		let served = 0;
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
				stopClock();
				served += await drive(steps, withLock);
				vi.useRealTimers();
			}),
			{ seed: 20_261_123, numRuns: 100, endOnFailure: true },
		);
		expect(served).toBeGreaterThan(100);
		expect(unhandled).toEqual([]);
	},
	20_000,
);
