import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clock, exitError, makeHostCatalog, settle } from './harness.js';

// The catalog against a model of its promises, driven by random operations.

const [lookIntervalMs, cooldownMs, maxAgeMs, servableMs] = [1_000, 5_000, 10_000, 60_000];
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

const plain = (...names: string[]) => fc.constantFrom(...names.map((name) => ({ do: name })));
const outcomes = fc.constantFrom<Outcome>('list', 'list', 'list', 'same list', 'empty', 'failure');
const operation: fc.Arbitrary<Operation> = fc.oneof(
	{ weight: 8, arbitrary: plain('list') },
	{ weight: 4, arbitrary: plain('refresh', 'abort') },
	{ weight: 3, arbitrary: plain('log in', 'configure') },
	{ weight: 1, arbitrary: plain('clear') },
	{ weight: 4, arbitrary: fc.constantFrom(...steps).map((ms) => ({ do: 'advance', ms })) },
	{ weight: 8, arbitrary: outcomes.map((outcome) => ({ do: 'answer', outcome })) },
);

type Caller = { abort(): void; result: unknown; expected: unknown };
type State = { isCurrent: boolean; failedAt: number; failure?: Outcome };
type Known = State & { ids: string[]; fetchedAt: number; config: number };
type Fetch = { login: number; callers: Caller[]; isForgotten: boolean; files: number };

const isWithin = (since: number, ms: number) => Date.now() >= since && Date.now() - since < ms;

function makeDrive() {
	const made = makeHostCatalog({
		deadlineMs: Number.POSITIVE_INFINITY,
		fetchTimeoutMs: 2_147_483_647,
		maxAgeMs,
		staleWhileRevalidateMs: servableMs - maxAgeMs,
		cooldownMs,
	});
	const { heard } = made.record();
	const callers: Caller[] = [];
	const lists = new Map<number, Known>();
	/** Under way, the oldest first: only the first one is asked. */
	const fetches: Fetch[] = [];
	/** `version` counts the changes of files. */
	const files = { login: 0, config: 0, version: 0 };
	const looked = { login: Number.NaN, at: Number.NaN };
	let view = 'undefined';
	let [views, listCount, answered] = [0, 0, 0];

	const isFresh = ({ fetchedAt, isCurrent }: Known) => isCurrent && isWithin(fetchedAt, maxAgeMs);

	function findServable(): Known | undefined {
		const known = lists.get(looked.login);
		return known && Date.now() - known.fetchedAt < servableMs ? known : undefined;
	}

	/** A subscriber hears of the view if it differs from the last one. */
	function notify(): void {
		const known = findServable();
		const next = String(known && [looked.login, known.ids, known.failure]);
		if (next !== view) views++;
		view = next;
	}

	function join(): Fetch {
		const { login } = looked;
		const underWay = fetches.find((fetch) => fetch.login === login && !fetch.isForgotten);
		if (underWay) return underWay;
		const fetch = { login, callers: [], isForgotten: false, files: files.version };
		fetches.push(fetch);
		return fetch;
	}

	/** Writes a file, and lets the time pass until it is looked at. */
	function change(login: number, config: number): void {
		if (login !== files.login) made.home.logIn(`key-${login}`);
		if (config !== files.config) made.home.write('config.toml', `model = "${config}"`);
		Object.assign(files, { login, config, version: files.version + 1 });
		clock.advance(lookIntervalMs);
	}

	function call(refresh: boolean): void {
		const controller = new AbortController();
		const caller: Caller = {
			abort: () => controller.abort(),
			result: 'pending',
			expected: 'pending',
		};
		const note = (result: unknown) => {
			caller.result = result;
		};
		const fail = ({ name, code }: { name: string; code: string }) =>
			note(name === 'AbortError' ? 'aborted' : code);
		made.ids({ refresh, signal: controller.signal }).then(note, fail);
		callers.push(caller);
		const isKnown = lists.has(looked.login) || fetches.some(({ isForgotten }) => !isForgotten);
		if (!isKnown || !isWithin(looked.at, lookIntervalMs)) {
			if (looked.login !== files.login) changeLogin();
			Object.assign(looked, { login: files.login, at: Date.now() });
			const known = lists.get(files.login);
			if (known) known.isCurrent = known.config === files.config;
			notify();
		}
		const known = refresh ? undefined : findServable();
		caller.expected = known?.ids ?? 'pending';
		if (!known) join().callers.push(caller);
		else if (!isFresh(known) && !isWithin(known.failedAt, cooldownMs)) join();
	}

	/** The last caller that waits leaves; the fetch goes on. */
	function abort(): void {
		const caller = callers.findLast(({ expected }) => expected === 'pending');
		if (caller) caller.expected = 'aborted';
		caller?.abort();
	}

	/** The list and the fetch of a login go with it; the list, without its failure, comes back with it. */
	function changeLogin(): void {
		for (const fetch of fetches) fetch.isForgotten = true;
		for (const list of lists.values())
			Object.assign(list, { failedAt: Number.NaN, failure: undefined });
		if (view !== 'undefined') views++;
		view = 'undefined';
	}

	function clear(): void {
		made.catalog.clear();
		// A list of the same millisecond counts as one from before.
		clock.advance(1);
		lists.clear();
		for (const fetch of fetches) fetch.isForgotten = true;
		notify();
	}

	async function answer(outcome: Outcome): Promise<void> {
		const [asked, next] = fetches;
		if (!asked) return;
		const { login, isForgotten } = asked;
		if (outcome === 'list') listCount++;
		const ids = outcome === 'list' || outcome === 'same list' ? [`list-${listCount}`] : [];
		const fetch = await made.fetch(++answered);
		if (outcome === 'failure') fetch.fail(exitError());
		else fetch.succeed(ids);
		await settle();
		fetches.shift();
		// The next one has looked at the files now.
		if (next) next.files = files.version;
		const result = outcome === 'failure' ? 'ERR_CODEX_EXITED' : ids;
		for (const caller of asked.callers) if (caller.expected === 'pending') caller.expected = result;
		const known = isForgotten ? undefined : lists.get(login);
		if (known && ids.length === 0) Object.assign(known, { failedAt: Date.now(), failure: outcome });
		const isStill = asked.files === files.version && login === files.login;
		if (isStill && !isForgotten && ids.length > 0) {
			const state = { isCurrent: true, failedAt: Number.NaN };
			lists.set(login, { ids, fetchedAt: Date.now(), config: files.config, ...state });
			notify();
		} else if (ids.length === 0) notify();
		// A list that is not remembered lets the next refresh wait as well.
		else if (known) known.failedAt = Date.now();
	}

	function compare(): void {
		expect(callers.map(({ result }) => result)).toEqual(callers.map(({ expected }) => expected));
		const known = findServable();
		const { isFresh: isShownFresh, refreshError = null } = made.catalog.peek() ?? {};
		expect([made.peekIds(), isShownFresh]).toEqual([known?.ids, known && isFresh(known)]);
		expect(refreshError !== null).toBe(known?.failure !== undefined);
		expect(heard).toHaveLength(views);
		expect(made.fetches).toHaveLength(answered + Math.min(1, fetches.length));
	}

	return async (operations: Operation[]) => {
		clock.setAge(0);
		change(1, 1);
		for (const { do: name, ms = 0, outcome = 'list' } of operations) {
			if (name === 'list' || name === 'refresh') call(name === 'refresh');
			if (name === 'advance') clock.advance(ms);
			if (name === 'answer') await answer(outcome);
			if (name === 'log in') change(1 - files.login, files.config);
			if (name === 'configure') change(files.login, files.config + 1);
			if (name === 'abort') abort();
			if (name === 'clear') clear();
			await settle();
			compare();
		}
		await made.catalog.close();
		await settle();
		for (const { expected, result } of callers)
			expect(result).toEqual(expected === 'pending' ? 'ERR_CODEX_CLOSED' : expected);
	};
}

test('any sequence of calls, aborts, answers, changes of files, clock changes and clear() keeps the promises', async () => {
	const sequences = fc.array(operation, { minLength: 5, maxLength: 40 });
	let answers = 0;
	const property = fc.asyncProperty(sequences, async (operations) => {
		answers += operations.filter((one) => one.do === 'answer').length;
		await makeDrive()(operations);
	});
	await fc.assert(property, { seed: 20_261_123, numRuns: 100, endOnFailure: true });
	expect(answers).toBeGreaterThan(200);
});
