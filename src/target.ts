import path from 'node:path';
// An import, because the global `process` is an accessor, which costs 4 % of a hit (Node 20).
import process from 'node:process';
import type { Target } from './api/fetch.js';
import type { TargetOptions } from './api/options.js';
import type { Settings } from './api/settings.js';
import { findCodexUserHome, resolvePath } from './system/environment.js';

/** A target, and the folder that its CODEX_HOME was found by. */
export type ResolvedTarget = Target & { readonly root: string };

/**
 * What a call is about. `process.env` and the home directory are read each time, because a program may set them after it has
 * made its catalog.
 *
 * @param last - is returned if it is the target, so that a hit need not make a key.
 */
export function resolveTarget(
	settings: Settings,
	options: TargetOptions | undefined,
	last: ResolvedTarget | undefined,
): ResolvedTarget {
	const cwd = options?.cwd === undefined ? settings.cwd : resolvePath(options.cwd);
	const said = options?.codexHome ?? settings.codexHome;
	const inherited = settings.inheritsCodexHome ? process.env.CODEX_HOME || undefined : undefined;
	const chosen = said ?? inherited;
	// A function of the host asks an app-server of its own, and hears only of what an option says.
	const codexHome = settings.fetchModels ? said : chosen;
	const root = chosen ?? findCodexUserHome({ HOME: settings.env.HOME ?? process.env.HOME });
	if (last?.cwd === cwd && last.codexHome === codexHome && last.root === root) return last;
	// Codex takes a relative CODEX_HOME from its own working directory.
	const home = chosen === undefined ? path.join(root, '.codex') : resolvePath(cwd, chosen);
	return { cwd, codexHome, root, home, key: `${cwd}\0${home}` };
}
