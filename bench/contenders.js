// The contenders of "A hit": each returns a function that answers from its cache.
import { dist, importIndex } from './codex.js';

/** The cache that many projects write by hand: a map of lists, and a map of running fetches. */
export function makeFiveMinuteMap(load, ttlMs = 300_000) {
	const lists = new Map();
	const running = new Map();
	return async function list(key = 'visible') {
		const known = lists.get(key);
		if (known && Date.now() - known.fetchedAt < ttlMs) return known.models;
		const underWay = running.get(key);
		if (underWay) return underWay;
		const fetch = load()
			.then((models) => {
				lists.set(key, { models, fetchedAt: Date.now() });
				return models;
			})
			.finally(() => running.delete(key));
		running.set(key, fetch);
		return fetch;
	};
}

/** The fastest copy known: a literal that names every property. */
const copySummary = (summary) => ({
	id: summary.id,
	displayName: summary.displayName,
	isDefault: summary.isDefault,
	defaultReasoningEffort: summary.defaultReasoningEffort,
	defaultServiceTier: summary.defaultServiceTier,
	supportedReasoningEfforts: summary.supportedReasoningEfforts?.slice(),
	serviceTiers: summary.serviceTiers?.slice(),
});

const copied = (list) => async () => (await list()).map(copySummary);

export const dropIn = '**`listCodexModels()`**';
export const wholeList = '**`codexModels.list()`**, whole models';
export const copiedLru = 'lru-cache, copied';

/** Parts of a hit, which are no caches. */
export const parts = {
	'a read of `process.env.CODEX_HOME`': () => async () => process.env.CODEX_HOME,
	'a copy of the 12 models': async (load) => {
		const models = await load();
		return async () => models.map(copySummary);
	},
};

export const contenders = {
	[dropIn]: async (_load, build = dist) => (await importIndex(build)).listCodexModels,
	[wholeList]: () =>
		importIndex(dist).then(
			({ codexModels }) =>
				() =>
					codexModels.list(),
		),
	'a five-minute map': (load) => makeFiveMinuteMap(load),
	'a five-minute map, copied': (load) => copied(makeFiveMinuteMap(load)),
	[copiedLru]: async (load) => {
		const { LRUCache } = await import('lru-cache');
		const cache = new LRUCache({ max: 100, ttl: 300_000, allowStale: true, fetchMethod: load });
		return copied(() => cache.fetch('visible'));
	},
	bentocache: async (load) => {
		const { BentoCache, bentostore } = await import('bentocache');
		const { memoryDriver } = await import('bentocache/drivers/memory');
		const memory = bentostore().useL1Layer(memoryDriver({ maxItems: 100 }));
		const cache = new BentoCache({ default: 'memory', stores: { memory } });
		return () => cache.getOrSet({ key: 'visible', ttl: 300_000, factory: load });
	},
};
