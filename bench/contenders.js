// What users would pick instead: each asked for the same list, and each told to load it from the same function.
import { cachified } from '@epic-web/cachified';
import { createCache } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { Cacheable } from 'cacheable';
import { LRUCache } from 'lru-cache';
import pMemoize from 'p-memoize';
import QuickLRU from 'quick-lru';

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

export function makeContenders(load) {
	const lru = new LRUCache({ max: 100, ttl: freshMs, allowStale: true, fetchMethod: load });
	const memoized = pMemoize(load, { cache: new QuickLRU({ maxSize: 100, maxAge: freshMs }) });
	const deduped = createCache({ ttl: freshMs / 1_000, storage: { type: 'memory' } }).define('models', load);
	const bento = new BentoCache({
		default: 'memory',
		stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 100 })) },
	});
	const cacheable = new Cacheable({ ttl: freshMs });
	const cache = new LRUCache({ max: 100 });
	return {
		'a map and a map of running fetches': makeHandWritten(load),
		'lru-cache `fetch`': () => lru.fetch(key),
		'p-memoize over quick-lru': () => memoized(key),
		'async-cache-dedupe': () => deduped.models(key),
		bentocache: () => bento.getOrSet({ key, ttl: freshMs, factory: load }),
		cacheable: () => cacheable.getOrSet(key, load, { ttl: freshMs }),
		'@epic-web/cachified': () => cachified({ key, cache, ttl: freshMs, getFreshValue: load }),
	};
}
