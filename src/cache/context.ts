import type { EmitEvent } from '../api/events.js';
import type { Fetcher } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';

/** All that a cache, its entries and their revalidations share. */
export type CacheContext = {
	readonly settings: Settings;
	/** The program of the app-servers, of a function the last that it named; '' before, and with `fetchModels`. */
	command: string;
	readonly fetcher: Fetcher;
	readonly emit: EmitEvent;
	/** The time of the last `clear`, in epoch ms: an older list in the store counts as deleted. */
	clearedAt: number;
};
