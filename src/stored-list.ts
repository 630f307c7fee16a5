import { hostname } from 'node:os';
import { inspect } from 'node:util';
import pTimeout from 'p-timeout';
import type { Report } from './events.js';
import { hash } from './hash.js';
import { findHome } from './home.js';
import { copyModel, isCodexModel } from './model.js';
import { ModelList } from './model-list.js';
import type { ListPlace, ResolvedOptions } from './options.js';
import type { Origin } from './origin.js';
import type { ModelListStore } from './store.js';
import { unrefTimers } from './timers.js';

/** Of the value's shape; another one is not read. */
const version = 1;

/** How long a store may take, in milliseconds. */
const storeTimeoutMs = 1_000;

type Operation = 'get' | 'set' | 'delete' | 'lock';

/**
 * One list in a `ModelListStore`. Neither its key nor its value holds a credential, an account id or a path: what tells
 * lists apart is hashed. Nothing that a store does fails a call.
 */
export class StoredList {
	readonly #store: ModelListStore;
	readonly #key: string;
	readonly #origin: Origin;
	readonly #ttlMs: number;
	readonly #report: Report;
	#isSilent = false;

	constructor(
		store: ModelListStore,
		options: ResolvedOptions,
		{ cwd, codexHome }: ListPlace,
		origin: Origin,
		report: Report,
	) {
		const { command, args, freshMs, staleMs } = options;
		this.#store = store;
		// "~", for machines of a fleet may differ in where their homes are.
		const place = cwd === findHome() ? '~' : cwd;
		this.#key = `codex-models:${version}:${hash(command, args, place, codexHome ?? null, origin.account)}`;
		this.#origin = origin;
		this.#ttlMs = Math.max(freshMs, staleMs);
		this.#report = report;
	}

	/** Whether the store gave no answer when it was last asked for the list. */
	get isSilent(): boolean {
		return this.#isSilent;
	}

	/** What is there, if it is a list of this place and account, and not spoilt. */
	async load(): Promise<ModelList | undefined> {
		let list: ModelList | undefined;
		this.#isSilent = true;
		await this.#try('get', async () => {
			const value = await this.#store.get(this.#key);
			this.#isSilent = false;
			list = this.#read(value);
		});
		if (list) this.#report({ type: 'loaded', ageMs: Date.now() - list.fetchedAt });
		return list;
	}

	async save(list: ModelList): Promise<void> {
		const ttlMs = this.#ttlMs - (Date.now() - list.fetchedAt);
		if (ttlMs <= 0) return;
		const { fetchedAt } = list;
		const { configuration } = this.#origin;
		const value = { version, fetchedAt, machine, configuration, models: list.copyModels(true) };
		await this.#try('set', () =>
			this.#store.set(this.#key, value, ttlMs === Number.POSITIVE_INFINITY ? undefined : ttlMs),
		);
	}

	async delete(): Promise<void> {
		await this.#try('delete', () => this.#store.delete(this.#key));
	}

	/** Resolves to the release; at once where the store cannot lock. Rejects only when the signal aborts. */
	async lock(signal: AbortSignal): Promise<() => Promise<void>> {
		const locked = (async () => this.#store.lock?.(this.#key, signal))();
		try {
			const release = await pTimeout(locked, { milliseconds: Number.POSITIVE_INFINITY, signal });
			return async () => {
				if (release) await this.#try('lock', release);
			};
		} catch (error) {
			// One that comes too late is nobody's.
			locked.then((release) => release?.()).catch(() => {});
			signal.throwIfAborted();
			await this.#fail('lock', error);
			return async () => {};
		}
	}

	#read(value: unknown): ModelList | undefined {
		if (typeof value !== 'object' || value === null) return undefined;
		const entry = value as Record<string, unknown>;
		const { fetchedAt, models, configuration } = entry;
		if (entry.version !== version) return undefined;
		if (typeof fetchedAt !== 'number' || !(fetchedAt >= 0 && fetchedAt <= Date.now())) return undefined;
		if (!Array.isArray(models) || models.length === 0 || !models.every(isCodexModel)) return undefined;
		return new ModelList(models.map(copyModel), fetchedAt, {
			account: this.#origin.account,
			// What another machine's files were is not to be compared with this one's: its list is as good as its age.
			configuration:
				entry.machine === machine && typeof configuration === 'string'
					? configuration
					: this.#origin.configuration,
		});
	}

	async #try(operation: Operation, act: () => unknown): Promise<unknown> {
		try {
			return await pTimeout((async () => act())(), {
				milliseconds: storeTimeoutMs,
				message: `The store did not answer within ${storeTimeoutMs} ms`,
				customTimers: unrefTimers,
			});
		} catch (error) {
			await this.#fail(operation, error);
			return undefined;
		}
	}

	async #fail(operation: Operation, error: unknown): Promise<void> {
		const { redact } = await import('./redact.js');
		const text = error instanceof Error ? error.message : error;
		const reason = redact(typeof text === 'string' ? text : inspect(text, { depth: 0 }));
		this.#report({ type: 'store-failed', operation, reason });
	}
}

const machine = hash('machine', hostname());
