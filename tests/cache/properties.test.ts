import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type { CatalogSnapshot } from '../../src/cache/model-list.js';
import { countUnhandledRejections, makeCache } from './cache-harness.js';
import { exitError, idsOf, settle, stopClock } from './fakes.js';

// The cache against a model of its contract, driven by random operations.

const maxAgeMs = 10_000;
const staleWhileRevalidateMs = 50_000;
const cooldownMs = 5_000;
const checkIntervalMs = 1_000;
const servableMs = maxAgeMs + staleWhileRevalidateMs;

type Outcome = 'list' | 'same list' | 'empty' | 'failure';

type PlainName = 'list' | 'refresh' | 'clear' | 'close' | 'abort' | 'log in' | 'configure';

type Operation =
	| { do: PlainName }
	| { do: 'advance'; ms: number }
	| { do: 'answer'; outcome: Outcome };

const plain = (...names: PlainName[]) =>
	fc.constantFrom(...names).map((name): Operation => ({ do: name }));

const operation: fc.Arbitrary<Operation> = fc.oneof(
	{ weight: 8, arbitrary: plain('list') },
	{ weight: 4, arbitrary: plain('refresh', 'abort') },
	{ weight: 3, arbitrary: plain('log in', 'configure') },
	{ weight: 1, arbitrary: plain('clear') },
	{
		weight: 4,
		arbitrary: fc
			.constantFrom(
				100,
				checkIntervalMs,
				cooldownMs,
				maxAgeMs - 1,
				maxAgeMs,
				servableMs,
				-1_000,
				-servableMs,
			)
			.map((ms): Operation => ({ do: 'advance', ms })),
	},
	{
		weight: 8,
		arbitrary: fc
			.constantFrom<Outcome>('list', 'list', 'list', 'same list', 'empty', 'failure')
			.map((outcome): Operation => ({ do: 'answer', outcome })),
	},
);

/** The outcome of a call; 'pending' until then. */
type Result = string | string[];
type Caller = { abort(): void; result: Result; settled: Promise<unknown>; expected: Result };
type Fetch = { account: string; configuration: string; callers: Caller[]; isForgotten: boolean };
type Known = { ids: string[]; fetchedAt: number; configuration: string; failedAt?: number };

/** The cache, and beside it the promises of the contract in few words. */
class Drive {
	readonly #made = makeCache({
		deadlineMs: Number.POSITIVE_INFINITY,
		fetchTimeoutMs: 2_147_483_647,
		maxAgeMs,
		staleWhileRevalidateMs,
		cooldownMs,
	});
	readonly #heard: CatalogSnapshot[] = [];
	readonly #callers: Caller[] = [];
	readonly #known = new Map<string, Known>();
	readonly #joinable = new Map<string, Fetch>();
	/** Under way, the oldest first: only the first one may have an app-server. */
	#fetches: Fetch[] = [];
	#looked: { account: string; configuration: string; at: number } | undefined;
	#view: unknown;
	#views = 0;
	#isClosed = false;
	#answered = 0;
	#started = 0;
	#version = 0;
	#files = 0;

	async run(operations: Operation[]): Promise<void> {
		this.#made.subscribe((snapshot) => this.#heard.push(snapshot));
		for (const one of [...operations, { do: 'close' } as const, { do: 'list' } as const]) {
			if (one.do === 'list' || one.do === 'refresh') await this.#call(one.do === 'refresh');
			if (one.do === 'abort') this.#abort();
			if (one.do === 'advance') vi.setSystemTime(Date.now() + one.ms);
			if (one.do === 'answer') await this.#answer(one.outcome);
			if (one.do === 'log in') this.#made.files.change({ account: `account-${++this.#files % 2}` });
			if (one.do === 'configure')
				this.#made.files.change({ configuration: `configuration-${++this.#files % 3}` });
			if (one.do === 'clear') this.#clear();
			if (one.do === 'close') await this.#close();
			await settle();
			this.#compare();
		}
		expect(this.#callers.map(({ result }) => result)).not.toContain('pending');
	}

	async #call(refresh: boolean): Promise<void> {
		const controller = new AbortController();
		const caller: Caller = {
			abort: () => controller.abort(),
			result: 'pending',
			settled: Promise.resolve(),
			expected: 'pending',
		};
		caller.settled = this.#made.ids({ refresh, signal: controller.signal }).then(
			(ids) => {
				caller.result = ids;
			},
			(error) => {
				caller.result = error.name === 'AbortError' ? 'aborted' : error.code;
			},
		);
		this.#callers.push(caller);
		await settle();
		if (this.#isClosed) caller.expected = 'ERR_CODEX_CLOSED';
		else this.#expect(caller, refresh, Date.now());
	}

	#expect(caller: Caller, refresh: boolean, now: number): void {
		const sinceLookMs = now - (this.#looked?.at ?? Number.NaN);
		const isLookDue = !(sinceLookMs >= 0 && sinceLookMs < checkIntervalMs);
		if (isLookDue || refresh || !this.#findServable(now)) {
			this.#look(now);
			this.#notify(now);
		}
		const known = this.#findServable(now);
		if (refresh || !known) {
			this.#join().callers.push(caller);
			return;
		}
		caller.expected = known.ids;
		const age = now - known.fetchedAt;
		const isFresh =
			age >= 0 && age < maxAgeMs && known.configuration === this.#looked?.configuration;
		const sinceFailure = now - (known.failedAt ?? Number.NaN);
		const isCooling = sinceFailure >= 0 && sinceFailure < cooldownMs;
		if (!isFresh && !isCooling) this.#join();
	}

	#look(now: number): void {
		const { account, configuration } = this.#made.files.current;
		this.#looked = { account, configuration, at: now };
	}

	#findServable(now: number): Known | undefined {
		const known = this.#looked && this.#known.get(this.#looked.account);
		return known && now - known.fetchedAt < servableMs ? known : undefined;
	}

	/** The subscriber hears of the view if it differs from the last one. */
	#notify(now: number): void {
		const known = this.#findServable(now);
		const view =
			known &&
			JSON.stringify([known.ids, known.failedAt !== undefined && this.#failureOf.get(known)]);
		if (!view || view === this.#view) return;
		this.#view = view;
		this.#views++;
	}

	readonly #failureOf = new Map<Known, string>();

	#join(): Fetch {
		const { account, configuration } = this.#looked as { account: string; configuration: string };
		const underWay = this.#joinable.get(account);
		if (underWay) return underWay;
		const fetch = { account, configuration, callers: [], isForgotten: false };
		this.#joinable.set(account, fetch);
		this.#fetches.push(fetch);
		return fetch;
	}

	/** The last caller that waits leaves; the fetch goes on. */
	#abort(): void {
		const caller = this.#callers.findLast(({ expected }) => expected === 'pending');
		if (!caller) return;
		caller.expected = 'aborted';
		caller.abort();
	}

	async #answer(outcome: Outcome): Promise<void> {
		const fetch = this.#fetches.shift();
		if (!fetch) return;
		const fake = await this.#made.fetches.nth(++this.#answered);
		expect(fake.context.fingerprint).toMatchObject({
			account: fetch.account,
			configuration: fetch.configuration,
		});
		if (outcome === 'list') this.#version++;
		const ids = outcome === 'list' || outcome === 'same list' ? [`version-${this.#version}`] : [];
		if (outcome === 'failure') fake.fail(exitError());
		else fake.succeed(ids);
		await settle();

		const now = Date.now();
		if (this.#joinable.get(fetch.account) === fetch) this.#joinable.delete(fetch.account);
		for (const caller of fetch.callers) {
			if (caller.expected === 'pending')
				caller.expected = outcome === 'failure' ? 'ERR_CODEX_EXITED' : ids;
		}
		if (outcome !== 'failure') this.#look(now);
		const known = this.#known.get(fetch.account);
		if (!fetch.isForgotten && ids.length === 0 && known) {
			known.failedAt = now;
			this.#failureOf.set(known, outcome);
		}
		if (!fetch.isForgotten && ids.length > 0 && this.#looked?.account === fetch.account) {
			this.#known.set(fetch.account, { ids, fetchedAt: now, configuration: fetch.configuration });
		}
		this.#notify(now);
	}

	#clear(): void {
		this.#made.clear();
		this.#known.clear();
		this.#joinable.clear();
		for (const fetch of this.#fetches) fetch.isForgotten = true;
	}

	async #close(): Promise<void> {
		await this.#made.close();
		this.#isClosed = true;
		this.#known.clear();
		for (const { callers } of this.#fetches.splice(0)) {
			for (const caller of callers) {
				if (caller.expected === 'pending') caller.expected = 'ERR_CODEX_CLOSED';
			}
		}
		this.#started = this.#made.fetches.count;
	}

	#compare(): void {
		expect(this.#callers.map(({ result }) => result)).toEqual(
			this.#callers.map(({ expected }) => expected),
		);
		const known = this.#findServable(Date.now());
		expect(this.#made.peekIds()).toEqual(known?.ids);
		if (known) expect(this.#made.peek()?.refreshError !== null).toBe(known.failedAt !== undefined);
		expect(this.#heard.map(({ models }) => idsOf(models))).toHaveLength(this.#views);
		const underWay = Math.min(1, this.#fetches.length);
		expect(this.#made.fetches.count).toBe(
			this.#isClosed ? this.#started : this.#answered + underWay,
		);
	}
}

test('any sequence of calls, aborts, outcomes, logins, clock changes and clear() keeps the contract', async () => {
	const unhandled = countUnhandledRejections();
	let answers = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40 }), async (operations) => {
			stopClock();
			answers += operations.filter((one) => one.do === 'answer').length;
			await new Drive().run(operations);
			vi.useRealTimers();
		}),
		{ seed: 20_261_123, numRuns: 200, endOnFailure: false },
	);
	expect(answers).toBeGreaterThan(400);
	expect(unhandled).toEqual([]);
}, 20_000);
