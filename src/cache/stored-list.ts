import { hostname } from 'node:os';
import pTimeout from 'p-timeout';
import { type CodexConfiguredModel, type CodexModel, copyModel, isObject, toText } from '../core/codex-model.js';
import { findHome } from '../core/environment.js';
import type { Emit } from '../core/events.js';
import type { FetchTarget, Fingerprint } from '../core/fetch.js';
import { hash } from '../core/hash.js';
import type { ModelListStore } from '../core/model-list-store.js';
import { toReason } from '../core/sanitize.js';
import type { Settings } from '../core/settings.js';
import { unrefTimers } from '../core/timers.js';
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

export type StoreLookup = { list: ModelList | undefined; timedOut: boolean };

/**
 * One list in a `ModelListStore`. Neither its key nor its value holds a credential, an account id or a path: hashes tell
 * lists apart. No failure of a store fails a call.
 */
export class StoredList {
	readonly #store: ModelListStore;
	readonly #settings: Settings;
	readonly #key: string;
	readonly #fingerprint: Fingerprint;
	readonly #emit: Emit;

	constructor(store: ModelListStore, settings: Settings, { cwd, codexHome }: FetchTarget, fingerprint: Fingerprint, emit: Emit) {
		const { command, args } = settings;
		// "~", because the machines of a fleet may differ in where their homes are.
		const place = cwd === findHome() ? '~' : cwd;
		const program = typeof command === 'string' ? command : null;
		this.#store = store;
		this.#settings = settings;
		this.#key = `codex-models:${version}:${hash(program, args, place, codexHome ?? null, fingerprint.account)}`;
		this.#fingerprint = fingerprint;
		this.#emit = emit;
	}

	/** Whether other processes can be kept from fetching the same list. */
	get canLock(): boolean {
		// The property of a proxy may throw.
		try {
			return typeof this.#store.lock === 'function';
		} catch {
			return false;
		}
	}

	/** The stored list, if it is valid and newer than `minFetchedAt` (epoch ms). */
	async load(minFetchedAt: number): Promise<StoreLookup> {
		const answer = await this.#try('get', () => this.#store.get(this.#key));
		if (!answer) return { list: undefined, timedOut: true };
		const list = this.#parse(answer.value);
		if (!list || list.fetchedAt <= minFetchedAt) return { list: undefined, timedOut: false };
		this.#emit({ type: 'loaded', ageMs: Date.now() - list.fetchedAt });
		return { list, timedOut: false };
	}

	async save(list: ModelList): Promise<void> {
		const { maxAgeMs, staleWhileRevalidateMs } = this.#settings;
		const ttlMs = maxAgeMs + staleWhileRevalidateMs - (Date.now() - list.fetchedAt);
		if (ttlMs <= 0) return;
		const { fetchedAt, fingerprint, configured } = list;
		const { configuration, command } = fingerprint;
		const facts = { version, fetchedAt, machine, configuration, command, configured: { ...configured } };
		const value = { ...facts, models: list.copyModels(true) };
		await this.#try('set', () => this.#store.set(this.#key, value, ttlMs === Number.POSITIVE_INFINITY ? undefined : ttlMs));
	}

	async delete(): Promise<void> {
		await this.#try('delete', () => this.#store.delete(this.#key));
	}

	/** Resolves to the release; at once where the store cannot lock. Rejects only with the signal's reason. */
	async lock(signal: AbortSignal): Promise<() => Promise<void>> {
		const locked = (async () => this.#store.lock?.(this.#key, signal))();
		try {
			const release = await pTimeout(locked, {
				milliseconds: lockTimeoutMs,
				message: `The store did not lock within ${lockTimeoutMs} ms`,
				signal,
				customTimers: unrefTimers,
			});
			return async () => {
				if (release) await this.#try('lock', release);
			};
		} catch (error) {
			// A lock that comes after the abort is released at once.
			locked.then((release) => release?.()).catch(() => {});
			signal.throwIfAborted();
			this.#fail('lock', error);
			return async () => {};
		}
	}

	#parse(value: unknown): ModelList | undefined {
		try {
			if (!isObject(value) || value.version !== version) return undefined;
			const { fetchedAt, models, configured, configuration, command } = value;
			if (typeof fetchedAt !== 'number' || !(fetchedAt >= 0 && fetchedAt <= Date.now())) return undefined;
			if (!Array.isArray(models) || models.length === 0 || models.length > maxModels) return undefined;
			if (!models.every(isCodexModel)) return undefined;
			// The files of another machine cannot be compared with those of this one: only the age of its list counts.
			const isOwn = value.machine === machine && typeof configuration === 'string';
			const fingerprint = isOwn ? { ...this.#fingerprint, configuration, command: toText(command) } : this.#fingerprint;
			const answer = { models: (models as CodexModel[]).map(copyModel), configured: toConfiguredModel(configured) };
			return new ModelList(answer, fetchedAt, fingerprint);
		} catch {
			// A store may return an object whose properties throw.
			return undefined;
		}
	}

	/** The result of an operation, or `undefined` where it failed or took too long. */
	async #try(operation: Operation, act: () => unknown): Promise<{ value: unknown } | undefined> {
		try {
			const value = await pTimeout((async () => act())(), {
				milliseconds: storeTimeoutMs,
				message: `The store did not answer within ${storeTimeoutMs} ms`,
				customTimers: unrefTimers,
			});
			return { value };
		} catch (error) {
			this.#fail(operation, error);
			return undefined;
		}
	}

	#fail(operation: Operation, error: unknown): void {
		this.#emit({ type: 'store-failed', operation, reason: toReason(error) });
	}
}

const toConfiguredModel = (value: unknown): CodexConfiguredModel => {
	const { model, modelProvider, reasoningEffort } = isObject(value) ? value : {};
	return { model: toText(model), modelProvider: toText(modelProvider), reasoningEffort: toText(reasoningEffort) };
};

const isString = (value: unknown) => typeof value === 'string';
const isNullOrString = (value: unknown) => value === null || isString(value);
const isBoolean = (value: unknown) => typeof value === 'boolean';
const isFilled = (value: unknown) => toText(value) !== null;
const isArrayOf = (isItem: (item: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(isItem);
const isObjectOf = (checks: Record<string, (value: unknown) => boolean>) => (value: unknown) =>
	isObject(value) && Object.entries(checks).every(([name, check]) => check(value[name]));

/** Whether a value from a store has the shape of a `CodexModel`. */
const isCodexModel: (value: unknown) => boolean = isObjectOf({
	id: isFilled,
	model: isFilled,
	displayName: isFilled,
	description: isNullOrString,
	hidden: isBoolean,
	isDefault: isBoolean,
	upgrade: isNullOrString,
	supportedReasoningEfforts: isArrayOf(isObjectOf({ effort: isString, description: isNullOrString })),
	defaultReasoningEffort: isNullOrString,
	serviceTiers: isArrayOf(isObjectOf({ id: isString, name: isNullOrString, description: isNullOrString })),
	defaultServiceTier: isNullOrString,
	inputModalities: isArrayOf(isString),
} satisfies Record<keyof CodexModel, (value: unknown) => boolean>);
