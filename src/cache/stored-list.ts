import { hostname } from 'node:os';
import pTimeout from 'p-timeout';
import { isObject } from '../api/codex-model.js';
import { readAnswer } from '../api/model-list.js';
import type { ModelListStore } from '../api/options.js';
import { hash } from '../system/hash.js';
import { toReason } from '../system/sanitize.js';
import { unrefTimers } from '../system/timers.js';
import { type CacheEntry, type ModelList, makeModelList } from './cache-entry.js';
import type { Inputs } from './inputs.js';

/** How long one operation of a store may take; the wait for a lock takes as long as a fetch. */
const limits = {
	milliseconds: 1_000,
	message: 'The store did not answer within 1000 ms',
	customTimers: unrefTimers,
};

const machine = hash('machine', hostname());

/**
 * The list of an entry in a `ModelListStore`. The key is a digest, and the value holds no credential: what Codex said, and the
 * inputs. No failure of a store fails a call, and nothing here rejects.
 */
export function createStoredList({ target, login, context }: CacheEntry) {
	const { settings, emit, command } = context;
	const { store, args, env, maxAgeMs, staleWhileRevalidateMs } = settings;
	if (!store) return undefined;
	// The number is the version of the stored shape.
	const key = `codex-models:4:${hash(command, args, env, target.key, login)}`;
	let release: Promise<(() => unknown) | undefined> | undefined;
	let lastReason: string | undefined;
	/** Tells of a failure, and once where all operations fail alike, as in a directory that is refused. */
	function tell(operation: keyof ModelListStore, error: unknown): undefined {
		const reason = toReason(error);
		if (reason !== lastReason) emit(target, { type: 'store-failed', operation, reason });
		lastReason = reason;
	}

	/** The result of an operation; `undefined` where it failed or took too long. */
	async function attempt<T>(operation: keyof ModelListStore, act: () => Promise<T>) {
		try {
			return await pTimeout(act(), limits);
		} catch (error) {
			return tell(operation, error);
		}
	}

	return {
		/** The stored list, if it is valid and newer than `newerThan` (epoch ms). */
		async load(newerThan: number) {
			const read = async () => parseList(await store.get(key), login, command);
			const list = await attempt('get', read);
			if (!list || list.fetchedAt <= newerThan) return undefined;
			emit(target, { type: 'loaded', ageMs: Date.now() - list.fetchedAt });
			return list;
		},

		async save(list: ModelList) {
			const { fetchedAt, configured, warnings, models, inputs } = list;
			const ttlMs = maxAgeMs + staleWhileRevalidateMs;
			// The key is older than the fetch: a function may have named another program, or the login been unreadable.
			if (ttlMs === 0 || inputs?.login !== login || inputs?.command !== command) return;
			const value = { fetchedAt, machine, files: inputs?.files, configured, warnings, models };
			const usefulMs = Number.isFinite(ttlMs) ? ttlMs : undefined;
			await attempt('set', async () => store.set(key, value, usefulMs));
		},

		delete: () => attempt('delete', async () => store.delete(key)),

		/** Resolves to the release; to `undefined` after an abort, and where the store cannot lock or has failed. */
		lock(signal: AbortSignal) {
			// A store that has just failed, as on a mount that hangs, may let the lock wait for all of the fetch's time.
			const locking = (async () => (lastReason ? undefined : store.lock?.(key, signal)))();
			release = locking.catch((error) => (signal.aborted ? undefined : tell('lock', error)));
			return release;
		},

		/** Releases the lock, also one that comes later. */
		unlock: () => attempt('lock', async () => (await release)?.()),
	};
}

/** The list in a stored value, which may be anything; throws where reading it throws. */
function parseList(value: unknown, login: Inputs['login'], command: string) {
	if (!isObject(value) || !isObject(value.files)) return undefined;
	const { fetchedAt } = value;
	if (typeof fetchedAt !== 'number' || !(fetchedAt <= Date.now())) return undefined;
	const answer = readAnswer({ ...value, config: { config: value.configured } });
	// A list with an entry that cannot be read is not what Codex said.
	const { length } = answer.models;
	if (!length || length < (value.models as unknown[]).length) return undefined;
	// The files of another machine cannot be compared with those of this one: only the age of its list counts.
	const files = (value.machine === machine ? { ...value.files } : {}) as Inputs['files'];
	return makeModelList(answer, fetchedAt, { at: fetchedAt, login, command, files });
}
