import { hostname } from 'node:os';
import pTimeout from 'p-timeout';
import { toConfiguredModel } from '../api/codex-config.js';
import { isObject, toCodexModel } from '../api/codex-model.js';
import type { CatalogEventPayload, EmitEvent } from '../api/events.js';
import { toWarnings } from '../api/fetch.js';
import type { ModelListStore } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { hash } from '../system/hash.js';
import { toReason } from '../system/sanitize.js';
import { unrefTimers } from '../system/timers.js';
import type { CacheEntry } from './cache-entry.js';
import { type ModelList, makeModelList } from './cache-entry.js';
import type { Inputs } from './inputs.js';

/** The version of the stored shape; a value of another version is not read. */
const version = 3;
/** How long one operation of a store may take, in milliseconds; the wait for a lock takes as long as a fetch. */
const storeTimeoutMs = 1_000;

const machine = hash('machine', hostname());

type Operation = 'get' | 'set' | 'delete' | 'lock';

export type StoredList = ReturnType<typeof createStoredList>;

/**
 * The list of an entry in a `ModelListStore`. The key is a digest, and the value holds no credential: what Codex said, and the
 * inputs. No failure of a store fails a call, and nothing here rejects.
 */
export function createStoredList(
	store: ModelListStore,
	{ args, env, maxAgeMs, staleWhileRevalidateMs }: Settings,
	{ target, login }: CacheEntry,
	command: string,
	emitEvent: EmitEvent,
) {
	const emit = (payload: CatalogEventPayload) => emitEvent(target, payload);
	const { cwd, codexHome = null } = target;
	const key = `codex-models:${version}:${hash(command, args, env, cwd, codexHome, login)}`;

	let lastReason: string | undefined;

	/** Tells of a failure, and once where all operations fail alike, as in a directory that is refused. */
	function tell(operation: Operation, error: unknown): undefined {
		const reason = toReason(error);
		if (reason !== lastReason) emit({ type: 'store-failed', operation, reason });
		lastReason = reason;
	}

	/** The result of an operation; `undefined` where it failed or took too long. */
	async function attempt<T>(operation: Operation, act: () => T | Promise<T>) {
		const message = `The store did not answer within ${storeTimeoutMs} ms`;
		try {
			const limits = { milliseconds: storeTimeoutMs, message, customTimers: unrefTimers };
			return await pTimeout((async () => act())(), limits);
		} catch (error) {
			return tell(operation, error);
		}
	}

	return {
		/** The stored list, if it is valid and newer than `newerThan` (epoch ms). */
		async load(newerThan: number): Promise<ModelList | undefined> {
			const value = await attempt('get', () => store.get(key));
			const list = parseList(value, { login, command });
			if (!list || list.fetchedAt <= newerThan) return undefined;
			emit({ type: 'loaded', ageMs: Date.now() - list.fetchedAt });
			return list;
		},

		async save({ fetchedAt, configured, warnings, all, inputs }: ModelList): Promise<void> {
			const ttlMs = maxAgeMs + staleWhileRevalidateMs - (Date.now() - fetchedAt);
			if (ttlMs <= 0) return;
			const files = inputs?.files;
			const value = { version, fetchedAt, machine, files, configured, warnings, models: all };
			await attempt('set', () => store.set(key, value, Number.isFinite(ttlMs) ? ttlMs : undefined));
		},

		async delete(): Promise<void> {
			await attempt('delete', () => store.delete(key));
		},

		/** Resolves to the release; to `undefined` after an abort, and where the store cannot lock. */
		async lock(signal: AbortSignal): Promise<(() => unknown) | undefined> {
			try {
				return await store.lock?.(key, signal);
			} catch (error) {
				return signal.aborted ? undefined : tell('lock', error);
			}
		},

		/** Releases a lock, also one that comes later. */
		async unlock(lock: Promise<(() => unknown) | undefined> | undefined): Promise<void> {
			if (lock) await attempt('lock', async () => (await lock)?.());
		},
	};
}

/** A store may return anything, also an object whose properties throw. */
function parseList(value: unknown, inputs: { login: string; command: string }) {
	try {
		if (!isObject(value) || value.version !== version) return undefined;
		const { fetchedAt, configured, warnings } = value;
		if (!Array.isArray(value.models) || !isObject(value.files)) return undefined;
		if (typeof fetchedAt !== 'number' || !(fetchedAt >= 0 && fetchedAt <= Date.now()))
			return undefined;
		const models = value.models.flatMap((entry) => toCodexModel(entry) ?? []);
		if (models.length === 0 || models.length < value.models.length) return undefined;
		// The files of another machine cannot be compared with those of this one: only the age of its list counts.
		const files = value.machine === machine ? (value.files as Inputs['files']) : {};
		const answer = {
			models,
			configured: toConfiguredModel(configured),
			warnings: toWarnings(warnings),
		};
		return makeModelList(answer, fetchedAt, {
			...inputs,
			at: fetchedAt,
			loginFile: undefined,
			files,
		});
	} catch {
		return undefined;
	}
}
