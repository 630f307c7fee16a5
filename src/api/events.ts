import { debuglog } from 'node:util';
import type { CodexModelsError, FetchPhase } from './errors.js';

/** The list that an event is about; `codexHome` is `undefined` for Codex's own default. */
type EventTarget = { cwd: string; codexHome: string | undefined };

/** An event of a catalog, for logs and metrics; `at` is in epoch ms. No event holds a credential. */
export type CatalogEvent = { at: number } & EventTarget & CatalogEventPayload;

/** The part of a `CatalogEvent` that its `type` decides. All durations are milliseconds, and attempts count from 1. */
type CatalogEventPayload =
	/** The result of a call: a fresh list from memory, a stale one from memory, or one that it waited for. */
	| { type: 'hit'; ageMs: number }
	| { type: 'stale'; ageMs: number }
	| { type: 'miss'; waitedMs: number }
	/** The `deadlineMs` of a caller ran out; the fetch goes on. */
	| { type: 'timed-out'; timeoutMs: number; phase: FetchPhase }
	/** An app-server was started; an app-server and its process group are gone. */
	| { type: 'spawned'; pid: number; attempt: number }
	| {
			type: 'exited';
			pid: number;
			exitCode: number | null;
			signal: string | null;
			lifetimeMs: number;
	  }
	/** An attempt failed, and another one follows. */
	| { type: 'retried'; attempt: number; error: CodexModelsError }
	/** A fetch brought a list of that many models, hidden ones included, after that many attempts. */
	| { type: 'refreshed'; durationMs: number; models: number; attempts: number }
	/** A fetch failed. A list that was there before is still served. */
	| { type: 'failed'; durationMs: number; error: CodexModelsError }
	/** A list of that age came from the store; the store threw, rejected or was too slow, and the call goes on without it. */
	| { type: 'loaded'; ageMs: number }
	| { type: 'store-failed'; operation: 'get' | 'set' | 'delete' | 'lock'; reason: string }
	/** Codex warned of its configuration: the list may be made from defaults that are not the user's. */
	| { type: 'config-warning'; summary: string; details: string | null };

/** Reports an event; never throws. */
export type EmitEvent = (target: EventTarget, payload: CatalogEventPayload) => void;

const debug = debuglog('codex-models');

/** Hands events to the listener, and to stderr with `NODE_DEBUG=codex-models`. */
export const createEmitter =
	(onEvent: ((event: CatalogEvent) => unknown) | undefined): EmitEvent =>
	({ cwd, codexHome }, payload) => {
		debug('%j', payload);
		if (!onEvent) return;
		// A listener that throws or rejects harms nothing.
		(async () => onEvent({ at: Date.now(), cwd, codexHome, ...payload }))().catch(() => {});
	};
