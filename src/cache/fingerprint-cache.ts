import QuickLRU from 'quick-lru';
import type { FetchTarget, Fingerprint } from '../core/fetch.js';
import { clearTimer, setUnrefInterval } from '../core/timers.js';

/** The files of a target, and the cache key of its list: the target and the account. */
export type TargetFingerprint = Fingerprint & { readonly cacheKey: string };

export type ReadFingerprint = (target: FetchTarget) => Promise<Fingerprint>;

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/**
 * How long a caller with a known list waits for a look at the files, in milliseconds: a dead network mount hangs it. The time
 * in which the event loop stands still counts as one step, because the look stands still, too.
 */
const lookLimitMs = 100;
const stepMs = 10;

const spareStates = 1_000;

/** `lookedAt` and `validUntil` are in epoch ms. */
type State = { latest?: TargetFingerprint; pending?: Promise<TargetFingerprint>; lookedAt: number; validUntil: number };

/** The latest fingerprints, by target. All who ask at once share one look at the files. */
export class FingerprintCache {
	readonly #read: ReadFingerprint;
	readonly #states: QuickLRU<string, State>;

	constructor(read: ReadFingerprint, maxEntries: number) {
		this.#read = read;
		// A target without a list, such as one that failed, must not evict that of a remembered list.
		this.#states = new QuickLRU({ maxSize: maxEntries + spareStates });
	}

	/** The result of the latest look; `undefined` before the first one. */
	latest({ key }: FetchTarget): TargetFingerprint | undefined {
		return this.#states.peek(key)?.latest;
	}

	/** The same, unless it is time for another look. */
	current({ key }: FetchTarget, now: number): TargetFingerprint | undefined {
		const state = this.#states.get(key);
		return state && now >= state.lookedAt && now < state.validUntil ? state.latest : undefined;
	}

	look(target: FetchTarget): Promise<TargetFingerprint> {
		const state = this.#getState(target);
		state.pending ??= this.#look(target, state);
		return state.pending;
	}

	/**
	 * A look within a limit; after the limit, `fallback` counts until the look ends.
	 *
	 * @param isNew - whether the look starts now: one under way may have read a file before the file changed.
	 */
	lookWithinLimit(target: FetchTarget, fallback: TargetFingerprint, isNew = false): Promise<TargetFingerprint> {
		const state = this.#getState(target);
		const look = (isNew && state.pending?.then(() => this.look(target))) || this.look(target);
		let waitedMs = 0;
		let timer: NodeJS.Timeout | undefined;
		const limit = new Promise<TargetFingerprint>((resolve) => {
			timer = setUnrefInterval(() => {
				waitedMs += stepMs;
				if (waitedMs < lookLimitMs) return;
				if (state.pending === look) state.validUntil = Number.POSITIVE_INFINITY;
				resolve(fallback);
			}, stepMs);
		});
		return Promise.race([look, limit]).finally(() => clearTimer(timer));
	}

	async #look(target: FetchTarget, state: State): Promise<TargetFingerprint> {
		const lookedAt = Date.now();
		try {
			const fingerprint = await this.#read(target);
			state.latest = { ...fingerprint, cacheKey: `${target.key}\0${fingerprint.account}` };
			state.lookedAt = lookedAt;
			return state.latest;
		} finally {
			state.validUntil = state.lookedAt + lookIntervalMs;
			delete state.pending;
		}
	}

	#getState({ key }: FetchTarget): State {
		const state = this.#states.get(key) ?? { lookedAt: 0, validUntil: 0 };
		this.#states.set(key, state);
		return state;
	}
}
