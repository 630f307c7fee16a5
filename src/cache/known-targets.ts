import QuickLRU from 'quick-lru';
import type { Target } from '../api/fetch.js';
import type { CacheEntry } from './cache-entry.js';
import type { CacheContext } from './context.js';
import { isCurrent, listFiles, lookAtInputs, withPatience } from './inputs.js';

/** A target: the login at the last look at its files, the time of that look in epoch ms, and the entries by login. */
type KnownTarget = {
	login: string;
	lookedAt: number;
	look: Promise<true> | undefined;
	readonly entries: QuickLRU<string, CacheEntry>;
};

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/** How long a caller waits for a look, in milliseconds: with a remembered list, and without one. */
const patienceMs = { withList: 100, withoutList: 1_000 };
/** The login of files that cannot be looked at. Its lists are not remembered. */
const unknownLogin = 'unknown';
/** The logins between which a user may switch without a fetch. */
const maxLogins = 8;

/** The targets of a cache, and the login that each has at the last look at its files. */
export class KnownTargets {
	readonly #context: CacheContext;
	readonly #onLook: (target: Target) => void;
	readonly #targets: QuickLRU<string, KnownTarget>;

	/** @param onLook - is called after each look. */
	constructor(context: CacheContext, onLook: (target: Target) => void) {
		this.#context = context;
		this.#onLook = onLook;
		this.#targets = new QuickLRU({ maxSize: context.settings.maxEntries });
	}

	/** Whether it is not yet time for another look. */
	isRecent(target: Target): boolean {
		const ageMs = Date.now() - (this.#targets.get(target.key)?.lookedAt ?? Number.NaN);
		return ageMs >= 0 && ageMs < lookIntervalMs;
	}

	/** The entry of the login at the last look. */
	peekEntry(target: Target): CacheEntry | undefined {
		const known = this.#targets.peek(target.key);
		return known?.entries.peek(known.login);
	}

	getEntry(target: Target, login: string): CacheEntry | undefined {
		return this.#targets.peek(target.key)?.entries.get(login);
	}

	addEntry(entry: CacheEntry): void {
		this.#targets.peek(entry.target.key)?.entries.set(entry.login, entry);
	}

	/** Forgets every entry; returns them. */
	takeEntries(): CacheEntry[] {
		const all = [...this.#targets.values()].map(({ entries }) => entries);
		const taken = all.flatMap((entries) => [...entries.values()]);
		for (const entries of all) entries.clear();
		return taken;
	}

	/**
	 * Looks at the files of a target, once for all callers, and resolves to the login. A caller with a remembered list does not
	 * wait for long.
	 */
	async look(target: Target): Promise<string> {
		const known = this.#targets.get(target.key) ?? {
			login: unknownLogin,
			lookedAt: Number.NaN,
			look: undefined,
			entries: new QuickLRU({ maxSize: maxLogins }),
		};
		this.#targets.set(target.key, known);
		if (this.isRecent(target)) return known.login;
		known.look ??= this.#lookNow(target, known);
		const hasList = this.peekEntry(target)?.list !== undefined;
		const limitMs = hasList ? patienceMs.withList : patienceMs.withoutList;
		const isDone = await withPatience(known.look, limitMs);
		// A look that does not come back is not waited for again before the next one is due.
		if (hasList && !isDone) known.lookedAt = Date.now();
		return known.login;
	}

	async #lookNow(target: Target, known: KnownTarget): Promise<true> {
		const { settings, command } = this.#context;
		const lookedAt = Date.now();
		const files = listFiles(known.entries.peek(known.login)?.list?.inputs);
		const seen = await lookAtInputs(target, settings, command.latest, files);
		Object.assign(known, { login: seen.login ?? known.login, lookedAt, look: undefined });
		const entry = known.entries.peek(known.login);
		if (entry?.list) entry.setCurrent(isCurrent(entry.list.inputs, seen));
		this.#onLook(target);
		return true;
	}
}
