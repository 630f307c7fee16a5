import type { CodexModelsError, FetchPhase } from './errors.js';

/** What happened, for logs and metrics. No event holds a credential. */
export type CatalogEvent = {
	/** When, in epoch ms. */
	at: number;
	/** The working directory that the list belongs to. */
	cwd: string;
	/** The CODEX_HOME that the list belongs to; `undefined` for Codex's own default. */
	codexHome: string | undefined;
} & CatalogOccurrence;

/** The part of a `CatalogEvent` that its `type` decides. All durations are milliseconds. */
export type CatalogOccurrence =
	/** An app-server was started, for the `attempt`th attempt of a fetch (from 1). */
	| { type: 'spawned'; pid: number; attempt: number }
	/** An app-server is gone, after it had answered or before. */
	| {
			type: 'exited';
			pid: number;
			exitCode: number | null;
			signal: NodeJS.Signals | null;
			lifetimeMs: number;
	  }
	/** A caller got a list younger than `freshMs` from memory. */
	| { type: 'served-fresh'; ageMs: number }
	/** A caller got an older list from memory; a refresh runs behind it, or waits for the end of a cooldown. */
	| { type: 'served-stale'; ageMs: number }
	/** A caller got the list of a fetch, and had to wait for it. */
	| { type: 'waited'; waitedMs: number }
	/** A caller's `deadlineMs` ran out; the fetch goes on. */
	| { type: 'timed-out'; timeoutMs: number; phase: FetchPhase }
	/**
	 * A fetch brought a list of so many models, hidden ones included; with 0 attempts it is another process's, from the
	 * store.
	 */
	| { type: 'refreshed'; durationMs: number; models: number; attempts: number }
	/** The `attempt`th attempt of a fetch failed, and another follows. */
	| { type: 'retried'; attempt: number; error: CodexModelsError }
	/** A fetch failed. A list that was there before still is. */
	| { type: 'failed'; durationMs: number; error: CodexModelsError }
	/** A list so old came from the store. */
	| { type: 'loaded'; ageMs: number }
	/** The store threw, rejected or was too slow; nothing else came of it. */
	| { type: 'store-failed'; operation: 'get' | 'set' | 'delete' | 'lock'; reason: string }
	/** Codex warned of its configuration: the list may be made from defaults that are not the user's. */
	| { type: 'config-warning'; summary: string; details: string | null };

/** Reports an occurrence; safe to call wherever the catalog is in the middle of something. */
export type Report = (occurrence: CatalogOccurrence) => void;

/** A listener that throws or rejects harms nothing: it is a guest here. */
export function notify(listener: (event: CatalogEvent) => unknown, event: CatalogEvent): void {
	try {
		Promise.resolve(listener(event)).catch(() => {});
	} catch {}
}
