import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { CodexModelsError } from '../src/errors.js';
import { LineSplitter } from '../src/line-splitter.js';
import type { CodexModel } from '../src/model.js';
import { OriginWatch } from '../src/origin.js';
import {
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	plainModel,
	runHost,
} from './harness.js';

/** Runs are the same each time; fast-check prints the seed and the path of what it finds. */
const seed = 20_261_123;

const cutAt = (bytes: Buffer, cuts: number[]) => {
	const places = cuts.map((cut) => Math.round(cut * bytes.length)).sort((a, b) => a - b);
	return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
};

const fraction = fc.double({ min: 0, max: 1, noNaN: true });
const cuts = fc.array(fraction, { maxLength: 40 });

/** Whatever a splitter says of these chunks. */
function split(chunks: Buffer[], limit: number) {
	const said: ({ line: string } | { tooLong: string })[] = [];
	const splitter = new LineSplitter(
		limit,
		(line) => said.push({ line }),
		(tooLong) => said.push({ tooLong }),
	);
	for (const chunk of chunks) {
		splitter.push(chunk);
		expect(Buffer.from(splitter.rest, 'latin1').length).toBeLessThanOrEqual(limit);
	}
	return { said, rest: splitter.rest };
}

const line = fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.replaceAll('\n', '\u2028'));

test('lines are the same however their bytes are cut', () => {
	fc.assert(
		fc.property(fc.array(line, { maxLength: 20 }), line, cuts, (lines, rest, places) => {
			const bytes = Buffer.from([...lines, rest].join('\n'));
			// What a string cannot hold (half a surrogate pair) is lost on the way to bytes, not here.
			const expected = bytes.toString('utf8').split('\n');
			expect(split(cutAt(bytes, places), 1_000)).toEqual({
				said: expected.slice(0, -1).map((text) => ({ line: text })),
				rest: expected.at(-1),
			});
		}),
		{ seed, numRuns: 3_000 },
	);
});

test('a line that is too long is told once, by its head, however its bytes are cut, and the next one is whole', () => {
	const limit = 16;
	const short = fc.uint8Array({ maxLength: limit });
	const long = fc.uint8Array({ minLength: limit + 1, maxLength: 5 * limit });
	const bytesOfLine = fc.oneof(short, long).map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)));
	const withoutEnd = bytesOfLine.map((bytes) => Buffer.from(bytes.map((byte) => (byte === 10 ? 11 : byte))));
	fc.assert(
		fc.property(fc.array(withoutEnd, { maxLength: 12 }), cuts, (lines, places) => {
			const bytes = Buffer.concat(lines.flatMap((text) => [text, Buffer.of(10)]));
			const { said, rest } = split(cutAt(bytes, places), limit);
			expect(said).toEqual(
				lines.map((text) =>
					text.length > limit
						? { tooLong: text.subarray(0, limit).toString('utf8') }
						: { line: text.toString('utf8') },
				),
			);
			expect(rest).toBe('');
		}),
		{ seed, numRuns: 3_000 },
	);
});

const id = fc
	.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
	.filter((text) => text.trim() === text);
const page = fc.array(id, { minLength: 1, maxLength: 5 });

test('a list is the same however its conversation is cut', async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(page, { minLength: 1, maxLength: 3 }), cuts, async (ids, places) => {
			const pages = ids.map((names) => names.map((name) => ({ id: name })));
			const step = ['misbehaves', { phase: 'any', way: 'cut at', cuts: places, pages }] as const;
			const { catalog, server } = makeScriptedCatalog([step]);
			expect(await catalog.list()).toEqual(ids.flat().map(plainModel));
			await catalog.close();
			expect(server.pids.filter(isAlive)).toEqual([]);
		}),
		{ seed, numRuns: 20, endOnFailure: true },
	);
}, 60_000);

// Whatever comes on stdout.

const requestId = fc.constantFrom(1, 2, 3, '1', null, -1, 1.5);
const message = fc.oneof(
	fc.json({ maxDepth: 2 }),
	fc
		.record({
			id: requestId,
			result: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant({ data: [{ id: 'x' }] })),
		})
		.map((value) => JSON.stringify(value)),
	fc.record({ id: requestId, error: fc.jsonValue({ maxDepth: 2 }) }).map((value) => JSON.stringify(value)),
	fc
		.record({ id: requestId, method: fc.string(), params: fc.jsonValue({ maxDepth: 2 }) })
		.map((value) => JSON.stringify(value)),
);
const someBytes = fc
	.array(
		fc.oneof(
			fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
			message.map((text) => Buffer.from(`${text}\n`)),
		),
		{ maxLength: 12 },
	)
	.map((parts) => Buffer.concat(parts));

const isCodexModel = (model: CodexModel) =>
	Object.keys(model).join() === Object.keys(plainModel('')).join() && model.id.trim() === model.id;

const phase = fc.constantFrom('spawn', 'initialize', 'model/list', 'after the answer');

test('any bytes on stdout end in the list or in an error of the library, and the host hears of nothing else', async () => {
	const unhandled: unknown[] = [];
	let lists = 0;
	const note = (error: unknown) => unhandled.push(error);
	process.on('unhandledRejection', note);
	try {
		await fc.assert(
			fc.asyncProperty(someBytes, fc.boolean(), phase, async (bytes, isEnded, at) => {
				// Without an end of the line, the answer becomes a part of it.
				const base64 = Buffer.concat([bytes, Buffer.from(isEnded ? '\n' : '')]).toString('base64');
				const settings = { act: 'writes', phase: at, base64, pages: [[{ id: 'a' }]] };
				const { catalog, server } = makeScriptedCatalog([['misbehaves', settings]], {
					fetchTimeoutMs: 1_000,
				});
				const startedAt = performance.now();
				const [result] = await Promise.allSettled([catalog.list({ includeHidden: true })]);
				expect(performance.now() - startedAt).toBeLessThan(10_000);
				if (result?.status === 'fulfilled') {
					lists++;
					expect(result.value.every(isCodexModel)).toBe(true);
				} else {
					expect(result?.reason).toBeInstanceOf(CodexModelsError);
					expect(['ERR_CODEX_PROTOCOL', 'ERR_CODEX_RPC', 'ERR_CODEX_TIMEOUT']).toContain(result?.reason.code);
				}
				await catalog.close();
				expect(server.pids.filter(isAlive)).toEqual([]);
			}),
			{ seed, numRuns: 30, endOnFailure: true },
		);
	} finally {
		process.off('unhandledRejection', note);
	}
	expect(unhandled).toEqual([]);
	// Most bytes are nobody's answer.
	expect(lists).toBeGreaterThan(5);
}, 60_000);

test('any bytes on stdout, over and over, hold up no call past its limit, and stay within bounds in memory', async () => {
	// A host of its own for all of them, for what it has had at most is not to be reset.
	const units: [Buffer, boolean][] = [
		[Buffer.from('x'), false],
		[Buffer.from('{"method":"x"}\n'), true],
		...fc.sample(fc.tuple(someBytes, fc.boolean()), { seed, numRuns: 5 }),
	];
	const directory = makeDirectory();
	const files = units.map(([bytes, hasLines], index) => {
		const unit = Buffer.concat([Buffer.from('x'), hasLines ? bytes : bytes.filter((byte) => byte !== 10)]);
		// Read in large pieces, it comes as fast as the pipe takes it.
		const block = Buffer.concat(Array(Math.ceil((4 * 1024 * 1024) / unit.length)).fill(unit));
		const file = path.join(directory, String(index));
		writeFileSync(file, block);
		return file;
	});
	const source = `
		const limitMs = 600;
		const before = process.resourceUsage().maxRSS;
		const outcomes = [];
		for (const file of facts.files) {
			const catalog = new CodexModelCatalog({
				command: '/bin/sh',
				args: ['-c', 'while cat "$0"; do :; done', file],
				retries: 0,
				fetchTimeoutMs: limitMs,
			});
			const startedAt = performance.now();
			const code = await catalog.list().then(() => 'a list', (error) => error.code);
			const ms = performance.now() - startedAt;
			await catalog.close();
			outcomes.push({ code, ms });
		}
		console.log(JSON.stringify({ outcomes, grownKiB: process.resourceUsage().maxRSS - before }));
	`;
	const { exitCode, stdout, stderr } = await runHost(source, { files }).done;
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	const { outcomes, grownKiB } = JSON.parse(stdout);
	expect(outcomes).toHaveLength(units.length);
	for (const { code, ms } of outcomes) {
		expect(['ERR_CODEX_TIMEOUT', 'ERR_CODEX_PROTOCOL', 'ERR_CODEX_RPC', 'a list']).toContain(code);
		expect(ms).toBeLessThan(5_000);
	}
	expect(new Set(outcomes.map(({ code }: { code: string }) => code)).size).toBeGreaterThan(1);
	expect(grownKiB).toBeLessThan(150 * 1024);
}, 60_000);

// The catalog against a model of what it promises.

const freshMs = 10_000;
const staleMs = 60_000;
const cooldownMs = 5_000;

type Operation =
	| { do: 'list' | 'refresh' | 'clear' | 'close' | 'abort' }
	| { do: 'advance'; ms: number }
	| { do: 'outcome'; outcome: 'list' | 'empty' | 'error' | 'exit' };

const operation: fc.Arbitrary<Operation> = fc.oneof(
	{ weight: 6, arbitrary: fc.record({ do: fc.constant('list' as const) }) },
	{ weight: 2, arbitrary: fc.record({ do: fc.constant('refresh' as const) }) },
	{ weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const) }) },
	{
		weight: 3,
		arbitrary: fc.record({
			do: fc.constant('advance' as const),
			ms: fc.constantFrom(100, cooldownMs, freshMs - 1, freshMs, staleMs, -1_000, -staleMs),
		}),
	},
	{
		weight: 6,
		arbitrary: fc.record({
			do: fc.constant('outcome' as const),
			outcome: fc.constantFrom(
				'list' as const,
				'list' as const,
				'empty' as const,
				'error' as const,
				'exit' as const,
			),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
	{ weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
);

/** What comes of a call; 'pending' as long as nothing has. */
type Result = string | string[];

type Caller = { abort(): void; result: Result; settled: Promise<unknown>; expected: Result };

type Fetch = { callers: Caller[]; isForgotten: boolean };

/** An app-server in a few milliseconds, that waits for its last line in the pipe DIRECTORY/PID. */
const gated = `
	read -r _
	echo '{"id":1,"result":{}}'
	read -r _
	read -r _
	until [ -p "$0/$$" ]; do sleep 0.01; done
	read -r line < "$0/$$"
	[ "$line" = exit ] && exit 3
	printf '%s\\n' "$line"
	cat > /dev/null
`;

/** The catalog, driven; and beside it, in few words, what it has promised. */
class Drive {
	readonly #directory = makeDirectory();
	readonly #lookUps = vi.spyOn(OriginWatch.prototype, 'read');
	readonly #codexHome = makeDirectory();
	readonly #made = makeCatalog({
		command: '/bin/sh',
		args: ['-c', gated, this.#directory],
		codexHome: this.#codexHome,
		retries: 0,
		deadlineMs: neverMs,
		fetchTimeoutMs: neverMs,
		freshMs,
		staleMs,
		cooldownMs,
	});
	readonly #callers: Caller[] = [];
	/** Under way, the oldest first: only that one may have an app-server. */
	#fetches: Fetch[] = [];
	#known: { ids: string[]; fetchedAt: number; failedAt?: number } | undefined;
	#joinable: Fetch | undefined;
	#isClosed = false;
	#answered = 0;
	#spawned = 0;
	#version = 0;

	async run(operations: Operation[]): Promise<void> {
		for (const one of operations) {
			if (one.do === 'list' || one.do === 'refresh') await this.#call(one.do === 'refresh');
			if (one.do === 'abort') this.#abort();
			if (one.do === 'advance') vi.setSystemTime(Date.now() + one.ms);
			if (one.do === 'outcome') await this.#settleFetch(one.outcome);
			if (one.do === 'clear') this.#clear();
			if (one.do === 'close') await this.#close();
			await this.#compare();
		}
		await this.#close();
		await this.#compare();
		expect(this.#callers.map(({ result }) => result)).not.toContain('pending');
		expect(
			this.#made.events
				.ofType('spawned')
				.map(({ pid }) => pid)
				.filter(isAlive),
		).toEqual([]);
	}

	async #call(refresh: boolean): Promise<void> {
		const controller = new AbortController();
		const caller: Caller = {
			abort: () => controller.abort(),
			result: 'pending',
			settled: Promise.resolve(),
			expected: 'pending',
		};
		caller.settled = this.#made.catalog.list({ refresh, signal: controller.signal }).then(
			(models) => {
				caller.result = idsOf(models);
			},
			(error) => {
				caller.result = error.code === 20 ? 'aborted' : error.code;
			},
		);
		this.#callers.push(caller);
		// Whether a list is still that account's is looked up before anything is joined or served.
		await Promise.all(this.#lookUps.mock.results.map(({ value }) => value));
		await new Promise((resolve) => setImmediate(resolve));

		const now = Date.now();
		const age = this.#known ? now - this.#known.fetchedAt : Number.NaN;
		if (this.#isClosed) caller.expected = 'ERR_CODEX_CLOSED';
		else if (!refresh && this.#known && age < staleMs) {
			caller.expected = this.#known.ids;
			const sinceFailure = now - (this.#known.failedAt ?? Number.NaN);
			const isCooling = sinceFailure >= 0 && sinceFailure < cooldownMs;
			if (!(age >= 0 && age < freshMs) && !isCooling) this.#join();
		} else this.#join().callers.push(caller);
	}

	#join(): Fetch {
		if (!this.#joinable) {
			this.#joinable = { callers: [], isForgotten: false };
			this.#fetches.push(this.#joinable);
		}
		return this.#joinable;
	}

	/** The last caller that waits leaves; the fetch goes on. */
	#abort(): void {
		const caller = this.#callers.findLast(({ expected }) => expected === 'pending');
		if (!caller) return;
		caller.expected = 'aborted';
		caller.abort();
	}

	async #settleFetch(outcome: Extract<Operation, { do: 'outcome' }>['outcome']): Promise<void> {
		const fetch = this.#fetches.shift();
		if (!fetch) return;
		const { pid } = await this.#made.events.nth('spawned', this.#answered + 1);
		const ids = outcome === 'list' ? [`version-${++this.#version}`] : [];
		const message =
			outcome === 'error'
				? { id: 2, error: { code: -32600, message: 'no' } }
				: { id: 2, result: { data: ids.map((name) => ({ id: name })), nextCursor: null } };
		this.#tell(pid, outcome === 'exit' ? 'exit' : JSON.stringify(message));

		this.#answered++;
		if (this.#joinable === fetch) this.#joinable = undefined;
		const results = { list: ids, empty: ids, error: 'ERR_CODEX_RPC', exit: 'ERR_CODEX_EXITED' } as const;
		for (const caller of fetch.callers) {
			if (caller.expected === 'pending')
				caller.expected = [...results[outcome]].join('') === '' ? [] : results[outcome];
		}
		if (!fetch.isForgotten) {
			if (ids.length > 0) this.#known = { ids, fetchedAt: Date.now() };
			else if (this.#known) this.#known.failedAt = Date.now();
		}
		const isList = outcome === 'list' || outcome === 'empty';
		const type = isList ? 'refreshed' : 'failed';
		await this.#made.events.nth(type, this.#made.events.count(type) + 1);
	}

	#tell(pid: number, text: string): void {
		const pipe = path.join(this.#directory, String(pid));
		execFileSync('mkfifo', [pipe]);
		// For reading, too: then nothing waits for the other end.
		const descriptor = openSync(pipe, constants.O_RDWR);
		writeSync(descriptor, `${text}\n`);
		this.#pipes.push(descriptor);
	}

	readonly #pipes: number[] = [];

	#clear(): void {
		this.#made.catalog.clear();
		this.#known = undefined;
		for (const fetch of this.#fetches) fetch.isForgotten = true;
		this.#joinable = undefined;
	}

	async #close(): Promise<void> {
		const closed = this.#made.catalog.close();
		this.#isClosed = true;
		this.#known = undefined;
		this.#joinable = undefined;
		for (const fetch of this.#fetches.splice(0)) {
			for (const caller of fetch.callers) {
				if (caller.expected === 'pending') caller.expected = 'ERR_CODEX_CLOSED';
			}
		}
		await closed;
		for (const pipe of this.#pipes.splice(0)) closeSync(pipe);
		this.#spawned = this.#made.events.count('spawned');
	}

	async #compare(): Promise<void> {
		const due = this.#callers.filter(({ expected }) => expected !== 'pending');
		await Promise.all(due.map(({ settled }) => settled));
		expect(this.#callers.map(({ result }) => result)).toEqual(this.#callers.map(({ expected }) => expected));

		const { catalog, events } = this.#made;
		const now = Date.now();
		const isServed = this.#known !== undefined && now - this.#known.fetchedAt < staleMs;
		expect(catalog.peek()?.models.map(({ id: name }) => name)).toEqual(
			isServed ? this.#known?.ids : undefined,
		);

		// One app-server for the oldest fetch, none for those that wait for it, and after close none at all.
		if (this.#fetches.length > 0) await events.nth('spawned', this.#answered + 1);
		if (this.#isClosed) expect(events.count('spawned')).toBe(this.#spawned);
		else expect(events.count('spawned')).toBe(this.#answered + Math.min(1, this.#fetches.length));
	}
}

test('any sequence of calls, aborts, outcomes, clock changes, clear and close keeps what the catalog promises', async () => {
	let fetches = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 30 }), async (operations) => {
			vi.useFakeTimers({ toFake: ['Date'] });
			fetches += operations.filter((one) => one.do === 'outcome').length;
			await new Drive().run(operations);
			vi.restoreAllMocks();
			vi.useRealTimers();
		}),
		{ seed, numRuns: 25, endOnFailure: true },
	);
	expect(fetches).toBeGreaterThan(0);
}, 90_000);
