/**
 * A second cache behind the one in memory: a Keyv instance, or `fileStore()` of `codex-models/file-store`. Values are plain
 * JSON. A method that throws, rejects or takes longer than a second costs an event, and nothing else.
 */
export type ModelListStore = {
	get(key: string): unknown;
	/** @param ttlMs - how long the value is useful, in milliseconds; `undefined`: without end. */
	set(key: string, value: unknown, ttlMs?: number): unknown;
	delete(key: string): unknown;
	/** Waits until no other process holds the key, and holds it until the returned function is called; rejects on an abort. */
	lock?(key: string, signal: AbortSignal): Promise<() => unknown>;
};
