import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
	clock,
	exitError,
	limits,
	makeHostCatalog,
	recordUnhandledRejections,
	settle,
} from './harness.js';

const { lookIntervalMs } = limits;

// The catalog against a model of its promises, driven by random operations.

const maxAgeMs = 10_000;
const cooldownMs = 5_000;
const servableMs = maxAgeMs + 50_000;
const steps = [
	100,
	lookIntervalMs,
	cooldownMs,
	maxAgeMs - 1,
	maxAgeMs,
	servableMs,
	-1_000,
	-servableMs,
];

type Outcome = 'list' | 'same list' | 'empty' | 'failure';
type Operation = { do: string; ms?: number; outcome?: Outcome };

const plain = (...names: string[]) =>
	fc.constantFrom(...names.map((name): Operation => ({ do: name })));
const outcomes = fc.constantFrom<Outcome>('list', 'list', 'list', 'same list', 'empty', 'failure');
const operation: fc.Arbitrary<Operation> = fc.oneof(
	{ weight: 8, arbitrary: plain('list') },
	{ weight: 4, arbitrary: plain('refresh', 'abort') },
	{ weight: 3, arbitrary: plain('log in', 'configure') },
	{ weight: 1, arbitrary: plain('clear') },
	{ weight: 4, arbitrary: fc.constantFrom(...steps).map((ms) => ({ do: 'advance', ms })) },
	{ weight: 8, arbitrary: outcomes.map((outcome) => ({ do: 'answer', outcome })) },
);

/** The outcome of a call; 'pending' until then. */
type Caller = { abort(): void; result: unknown; expected: unknown };
type Known = {
	ids: string[];
	fetchedAt: number;
	config: number;
	isCurrent: boolean;
	failedAt: number;
	failure?: Outcome;
};
type Fetch = { login: number; callers: Caller[]; isForgotten: boolean; files: number };

class Drive {
	readonly #made = makeHostCatalog({
		deadlineMs: Number.POSITIVE_INFINITY,
		fetchTimeoutMs: 2_147_483_647,
		maxAgeMs,
		staleWhileRevalidateMs: servableMs - maxAgeMs,
		cooldownMs,
	});
	readonly #heard = this.#made.record().heard;
	readonly #callers: Caller[] = [];
	readonly #known = new Map<number, Known>();
	/** Under way, the oldest first: only the first one is asked. */
	#fetches: Fetch[] = [];
	#login = 0;
	#config = 0;
	/** Counts the changes of files. */
	#files = 0;
	#looked = { login: Number.NaN, at: Number.NaN };
	#view = 'undefined';
	#views = 0;
	#lists = 0;
	#answered = 0;

	async run(operations: Operation[]): Promise<void> {
		clock.setAge(0);
		this.#change(1, 1);
		for (const one of operations) {
			await this.#perform(one);
			await settle();
			this.#compare();
		}
		await this.#made.catalog.close();
		await settle();
		for (const caller of this.#callers)
			if (caller.expected === 'pending') caller.expected = 'ERR_CODEX_CLOSED';
		expect(this.#callers.map(({ result }) => result)).toEqual(
			this.#callers.map(({ expected }) => expected),
		);
	}

	async #perform({ do: name, ms = 0, outcome = 'list' }: Operation): Promise<void> {
		if (name === 'list' || name === 'refresh') this.#call(name === 'refresh');
		if (name === 'advance') clock.advance(ms);
		if (name === 'answer' && this.#fetches.length > 0) await this.#answer(outcome);
		if (name === 'log in') this.#change(1 - this.#login, this.#config);
		if (name === 'configure') this.#change(this.#login, this.#config + 1);
		if (name === 'abort') this.#abort();
		if (name === 'clear') {
			this.#made.catalog.clear();
			this.#known.clear();
			for (const fetch of this.#fetches) fetch.isForgotten = true;
			this.#notify();
		}
	}

	/** Writes the files, and lets the time pass until they are looked at. */
	#change(login: number, config: number): void {
		if (login !== this.#login) this.#made.home.logIn(`key-${login}`);
		if (config !== this.#config) this.#made.home.write('config.toml', `model = "${config}"`);
		this.#login = login;
		this.#config = config;
		this.#files++;
		clock.advance(lookIntervalMs);
	}

	#call(refresh: boolean): void {
		const controller = new AbortController();
		const caller: Caller = {
			abort: () => controller.abort(),
			result: 'pending',
			expected: 'pending',
		};
		const note = (result: unknown) => {
			caller.result = result;
		};
		this.#made
			.ids({ refresh, signal: controller.signal })
			.then(note, ({ name, code }) => note(name === 'AbortError' ? 'aborted' : code));
		this.#callers.push(caller);
		const sinceLook = Date.now() - this.#looked.at;
		if (!(sinceLook >= 0 && sinceLook < lookIntervalMs)) {
			this.#looked = { login: this.#login, at: Date.now() };
			const known = this.#known.get(this.#login);
			if (known) known.isCurrent = known.config === this.#config;
			this.#notify();
		}
		const known = refresh ? undefined : this.#findServable();
		caller.expected = known?.ids ?? 'pending';
		if (!known) this.#join().callers.push(caller);
		else if (!this.#isFresh(known) && !this.#isCoolingDown(known)) this.#join();
	}

	#isFresh({ fetchedAt, isCurrent }: Known): boolean {
		const age = Date.now() - fetchedAt;
		return isCurrent && age >= 0 && age < maxAgeMs;
	}

	#isCoolingDown({ failedAt }: Known): boolean {
		return Date.now() >= failedAt && Date.now() - failedAt < cooldownMs;
	}

	#findServable(): Known | undefined {
		const known = this.#known.get(this.#looked.login);
		return known && Date.now() - known.fetchedAt < servableMs ? known : undefined;
	}

	#join(): Fetch {
		const { login } = this.#looked;
		const underWay = this.#fetches.find((fetch) => fetch.login === login && !fetch.isForgotten);
		if (underWay) return underWay;
		const fetch = { login, callers: [], isForgotten: false, files: this.#files };
		this.#fetches.push(fetch);
		return fetch;
	}

	/** The last caller that waits leaves; the fetch goes on. */
	#abort(): void {
		const caller = this.#callers.findLast(({ expected }) => expected === 'pending');
		if (caller) caller.expected = 'aborted';
		caller?.abort();
	}

	async #answer(outcome: Outcome): Promise<void> {
		const [{ login, callers, isForgotten, files } = this.#join()] = this.#fetches;
		const fetch = await this.#made.fetch(++this.#answered);
		if (outcome === 'list') this.#lists++;
		const ids = outcome === 'list' || outcome === 'same list' ? [`list-${this.#lists}`] : [];
		if (outcome === 'failure') fetch.fail(exitError());
		else fetch.succeed(ids);
		await settle();
		this.#fetches.shift();
		// The next one has looked at the files now.
		for (const next of this.#fetches.slice(0, 1)) next.files = this.#files;
		const result = outcome === 'failure' ? 'ERR_CODEX_EXITED' : ids;
		for (const caller of callers) if (caller.expected === 'pending') caller.expected = result;
		const known = isForgotten ? undefined : this.#known.get(login);
		if (known && ids.length === 0) Object.assign(known, { failedAt: Date.now(), failure: outcome });
		if (!isForgotten && ids.length > 0 && files === this.#files && login === this.#login) {
			const list = { ids, fetchedAt: Date.now(), config: this.#config, isCurrent: true };
			this.#known.set(login, { ...list, failedAt: Number.NaN });
		}
		this.#notify();
	}

	/** A subscriber hears of the view if it differs from the last one. */
	#notify(): void {
		const known = this.#findServable();
		const view = known
			? JSON.stringify([this.#looked.login, known.ids, known.failure])
			: 'undefined';
		if (view !== this.#view) this.#views++;
		this.#view = view;
	}

	#compare(): void {
		expect(this.#callers.map(({ result }) => result)).toEqual(
			this.#callers.map(({ expected }) => expected),
		);
		const known = this.#findServable();
		expect(this.#made.peekIds()).toEqual(known?.ids);
		expect(this.#made.catalog.peek()?.isFresh).toBe(known && this.#isFresh(known));
		expect(this.#made.catalog.peek()?.refreshError != null).toBe(known?.failure !== undefined);
		expect(this.#heard).toHaveLength(this.#views);
		expect(this.#made.fetches).toHaveLength(this.#answered + Math.min(1, this.#fetches.length));
	}
}

test('any sequence of calls, aborts, answers, changes of files, clock changes and clear() keeps the promises', async () => {
	const unhandled = recordUnhandledRejections();
	let answers = 0;
	const sequences = fc.array(operation, { minLength: 5, maxLength: 40 });
	const run = async (operations: Operation[]) => {
		answers += operations.filter((one) => one.do === 'answer').length;
		await new Drive().run(operations);
	};
	await fc.assert(fc.asyncProperty(sequences, run), {
		seed: 20_261_123,
		numRuns: 100,
		endOnFailure: true,
	});
	expect(answers).toBeGreaterThan(200);
	expect(unhandled).toEqual([]);
});
