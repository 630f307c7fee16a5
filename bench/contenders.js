// What is asked for a list, this library and what users would pick instead: each a function that is given one that loads
// the list, and gives the one that is asked.
import { copySummary } from '../dist/model.js';

const freshMs = 300_000;
const key = 'visible';

/** As it is written by hand in many projects, and as the tool of the incident has it. */
export function makeHandWritten(load, now = Date.now, ttlMs = freshMs) {
	const lists = new Map();
	const running = new Map();
	return async function list() {
		const known = lists.get(key);
		if (known && now() - known.fetchedAt < ttlMs) return known.models;
		const underWay = running.get(key);
		if (underWay) return underWay;
		const fetch = load()
			.then((models) => {
				lists.set(key, { models, fetchedAt: now() });
				return models;
			})
			.finally(() => running.delete(key));
		running.set(key, fetch);
		return fetch;
	};
}

/** What the others are compared with. */
export const yardsticks = {
	async 'the limit: `async () => value`'(load) {
		const value = await load();
		return async () => value;
	},
	async '**`listCodexModels()`**'() {
		const { listCodexModels } = await import('../dist/index.js');
		return () => listCodexModels();
	},
	async '**`catalog.list()`** (whole models)'() {
		const { codexModels } = await import('../dist/index.js');
		return () => codexModels.list();
	},
};

/** Each loads nothing but its own library. */
export const contenders = {
	'a map and a map of running fetches': makeHandWritten,
	async 'lru-cache `fetch`'(load) {
		const { LRUCache } = await import('lru-cache');
		const lru = new LRUCache({ max: 100, ttl: freshMs, allowStale: true, fetchMethod: load });
		return () => lru.fetch(key);
	},
	async 'p-memoize over quick-lru'(load) {
		const { default: pMemoize } = await import('p-memoize');
		const { default: QuickLRU } = await import('quick-lru');
		const memoized = pMemoize(load, { cache: new QuickLRU({ maxSize: 100, maxAge: freshMs }) });
		return () => memoized(key);
	},
	async 'async-cache-dedupe'(load) {
		const { createCache } = await import('async-cache-dedupe');
		const cache = createCache({ ttl: freshMs / 1_000, storage: { type: 'memory' } }).define('models', load);
		return () => cache.models(key);
	},
	async bentocache(load) {
		const { BentoCache, bentostore } = await import('bentocache');
		const { memoryDriver } = await import('bentocache/drivers/memory');
		const store = bentostore().useL1Layer(memoryDriver({ maxItems: 100 }));
		const bento = new BentoCache({ default: 'memory', stores: { memory: store } });
		return () => bento.getOrSet({ key, ttl: freshMs, factory: load });
	},
	async cacheable(load) {
		const { Cacheable } = await import('cacheable');
		const cacheable = new Cacheable({ ttl: freshMs });
		return () => cacheable.getOrSet(key, load, { ttl: freshMs });
	},
	async '@epic-web/cachified'(load) {
		const { cachified } = await import('@epic-web/cachified');
		const { LRUCache } = await import('lru-cache');
		const cache = new LRUCache({ max: 100 });
		return () => cachified({ key, cache, ttl: freshMs, getFreshValue: load });
	},
};

/** What makes a list the caller's own where a contender does not. */
export const copies = {
	copied: (models) => models.map(copySummary),
	// As most write it.
	'copied with `...`': (models) =>
		models.map((model) => ({
			...model,
			supportedReasoningEfforts: model.supportedReasoningEfforts?.slice(),
			serviceTiers: model.serviceTiers?.slice(),
		})),
	'copied with structuredClone': (models) => structuredClone(models),
};
