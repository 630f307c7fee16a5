import QuickLRU from 'quick-lru';
import type { FetchTarget, Fingerprint } from '../api/fetch.js';
import { clearTimer, setUnrefInterval } from '../system/timers.js';

/** The files of a target, and the cache key of its list: the target and the account. */
export type TargetFingerprint = Fingerprint & { readonly cacheKey: string };

export type ReadFingerprint = (target: FetchTarget) => Promise<Fingerprint>;

/** The minimum time between two reads of the files, in milliseconds, so that a hit stays cheap. */
const readIntervalMs = 1_000;
/**
 * How long a caller with a list waits for a read of the files, in milliseconds: a dead network mount hangs it. The time in
 * which the event loop stands still counts as one step, because the read stands still, too.
 */
const readTimeoutMs = 100;
const stepMs = 10;

const spareStates = 1_000;

/** `readAt` and `validUntil` are in epoch ms. */
type State = {
	latest?: TargetFingerprint;
	pending?: Promise<TargetFingerprint>;
	readAt: number;
	validUntil: number;
};

/** The latest fingerprints, by target. All who ask at once share one read of the files. */
export class FingerprintCache {
	readonly #readFiles: ReadFingerprint;
	readonly #states: QuickLRU<string, State>;

	constructor(readFiles: ReadFingerprint, maxEntries: number) {
		this.#readFiles = readFiles;
		// A target without a list, such as one that failed, must not evict that of a remembered list.
		this.#states = new QuickLRU({ maxSize: maxEntries + spareStates });
	}

	/** The result of the latest read, of any age; `undefined` before the first one. */
	getLastKnown({ key }: FetchTarget): TargetFingerprint | undefined {
		return this.#states.peek(key)?.latest;
	}

	/** The result of the latest read, unless it is time for another one. */
	getFresh({ key }: FetchTarget, now: number): TargetFingerprint | undefined {
		const state = this.#states.get(key);
		return state && now >= state.readAt && now < state.validUntil ? state.latest : undefined;
	}

	/** Reads the files; joins a read under way. */
	read(target: FetchTarget): Promise<TargetFingerprint> {
		const state = this.#getState(target);
		state.pending ??= this.#read(target, state);
		return state.pending;
	}

	/**
	 * Reads the files within a time limit. After it, `fallback` counts until the read ends.
	 *
	 * @param isNew - whether the read starts now: one under way may have read a file before the file changed.
	 */
	readWithTimeout(
		target: FetchTarget,
		fallback: TargetFingerprint,
		{ isNew = false } = {},
	): Promise<TargetFingerprint> {
		const state = this.#getState(target);
		const read = (isNew && state.pending?.then(() => this.read(target))) || this.read(target);
		let waitedMs = 0;
		let timer: NodeJS.Timeout | undefined;
		const limit = new Promise<TargetFingerprint>((resolve) => {
			timer = setUnrefInterval(() => {
				waitedMs += stepMs;
				if (waitedMs < readTimeoutMs) return;
				if (state.pending === read) state.validUntil = Number.POSITIVE_INFINITY;
				resolve(fallback);
			}, stepMs);
		});
		return Promise.race([read, limit]).finally(() => clearTimer(timer));
	}

	async #read(target: FetchTarget, state: State): Promise<TargetFingerprint> {
		const readAt = Date.now();
		try {
			const fingerprint = await this.#readFiles(target);
			state.latest = { ...fingerprint, cacheKey: `${target.key}\0${fingerprint.account}` };
			state.readAt = readAt;
			return state.latest;
		} finally {
			state.validUntil = state.readAt + readIntervalMs;
			delete state.pending;
		}
	}

	#getState({ key }: FetchTarget): State {
		const state = this.#states.get(key) ?? { readAt: 0, validUntil: 0 };
		this.#states.set(key, state);
		return state;
	}
}
