import pTimeout from 'p-timeout';
import QuickLRU from 'quick-lru';
import type { FetchTarget, Fingerprint } from '../core/fetch.js';
import { unrefTimers } from '../core/timers.js';

export type ReadFingerprint = (target: FetchTarget) => Promise<Fingerprint>;

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const checkIntervalMs = 1_000;

/** How long a caller with a known list waits for a look at the files, in milliseconds: a dead network mount hangs it. */
const lookLimitMs = 100;

type State = { fingerprint?: Fingerprint; checkedAt: number; pending?: Promise<Fingerprint> | undefined; hangs: boolean };

/** The latest fingerprints, by target. */
export class FingerprintCache {
	readonly #read: ReadFingerprint;
	readonly #states: QuickLRU<string, State>;

	constructor(read: ReadFingerprint, { maxEntries }: { maxEntries: number }) {
		this.#read = read;
		this.#states = new QuickLRU({ maxSize: maxEntries });
	}

	/** The result of the latest look; `undefined` before the first one. */
	latest({ key }: FetchTarget): Fingerprint | undefined {
		return this.#states.peek(key)?.fingerprint;
	}

	/** The same, unless it is time for another look. */
	current({ key }: FetchTarget, now: number): Fingerprint | undefined {
		const state = this.#states.get(key);
		if (state === undefined) return undefined;
		const sinceMs = now - state.checkedAt;
		return state.hangs || (sinceMs >= 0 && sinceMs < checkIntervalMs) ? state.fingerprint : undefined;
	}

	/** Looks at the files; all who ask at once share one look. */
	read(target: FetchTarget): Promise<Fingerprint> {
		const state = this.#getState(target);
		state.pending ??= this.#look(target, state);
		return state.pending;
	}

	/** The same within a limit; after it, `known` counts until the look ends. */
	async readWithinLimit(target: FetchTarget, known: Fingerprint, look = this.read(target)): Promise<Fingerprint> {
		const state = this.#getState(target);
		const fallback = () => {
			if (state.pending === look) state.hangs = state.fingerprint !== undefined;
			return known;
		};
		return pTimeout(look, { milliseconds: lookLimitMs, fallback, customTimers: unrefTimers });
	}

	/** The same by a look that starts now: one under way may have read a file before the file changed. */
	readAnewWithinLimit(target: FetchTarget, known: Fingerprint): Promise<Fingerprint> {
		const { pending } = this.#getState(target);
		return this.readWithinLimit(
			target,
			known,
			pending?.then(() => this.read(target)),
		);
	}

	async #look(target: FetchTarget, state: State): Promise<Fingerprint> {
		const startedAt = Date.now();
		try {
			state.fingerprint = await this.#read(target);
			state.checkedAt = startedAt;
			return state.fingerprint;
		} finally {
			state.pending = undefined;
			state.hangs = false;
		}
	}

	#getState({ key }: FetchTarget): State {
		const state = this.#states.get(key) ?? { checkedAt: Number.NEGATIVE_INFINITY, hangs: false };
		this.#states.set(key, state);
		return state;
	}
}
