import { mkdirSync, promises, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { expect, vi } from 'vitest';
import { CodexModelCatalog } from '../../src/catalog.js';
import {
	type CatalogSnapshot,
	type CodexModelCatalogOptions,
	CodexModelsError,
	type FetchModels,
	type ListOptions,
	type ModelListStore,
	type TargetOptions,
} from '../../src/index.js';
import { afterTest, idsOf, makeDirectory, recordEvents } from '../harness.js';

/** The defaults of a catalog, and the limits that no option sets. */
export const limits = {
	maxAgeMs: 300_000,
	servableMs: 86_700_000,
	cooldownMs: 30_000,
	fetchTimeoutMs: 60_000,
	/** The minimum time between two looks at the files. */
	lookIntervalMs: 1_000,
	/** How long a caller with a list in memory waits for a look. */
	lookLimitMs: 100,
	/** How long an operation of a store may take. */
	storeTimeoutMs: 1_000,
};

/** The time at which the clock of the test was stopped. */
let start = 0;

/**
 * Stops the clock and the timers of the cache; promises and files go on. The stopped time is ahead of the files, which have
 * the time of the system.
 */
function stopClock(): void {
	if (vi.isFakeTimers()) return;
	start = Date.now() + 10_000;
	vi.useFakeTimers({
		now: start,
		toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
	});
}

export const clock = {
	/** Sets the time since the clock was stopped, without running a timer. */
	setAge: (ms: number) => vi.setSystemTime(start + ms),
	advance: (ms: number) => vi.setSystemTime(Date.now() + ms),
	/** Lets time pass: the clock and the timers. */
	async pass(ms: number): Promise<void> {
		await settle();
		await vi.advanceTimersByTimeAsync(ms);
		await settle();
	},
};

/** Resolves when all that promises and files have made ready has run. */
export async function settle(): Promise<void> {
	do await new Promise<void>((resolve) => setImmediate(resolve));
	while (process.getActiveResourcesInfo().some((name) => /^FSReq|^CloseReq/.test(name)));
}

/** A promise, and the functions that settle it. */
export function makeGate<T = void>() {
	let open: (value: T) => void = () => {};
	let fail: (error: unknown) => void = () => {};
	const opened = new Promise<T>((resolve, reject) => {
		open = resolve;
		fail = reject;
	});
	return { opened, open, fail };
}

export const never = () => new Promise<never>(() => {});

export async function isPending(promise: Promise<unknown>): Promise<boolean> {
	const pending = Symbol();
	const result = Promise.race([promise.catch(() => {}), settle().then(() => pending)]);
	return (await result) === pending;
}

/** A failure of a fetch, as an app-server that ends early makes it. */
export const exitError = (exitCode = 1) =>
	new CodexModelsError('ERR_CODEX_EXITED', `Codex ended with exit code ${exitCode}`, {
		exitCode,
		signal: null,
		stderr: '',
		phase: 'initialize',
	});

/** A folder for the files of a user. A file that is written there has the time of the stopped clock. */
export function makeHome() {
	const folder = makeDirectory();
	const fileOf = (name: string) => path.join(folder, name);
	const touch = (name: string) => utimesSync(fileOf(name), Date.now() / 1_000, Date.now() / 1_000);
	const write = (name: string, text: string | Uint8Array) => {
		mkdirSync(path.dirname(fileOf(name)), { recursive: true });
		// As Codex does it: a new file, which also has an inode of its own.
		writeFileSync(`${fileOf(name)}.new`, text);
		renameSync(`${fileOf(name)}.new`, fileOf(name));
		touch(name);
	};
	return {
		folder,
		fileOf,
		touch,
		write,
		/** The login by a key. */
		logIn: (key: string) => write('auth.json', JSON.stringify({ OPENAI_API_KEY: key })),
		remove: (name: string) => rmSync(fileOf(name), { recursive: true, force: true }),
	};
}

export type Home = ReturnType<typeof makeHome>;

/** Replaces `stat`, or `open`, of the system until the returned function is called, or the test is over. */
export function replaceStat(
	makeResult: (file: string) => Promise<unknown>,
	name: 'stat' | 'open' = 'stat',
): () => void {
	const spy = vi.spyOn(promises, name).mockImplementation(makeResult as never);
	const restore = () => {
		spy.mockRestore();
		syncBuiltinESMExports();
	};
	syncBuiltinESMExports();
	afterTest(restore);
	return restore;
}

/** Counts the looks at files, by their paths. */
export function recordLooks(): string[] {
	const files: string[] = [];
	const { stat } = promises;
	replaceStat((file) => {
		files.push(file);
		return stat(file);
	});
	return files;
}

const toIds = (snapshot: CatalogSnapshot | undefined) => snapshot && idsOf(snapshot.models);

type Answer = Awaited<ReturnType<FetchModels>>;
type Entry = string | Record<string, unknown>;
type Outcome = readonly Entry[] | Error;
type ReadOptions = ListOptions & { more?: Partial<Answer> };

/** A fetch by the host, whose outcome a test decides. */
function makeFetch(request: Parameters<FetchModels>[0]) {
	const { opened: answer, open, fail } = makeGate<Answer>();
	const toEntry = (model: Entry) => (typeof model === 'string' ? { id: model } : model);
	return {
		request,
		answer,
		succeed: (models: readonly Entry[], more?: Partial<Answer>) =>
			open({ models: models.map(toEntry), ...more }),
		/** Answers with anything at all. */
		reply: (value: unknown) => open(value as Answer),
		fail,
	};
}

/** A catalog with a fetch by the host, in a home of its own, while the clock is stopped. */
export function makeHostCatalog(options: CodexModelCatalogOptions = {}, home: Home = makeHome()) {
	stopClock();
	const fetches: ReturnType<typeof makeFetch>[] = [];
	const events = recordEvents();
	const catalog = new CodexModelCatalog({
		codexHome: home.folder,
		fetchModels(request) {
			const fetch = makeFetch(request);
			fetches.push(fetch);
			return fetch.answer;
		},
		...options,
		onEvent(event) {
			events.onEvent(event);
			return options.onEvent?.(event);
		},
	});
	// No process is left; a store of the test may never answer.
	afterTest(() => {
		void catalog.close();
		return settle();
	});
	/** The nth fetch, from 1, when the catalog has come so far. */
	async function fetch(n: number) {
		await settle();
		return fetches[n - 1] ?? expect.fail(`There are only ${fetches.length} fetches`);
	}
	const made = {
		catalog,
		home,
		events,
		fetches,
		fetch,
		ids: async (listOptions?: ListOptions) => idsOf(await catalog.list(listOptions)),
		peekIds: (listOptions?: TargetOptions) => toIds(catalog.peek(listOptions)),
		/** The number of fetches, when the catalog has come so far. */
		async countFetches() {
			await settle();
			return fetches.length;
		},
		/** Ends the nth fetch, and resolves when the catalog has dealt with the outcome. */
		async answer(n: number, outcome: Outcome, more?: Partial<Answer>) {
			const { fail, succeed } = await fetch(n);
			if (outcome instanceof Error) fail(outcome);
			else succeed(outcome, more);
			await settle();
		},
		/** Reads with this outcome of the next fetch, and returns what the caller got: a snapshot or an error. */
		async readWith(outcome: Outcome, { more, ...listOptions }: ReadOptions = {}) {
			const result = catalog.read(listOptions).catch((error: CodexModelsError) => error);
			await made.answer(fetches.length + 1, outcome, more);
			return result;
		},
		refreshWith: (outcome: Outcome, readOptions?: ReadOptions) =>
			made.readWith(outcome, { refresh: true, ...readOptions }),
		/** Subscribes, and records what the listener gets. */
		record(targetOptions?: TargetOptions) {
			const heard: (CatalogSnapshot | undefined)[] = [];
			const unsubscribe = catalog.subscribe((snapshot) => heard.push(snapshot), targetOptions);
			return { heard, unsubscribe, ids: () => heard.map(toIds) };
		},
	};
	return made;
}

/** A catalog that has fetched a list, at the age of 0. */
export async function makeFilledCatalog(
	models: Entry[],
	options: CodexModelCatalogOptions = {},
	home: Home = makeHome(),
	more: Partial<Answer> = {},
) {
	const made = makeHostCatalog(options, home);
	await made.readWith(models, { more });
	return made;
}

/** A store in memory, with some methods replaced. */
export function makeStore(methods: Partial<ModelListStore> = {}, map = new Map<string, unknown>()) {
	const set = (key: string, value: unknown) => map.set(key, structuredClone(value));
	return { get: map.get.bind(map), set, delete: map.delete.bind(map), map, ...methods };
}
