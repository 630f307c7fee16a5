import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import pTimeout from 'p-timeout';
import { toText } from '../api/codex-model.js';
import type { Emit } from '../api/events.js';
import type { FetchTarget, Fingerprint } from '../api/fetch.js';
import type { ModelListStore } from '../api/model-list-store.js';
import { parseModels } from '../api/parse-models.js';
import type { Settings } from '../api/settings.js';
import { findHome } from '../system/environment.js';
import { hash } from '../system/hash.js';
import { toReason } from '../system/sanitize.js';
import { unrefTimers } from '../system/timers.js';
import { ModelList } from './model-list.js';

/** The version of the stored shape; a value of another version is not read. */
const version = 2;
/** How long one operation of a store may take, in milliseconds. */
const storeTimeoutMs = 1_000;
/** How long the lock may take, in milliseconds: `fileStore` takes a lock over from a process that hangs after 8 s. */
const lockTimeoutMs = 9_000;
/** The most models that are accepted from a store; Codex 0.169.0 has 12. */
const maxModels = 100_000;

const machine = hash('machine', hostname());

type Operation = 'get' | 'set' | 'delete' | 'lock';

export type LoadResult = { list: ModelList | undefined; hasFailed: boolean };

/**
 * One list of one account in a `ModelListStore`. Neither its key nor its value holds a credential, an account id or a path:
 * hashes tell lists apart. No failure of a store fails a call.
 */
export class StoredList {
	readonly #store: ModelListStore;
	readonly #settings: Settings;
	readonly #key: string;
	readonly #emit: Emit;

	constructor(
		store: ModelListStore,
		settings: Settings,
		{ cwd, codexHome }: FetchTarget,
		account: string,
		emit: Emit,
	) {
		const { command, args, env } = settings;
		// "~", because the machines of a fleet may differ in where their homes are.
		const place = cwd === findHome() ? '~' : cwd;
		const program = typeof command === 'string' ? command : null;
		this.#store = store;
		this.#settings = settings;
		this.#key = `codex-models:${version}:${hash(program, args, env, place, codexHome ?? null, account)}`;
		this.#emit = emit;
	}

	/** The stored list, if it is valid and newer than `newerThan` (epoch ms). */
	async load(current: Fingerprint, newerThan: number): Promise<LoadResult> {
		const answer = await this.#try('get', () => this.#store.get(this.#key));
		const list = answer && this.#parse(answer.value, current);
		if (!list || list.fetchedAt <= newerThan) return { list: undefined, hasFailed: !answer };
		this.#emit({ type: 'loaded', ageMs: Date.now() - list.fetchedAt });
		return { list, hasFailed: false };
	}

	async save(list: ModelList): Promise<void> {
		const { maxAgeMs, staleWhileRevalidateMs } = this.#settings;
		const { fetchedAt, fingerprint, configured } = list;
		const ttlMs = maxAgeMs + staleWhileRevalidateMs - (Date.now() - fetchedAt);
		if (ttlMs <= 0) return;
		const { configuration, command } = fingerprint;
		const models = list.copyModels(true);
		const value = {
			version,
			fetchedAt,
			machine,
			configuration,
			command,
			configured: { ...configured },
			models,
		};
		await this.#try('set', () =>
			this.#store.set(this.#key, value, ttlMs === Number.POSITIVE_INFINITY ? undefined : ttlMs),
		);
	}

	async delete(): Promise<void> {
		await this.#try('delete', () => this.#store.delete(this.#key));
	}

	/**
	 * Resolves to the release; to `undefined` where the store cannot lock. Rejects only with the signal's reason, when a lock
	 * that comes a little later is released, too.
	 */
	async lock(signal: AbortSignal): Promise<(() => Promise<unknown>) | undefined> {
		const locked = (async () => this.#store.lock?.(this.#key, signal))();
		// The fetch needs a part of its time, too.
		const milliseconds = Math.min(lockTimeoutMs, Math.max(1, this.#settings.fetchTimeoutMs / 2));
		const message = `The store did not lock within ${milliseconds} ms`;
		try {
			const unlock = await pTimeout(locked, {
				milliseconds,
				message,
				signal,
				customTimers: unrefTimers,
			});
			return unlock && (() => this.#try('lock', unlock));
		} catch (error) {
			const released = locked.then((unlock) => unlock?.()).catch(() => {});
			if (signal.aborted) {
				await pTimeout(released, {
					milliseconds: storeTimeoutMs,
					message: false,
					customTimers: unrefTimers,
				});
				throw signal.reason;
			}
			this.#emitFailure('lock', error);
			return async () => {};
		}
	}

	#parse(value: unknown, current: Fingerprint): ModelList | undefined {
		// A store may return anything, also an object whose properties throw.
		try {
			const stored = value as Record<string, unknown>;
			const { fetchedAt, models } = stored;
			if (
				stored.version !== version ||
				typeof fetchedAt !== 'number' ||
				!(fetchedAt >= 0 && fetchedAt <= Date.now())
			)
				return undefined;
			if (!Array.isArray(models) || models.length === 0 || models.length > maxModels)
				return undefined;
			const parsed = parseModels(models, 'effort');
			if (!isDeepStrictEqual(parsed, models)) return undefined;
			const { model, modelProvider, reasoningEffort } = (stored.configured ?? {}) as Record<
				string,
				unknown
			>;
			const configured = {
				model: toText(model),
				modelProvider: toText(modelProvider),
				reasoningEffort: toText(reasoningEffort),
			};
			// The files of another machine cannot be compared with those of this one: only the age of its list counts.
			const isOwn = stored.machine === machine && typeof stored.configuration === 'string';
			const files = isOwn
				? { configuration: stored.configuration as string, command: toText(stored.command) }
				: {};
			return new ModelList({ models: parsed, configured }, fetchedAt, { ...current, ...files });
		} catch {
			return undefined;
		}
	}

	/** The result of an operation, or `undefined` where it failed or took too long. */
	async #try(operation: Operation, act: () => unknown): Promise<{ value: unknown } | undefined> {
		const message = `The store did not answer within ${storeTimeoutMs} ms`;
		try {
			const value = await pTimeout((async () => act())(), {
				milliseconds: storeTimeoutMs,
				message,
				customTimers: unrefTimers,
			});
			return { value };
		} catch (error) {
			this.#emitFailure(operation, error);
			return undefined;
		}
	}

	#emitFailure(operation: Operation, error: unknown): void {
		this.#emit({ type: 'store-failed', operation, reason: toReason(error) });
	}
}
