import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { CodexModel } from '../../src/api/codex-model.js';
import { type CatalogEvent, createEmitter } from '../../src/api/events.js';
import type { Fetch, FetchTarget } from '../../src/api/fetch.js';
import type {
	CodexModelCatalogOptions,
	ListOptions,
	TargetOptions,
} from '../../src/api/options.js';
import { resolveSettings } from '../../src/api/settings.js';
import { resolveTarget } from '../../src/cache/fetch-target.js';
import { ModelCache } from '../../src/cache/model-cache.js';
import type { CatalogSnapshot } from '../../src/cache/model-list.js';
import { FakeFetch, type Files, idsOf, makeFiles, settle, stopClock } from './fakes.js';

/** The fetches of a cache, in their order. */
function makeFetches({ lingers }: { lingers: boolean }) {
	const all: FakeFetch[] = [];
	const wakers = new Set<() => void>();
	return {
		all,
		get count() {
			return all.length;
		},
		start(target: FetchTarget, context: Omit<FakeFetch['context'], 'target'>): Fetch {
			const fetch = new FakeFetch({ target, ...context }, lingers);
			all.push(fetch);
			for (const wake of wakers) wake();
			return fetch;
		},
		/** The nth fetch, past or to come, from 1. */
		nth: (n: number) =>
			new Promise<FakeFetch>((resolve) => {
				const wake = () => {
					const fetch = all[n - 1];
					if (fetch) resolve(fetch);
				};
				wakers.add(wake);
				wake();
			}),
	};
}

type EventOf<T extends CatalogEvent['type']> = Extract<CatalogEvent, { type: T }>;

type Surroundings = { files?: Files; lingers?: boolean };

/** A cache without processes and files, and the functions of a catalog. */
export function makeCache(options: CodexModelCatalogOptions = {}, surroundings: Surroundings = {}) {
	const { files = makeFiles(), lingers = false } = surroundings;
	const settings = resolveSettings(options);
	const fetches = makeFetches({ lingers });
	const events: CatalogEvent[] = [];
	const cache = new ModelCache({
		settings,
		fetchModels: fetches.start,
		readFingerprint: files.read,
		emitEvent: createEmitter((event) => {
			events.push(event);
			return options.onEvent?.(event);
		}),
	});
	const targetOf = (listOptions?: TargetOptions) => resolveTarget(settings, listOptions, undefined);
	const find = async (listOptions?: ListOptions) => {
		const target = targetOf(listOptions);
		const list = cache.lookup(target, listOptions) ?? (await cache.getOrFetch(target, listOptions));
		return { target, list, includeHidden: listOptions?.includeHidden ?? false };
	};
	onTestFinished(() => {
		cache.close();
	});
	return {
		cache,
		files,
		fetches,
		events,
		eventsOf: <T extends CatalogEvent['type']>(type: T) =>
			events.filter((event): event is EventOf<T> => event.type === type),
		clear: () => cache.clear(),
		close: () => cache.close(),
		async list(listOptions?: ListOptions): Promise<CodexModel[]> {
			const { list, includeHidden } = await find(listOptions);
			return list.copyModels(includeHidden);
		},
		/** The ids of `list`. */
		async ids(listOptions?: ListOptions): Promise<string[]> {
			const { list, includeHidden } = await find(listOptions);
			return list.copyModels(includeHidden).map(({ id }) => id);
		},
		async read(listOptions?: ListOptions): Promise<CatalogSnapshot> {
			const { target, list, includeHidden } = await find(listOptions);
			return cache.snapshot(target, list, includeHidden);
		},
		peek: (listOptions?: TargetOptions) =>
			cache.peek(targetOf(listOptions), listOptions?.includeHidden ?? false),
		peekIds: (listOptions?: TargetOptions) =>
			idsOf(cache.peek(targetOf(listOptions), listOptions?.includeHidden ?? false)?.models),
		subscribe: (listener: (snapshot: CatalogSnapshot) => void, listOptions?: TargetOptions) =>
			cache.subscribe(targetOf(listOptions), listOptions?.includeHidden ?? false, listener),
	};
}

export type TestCache = ReturnType<typeof makeCache>;

/** Answers the nth fetch of a cache, and resolves when the cache has dealt with the answer. */
export async function answer(
	made: TestCache,
	n: number,
	...models: (string | CodexModel)[]
): Promise<void> {
	(await made.fetches.nth(n)).succeed(models);
	await settle();
}

/** A cache that has fetched a list, at the age of 0. */
export async function makeFilledCache(
	models: (string | CodexModel)[],
	options: CodexModelCatalogOptions = {},
	surroundings: Surroundings = {},
): Promise<TestCache> {
	stopClock();
	const made = makeCache(options, surroundings);
	const list = made.list();
	await answer(made, 1, ...models);
	await list;
	return made;
}

/** Subscribes, and records the snapshots. */
export function recordSnapshots(made: TestCache, options?: Parameters<TestCache['subscribe']>[1]) {
	const snapshots: CatalogSnapshot[] = [];
	const unsubscribe = made.subscribe((snapshot) => snapshots.push(snapshot), options);
	return { snapshots, unsubscribe, ids: () => snapshots.map(({ models }) => idsOf(models)) };
}

/** Refreshes the list, with this outcome. */
export async function refreshWith(made: TestCache, outcome: (string | CodexModel)[] | Error) {
	const n = made.fetches.count + 1;
	const done = Promise.allSettled([made.list({ refresh: true })]);
	const fetch = await made.fetches.nth(n);
	if (outcome instanceof Error) fetch.fail(outcome);
	else fetch.succeed(outcome);
	await done;
	await settle();
}

/** The unhandled rejections of this process until the test is over. */
export function countUnhandledRejections() {
	const reasons: unknown[] = [];
	const note = (reason: unknown) => reasons.push(reason);
	process.on('unhandledRejection', note);
	onTestFinished(() => {
		process.off('unhandledRejection', note);
	});
	return reasons;
}

/** A new directory, which is removed after the test. */
export function makeDirectory(): string {
	const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'codex-models-cache-')));
	onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
	return directory;
}
