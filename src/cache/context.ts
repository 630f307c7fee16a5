import type { EmitEvent } from '../api/events.js';
import type { Fetcher } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';

/** The program of the app-servers: the last that is known, and a step before each fetch that asks a function of the host. */
export type CommandSource = { latest: string; update(): Promise<void> };

/** All that a cache, its entries and their revalidations share. */
export type CacheContext = {
	readonly settings: Settings;
	readonly command: CommandSource;
	readonly fetcher: Fetcher;
	readonly emit: EmitEvent;
	/** The time of the last `clear`, in epoch ms: an older list in the store counts as deleted. */
	clearedAt: number;
};
