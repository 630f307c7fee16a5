import type { EmitEvent } from '../api/events.js';
import type { Fetcher } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';

/** The program of the app-servers: the last that is known, and the function of the host that names one before each fetch. */
export type CommandSource = { latest: string; resolve(): Promise<string> };

/** The settings and functions that a cache and its revalidations share. */
export type CacheContext = {
	readonly settings: Settings;
	readonly command: CommandSource;
	readonly fetcher: Fetcher;
	readonly emit: EmitEvent;
};
