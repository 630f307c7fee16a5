import QuickLRU from 'quick-lru';
import type { Target } from '../api/fetch.js';
import type { CacheEntry } from './cache-entry.js';
import type { CacheContext } from './context.js';
import { listFiles, lookAtInputs, withPatience } from './inputs.js';

/** The last look at the files of a target, at `lookedAt` in epoch ms: the login that was there, and the look under way. */
type LastLook = { login: string; lookedAt: number; pending?: Promise<true> | undefined };

/** The minimum time between two looks at the files, in milliseconds, so that a hit stays cheap. */
const lookIntervalMs = 1_000;
/** How long a caller with a remembered list waits for a look, in milliseconds. */
const patienceMs = 100;
/** The login of files that cannot be looked at. Its lists are not remembered. */
const unknownLogin = 'unknown';
/** The looks at targets without a list, such as ones that fail, which evict no look at a target with one. */
const spareLooks = 1_000;

/** The lists of a cache by target and login, and the login that each target has at the last look at its files. */
export class KnownTargets {
	readonly #context: CacheContext;
	readonly #onLook: (target: Target) => void;
	readonly #looks: QuickLRU<string, LastLook>;
	/** The entries that have a list. */
	readonly #entries: QuickLRU<string, CacheEntry>;

	/** @param onLook - is called after each look. */
	constructor(context: CacheContext, onLook: (target: Target) => void) {
		this.#context = context;
		this.#onLook = onLook;
		const { maxEntries } = context.settings;
		this.#looks = new QuickLRU({ maxSize: maxEntries + spareLooks });
		this.#entries = new QuickLRU({ maxSize: maxEntries });
	}

	/** Whether it is not yet time for another look. */
	isRecent(target: Target): boolean {
		const ageMs = Date.now() - (this.#looks.get(target.key)?.lookedAt ?? Number.NaN);
		return ageMs >= 0 && ageMs < lookIntervalMs;
	}

	/** The entry of a login, by default of that at the last look. */
	getEntry(target: Target, login = this.#looks.peek(target.key)?.login): CacheEntry | undefined {
		return this.#entries.get(toKey(target, login));
	}

	/** Remembers an entry that has a list. */
	addEntry(entry: CacheEntry): void {
		if (entry.list && !entry.isDropped) this.#entries.set(toKey(entry.target, entry.login), entry);
	}

	/** Forgets every entry; returns them. */
	takeEntries(): CacheEntry[] {
		const taken = [...this.#entries.values()];
		this.#entries.clear();
		return taken;
	}

	/**
	 * Looks at the files of a target, once for all callers, and resolves to the login. A caller with a remembered list does not
	 * wait for long.
	 */
	async look(target: Target): Promise<string> {
		const known = this.#looks.get(target.key);
		const look: LastLook = known ?? { login: unknownLogin, lookedAt: Number.NaN };
		this.#looks.set(target.key, look);
		if (this.isRecent(target)) return look.login;
		look.pending ??= this.#lookNow(target, look);
		const hasList = this.getEntry(target) !== undefined;
		const isDone = await withPatience(look.pending, hasList ? patienceMs : undefined);
		// A look that does not come back is not waited for again before the next one is due.
		if (hasList && !isDone) look.lookedAt = Date.now();
		return look.login;
	}

	async #lookNow(target: Target, look: LastLook): Promise<true> {
		const { settings, command } = this.#context;
		const files = listFiles(this.getEntry(target)?.list?.inputs);
		const seen = await lookAtInputs(target, settings, command.latest, files);
		look.login = seen.login ?? look.login;
		look.lookedAt = seen.at;
		look.pending = undefined;
		this.getEntry(target)?.compare(seen);
		this.#onLook(target);
		return true;
	}
}

const toKey = ({ key }: Target, login: string | undefined) => `${key}\0${login}`;
