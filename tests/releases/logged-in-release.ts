import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { makeLogin, startModelServer } from './model-server.js';
import { makeHome, makeReleaseCatalog, type Release } from './release-harness.js';

/** A release that is logged in at a server of its own. Its catalogs have the options, and share the CODEX_HOME. */
export async function makeLoggedIn(
	release: Release,
	options: CodexModelCatalogOptions = {},
	login = makeLogin(),
) {
	const server = await startModelServer();
	const codexHome = makeHome({ 'config.toml': server.config, 'auth.json': login });
	const auth = path.join(codexHome, 'auth.json');
	const cache = path.join(codexHome, 'models_cache.json');
	return {
		server,
		auth,
		/** Replaces the login, as Codex does: by a new file, so that no process sees a part of it. */
		logIn(text: string) {
			writeFileSync(`${auth}.new`, text);
			renameSync(`${auth}.new`, auth);
		},
		/** Makes the list that Codex itself keeps older than the five minutes for which Codex uses it. */
		ageCacheOfCodex() {
			const kept = JSON.parse(readFileSync(cache, 'utf8'));
			kept.fetched_at = new Date(Date.now() - 600_000).toISOString();
			writeFileSync(cache, JSON.stringify(kept));
		},
		forgetCacheOfCodex: () => rmSync(cache, { force: true }),
		open: (more: CodexModelCatalogOptions = {}) =>
			makeReleaseCatalog(release, {
				codexHome,
				...options,
				...more,
				env: { ...server.env, ...options.env, ...more.env },
			}),
	};
}
