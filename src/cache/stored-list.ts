import { hostname } from 'node:os';
import pTimeout from 'p-timeout';
import { deepFreeze, isObject, toCodexModel, toText } from '../api/codex-model.js';
import type { Emit } from '../api/events.js';
import type { ModelListStore } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { hash } from '../system/hash.js';
import { toReason } from '../system/sanitize.js';
import { unrefTimers } from '../system/timers.js';
import type { CacheEntry } from './cache-entry.js';
import type { Inputs } from './inputs.js';
import { type ModelList, makeModelList, toWarnings } from './model-list.js';

/** The version of the stored shape; a value of another version is not read. */
const version = 3;
/** How long one operation of a store may take, in milliseconds; the wait for a lock takes as long as a fetch. */
const storeTimeoutMs = 1_000;

const machine = hash('machine', hostname());

type Operation = 'get' | 'set' | 'delete' | 'lock';

/**
 * One list of one login in a `ModelListStore`. Its key is a digest, and its value holds no credential: what Codex said, and
 * the inputs. No failure of a store fails a call.
 */
export class StoredList {
	readonly #store: ModelListStore;
	readonly #settings: Settings;
	readonly #key: string;
	readonly #inputs: Pick<Inputs, 'login' | 'command'>;
	readonly #emit: Emit;

	constructor(
		store: ModelListStore,
		settings: Settings,
		{ target, login }: CacheEntry,
		command: string,
		emit: Emit,
	) {
		const { args, env } = settings;
		const { cwd, codexHome = null } = target;
		this.#store = store;
		this.#settings = settings;
		this.#inputs = { login, command };
		this.#key = `codex-models:${version}:${hash(command, args, env, cwd, codexHome, login)}`;
		this.#emit = emit;
	}

	/** The stored list, if it is valid and newer than `newerThan` (epoch ms). */
	async load(newerThan: number): Promise<ModelList | undefined> {
		const answer = await this.#try('get', () => this.#store.get(this.#key));
		const list = this.#parse(answer?.value);
		if (!list || list.fetchedAt <= newerThan) return undefined;
		this.#emit({ type: 'loaded', ageMs: Date.now() - list.fetchedAt });
		return list;
	}

	/** Saves the list; deletes it again where its entry was dropped meanwhile. */
	async save(list: ModelList, entry: CacheEntry): Promise<void> {
		const { maxAgeMs, staleWhileRevalidateMs } = this.#settings;
		const { fetchedAt, configured, warnings, views } = list;
		const { files } = list.inputs;
		const ttlMs = maxAgeMs + staleWhileRevalidateMs - (Date.now() - fetchedAt);
		if (ttlMs <= 0) return;
		const value = { version, fetchedAt, machine, files, configured, warnings, models: views.all };
		const limitMs = ttlMs === Number.POSITIVE_INFINITY ? undefined : ttlMs;
		await this.#try('set', () => this.#store.set(this.#key, value, limitMs));
		if (entry.isDropped) await this.delete();
	}

	async delete(): Promise<void> {
		await this.#try('delete', () => this.#store.delete(this.#key));
	}

	/**
	 * Resolves to the release; to `undefined` where the store cannot lock. Rejects only with the signal's reason, when a lock
	 * that comes a little later is released, too.
	 */
	async lock(signal: AbortSignal): Promise<(() => Promise<unknown>) | undefined> {
		if (!this.#store.lock) return undefined;
		const locked = (async () => this.#store.lock?.(this.#key, signal))();
		try {
			const limits = { milliseconds: Number.POSITIVE_INFINITY, signal };
			const unlock = await pTimeout(locked, limits);
			if (!signal.aborted) return () => this.#try('lock', () => unlock?.());
		} catch (error) {
			if (!signal.aborted)
				this.#emit({ type: 'store-failed', operation: 'lock', reason: toReason(error) });
		}
		if (!signal.aborted) return undefined;
		const released = locked.then((unlock) => unlock?.()).catch(() => {});
		await pTimeout(released, {
			milliseconds: storeTimeoutMs,
			message: false,
			customTimers: unrefTimers,
		});
		throw signal.reason;
	}

	#parse(value: unknown): ModelList | undefined {
		// A store may return anything, also an object whose properties throw.
		try {
			if (!isObject(value) || value.version !== version) return undefined;
			const { fetchedAt, files } = value;
			if (typeof fetchedAt !== 'number' || !(fetchedAt >= 0 && fetchedAt <= Date.now()))
				return undefined;
			if (!Array.isArray(value.models) || !isObject(files)) return undefined;
			const models = value.models.flatMap((entry) => toCodexModel(entry) ?? []);
			if (models.length === 0 || models.length < value.models.length) return undefined;
			// The files of another machine cannot be compared with those of this one: only the age of its list counts.
			const versions = value.machine === machine ? (files as Inputs['files']) : {};
			const inputs = { ...this.#inputs, files: versions };
			const { model, modelProvider, reasoningEffort } = isObject(value.configured)
				? value.configured
				: {};
			const configured = deepFreeze({
				model: toText(model),
				modelProvider: toText(modelProvider),
				reasoningEffort: toText(reasoningEffort),
			});
			const warnings = toWarnings(value.warnings);
			return makeModelList({ models, configured, warnings }, fetchedAt, inputs);
		} catch {
			return undefined;
		}
	}

	/** The result of an operation, or `undefined` where it failed or took too long. */
	async #try(operation: Operation, act: () => unknown): Promise<{ value: unknown } | undefined> {
		const message = `The store did not answer within ${storeTimeoutMs} ms`;
		try {
			const limits = { milliseconds: storeTimeoutMs, message, customTimers: unrefTimers };
			const value = await pTimeout((async () => act())(), limits);
			return { value };
		} catch (error) {
			this.#emit({ type: 'store-failed', operation, reason: toReason(error) });
			return undefined;
		}
	}
}
