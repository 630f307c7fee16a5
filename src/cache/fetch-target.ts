// An import, because the global `process` is an accessor, which costs 4 % of a hit (Node 20).
import process from 'node:process';
import type { FetchTarget } from '../api/fetch.js';
import type { TargetOptions } from '../api/options.js';
import type { Settings } from '../api/settings.js';
import { findHome, resolvePath } from '../system/environment.js';

/** A target, and the home directory in which Codex looks for its own default of CODEX_HOME. */
export type ResolvedTarget = FetchTarget & { readonly home: string };

/**
 * The list that a call is about. `process.env` and the home directory are read each time, because a program may set them
 * after it has made its catalog.
 *
 * @param last - is returned if it is the target, so that a hit need not make a key.
 */
export function resolveTarget(
	settings: Settings,
	options: TargetOptions | undefined,
	last: ResolvedTarget | undefined,
): ResolvedTarget {
	const chosenCwd = options?.cwd === undefined ? settings.cwd : resolvePath(options.cwd);
	const isDefaultCwd = chosenCwd === undefined;
	const home = findHome();
	const cwd = chosenCwd ?? home;
	const inherited = settings.inheritsCodexHome ? process.env.CODEX_HOME || undefined : undefined;
	const codexHome = options?.codexHome ?? settings.codexHome ?? inherited;
	if (
		last?.cwd === cwd &&
		last.codexHome === codexHome &&
		last.isDefaultCwd === isDefaultCwd &&
		last.home === home
	)
		return last;
	return {
		cwd,
		isDefaultCwd,
		codexHome,
		home,
		key: `${cwd}\0${isDefaultCwd}\0${codexHome ?? `\0${home}`}`,
	};
}
