import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { failureOf, idsOf, makeDirectory, until } from '../harness.js';
import { makeLogin, serverModel, startModelServer } from './model-server.js';
import { makeHome, makeReleaseCatalog, pickReleases, type Release } from './release-harness.js';

/** The releases that ask a server at `openai_base_url` for models. */
const askers = pickReleases('0.136.0', '0.160.0', '0.171.0');

const ann = makeLogin({ user: 'ann' });
const bob = makeLogin({ user: 'bob' });

/** A release that is logged in at a server of its own; each user and plan has one model. */
async function makeLoggedIn(release: Release, options: CodexModelCatalogOptions = {}, login = ann) {
	const server = await startModelServer();
	const codexHome = makeHome({ 'config.toml': server.config, 'auth.json': login });
	const toOptions = (more: CodexModelCatalogOptions) => ({
		codexHome,
		...options,
		...more,
		env: { ...server.env, ...options.env, ...more.env },
	});
	const auth = path.join(codexHome, 'auth.json');
	return {
		server,
		codexHome,
		/** Replaces the login, as Codex does: by a new file, so that nobody sees a part of it. */
		logIn(text: string) {
			writeFileSync(`${auth}.new`, text);
			renameSync(`${auth}.new`, auth);
		},
		/** Makes the list that Codex itself keeps older than the five minutes for which Codex uses it. */
		ageCacheOfCodex() {
			const file = path.join(codexHome, 'models_cache.json');
			const cache = JSON.parse(readFileSync(file, 'utf8'));
			cache.fetched_at = new Date(Date.now() - 600_000).toISOString();
			writeFileSync(file, JSON.stringify(cache));
		},
		forgetCacheOfCodex: () => rmSync(path.join(codexHome, 'models_cache.json'), { force: true }),
		auth,
		open: (more: CodexModelCatalogOptions = {}) => makeReleaseCatalog(release, toOptions(more)),
	};
}

function makeGate() {
	let open = () => {};
	const gate = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { gate, open };
}

/** Lists until the catalog has looked at the files again, which it does once a second. */
async function untilListed(list: () => Promise<readonly { id: string }[]>, ids: string[]) {
	let last: string[] = [];
	let isAsking = false;
	await until(`the list is ${ids}`, () => {
		if (!isAsking) {
			isAsking = true;
			list().then((models) => {
				last = idsOf(models);
				isAsking = false;
			});
		}
		return last.join() === ids.join();
	});
}

test.each(askers)(
	'$version: the second member of a workspace never gets the list of the first one, with a store and a kept app-server, too',
	async (release) => {
		const store = new Map();
		const { open, logIn, forgetCacheOfCodex } = await makeLoggedIn(release, { store });
		const { catalog } = open({ keepAliveMs: 60_000 });
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		logIn(bob);
		forgetCacheOfCodex();
		await untilListed(() => catalog.list(), ['of-bob-pro']);
		expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['of-bob-pro']);
		expect(idsOf(await open().catalog.list())).toEqual(['of-bob-pro']);
		logIn(ann);
		expect(idsOf(await open().catalog.list())).toEqual(['of-ann-pro']);
		expect(store.size).toBe(2);
	},
);

test.each(askers)('$version: another plan of the same user is another list', async (release) => {
	const { open, logIn, forgetCacheOfCodex } = await makeLoggedIn(release);
	const { catalog } = open();
	expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
	logIn(makeLogin({ user: 'ann', plan: 'plus' }));
	forgetCacheOfCodex();
	await untilListed(() => catalog.list(), ['of-ann-plus']);
});

test.each(pickReleases('0.171.0'))(
	'$version: another CODEX_ACCESS_TOKEN in the environment of the process is another list, in the store, too',
	async (release) => {
		const store = new Map();
		const { open, forgetCacheOfCodex } = await makeLoggedIn(release, { store });
		process.env.CODEX_ACCESS_TOKEN = 'at-first';
		try {
			const { catalog } = open();
			const first = idsOf(await catalog.list());
			process.env.CODEX_ACCESS_TOKEN = 'at-second';
			forgetCacheOfCodex();
			const { catalog: other, events } = open();
			await other.list();
			expect(events.count('spawned')).toBe(1);
			await until('the first catalog has asked again', () => {
				void catalog.list().catch(() => {});
				return store.size === 2;
			});
			expect(first).not.toEqual([]);
		} finally {
			delete process.env.CODEX_ACCESS_TOKEN;
		}
	},
);

test.each(askers)(
	'$version: a login there and back during a fetch leaves no list, in memory or with a kept app-server',
	async (release) => {
		const { server, open, logIn } = await makeLoggedIn(release, { keepAliveMs: 60_000 }, bob);
		server.onModels = async () => {
			logIn(bob);
			logIn(ann);
			server.onModels = async () => {};
		};
		logIn(ann);
		const { catalog, events } = open();
		await catalog.list();
		expect(catalog.peek()).toBeUndefined();
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		expect(events.count('spawned')).toBe(2);
		expect(catalog.peek()?.isFresh).toBe(true);
	},
);

test.each(askers)(
	'$version: a refresh of the tokens of the same user is not another login',
	async (release) => {
		const expired = makeLogin({ user: 'ann', expiresAt: 1_600_000_000 }, 'r1', new Date(0));
		const { server, open, auth } = await makeLoggedIn(release, {}, expired);
		server.refreshedAs = { user: 'ann', issuedAt: 1_800_000_000 };
		const { catalog, events } = open();
		// The fetch that rewrites auth.json cannot tell a refresh from a login there and back: it is not remembered.
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		expect(server.refreshes).toBeGreaterThan(0);
		expect(readFileSync(auth, 'utf8')).toContain('r2');
		await catalog.list();
		const known = catalog.peek();
		expect(known?.isFresh).toBe(true);
		writeFileSync(auth, makeLogin({ user: 'ann', issuedAt: 1_900_000_000 }, 'r3'));
		const starts = events.count('spawned');
		// A second later the files are looked at again.
		const { catalog: later } = open();
		await later.list();
		await until(
			'the look is over a second old',
			() => Date.now() - (known?.fetchedAt ?? 0) > 1_500,
		);
		expect(await catalog.read()).toBe(known);
		expect(events.count('spawned')).toBe(starts);
	},
);

test.each(askers)(
	'$version: after a log-out, and while auth.json is half written, the old list is not served',
	async (release) => {
		const { open, logIn, auth, forgetCacheOfCodex } = await makeLoggedIn(release);
		const { catalog } = open();
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		writeFileSync(auth, ann.slice(0, 100));
		await until('the list is another one', () => {
			void catalog.list().catch(() => {});
			return !idsOf(catalog.peek()?.models ?? []).includes('of-ann-pro');
		});
		logIn(ann);
		await untilListed(() => catalog.list(), ['of-ann-pro']);
		rmSync(auth);
		forgetCacheOfCodex();
		await until('the list is another one', () => {
			void catalog.list().catch(() => {});
			return !idsOf(catalog.peek()?.models ?? []).includes('of-ann-pro');
		});
		await catalog.list();
	},
);

test.each(askers)(
	"$version: Codex's built-in list replaces no list of the server, in memory and in the store, and passes for none",
	async (release) => {
		const store = new Map();
		const { server, open, ageCacheOfCodex } = await makeLoggedIn(release, { store });
		const { catalog } = open();
		const good = await catalog.read();
		expect(idsOf(good.models)).toEqual(['of-ann-pro']);
		server.status = 404;
		ageCacheOfCodex();
		expect(await failureOf(catalog.list({ refresh: true }))).toMatchObject({
			code: 'ERR_CODEX_FALLBACK',
			stderr: expect.stringContaining('failed to refresh available models'),
		});
		expect(catalog.peek()?.models).toBe(good.models);
		expect(catalog.peek()?.refreshError?.code).toBe('ERR_CODEX_FALLBACK');

		const { catalog: other } = open();
		expect((await failureOf(other.list({ refresh: true }))).code).toBe('ERR_CODEX_FALLBACK');
		expect(idsOf(await open().catalog.list())).toEqual(['of-ann-pro']);

		const { models, warnings } = await open({ store: undefined }).catalog.read();
		expect(models.length).toBeGreaterThan(1);
		expect(warnings).toMatchObject([{ type: 'built-in-list' }]);
	},
);

test.each(askers)(
	'$version: a list of the server counts as one while Codex fails to refresh the list behind its answer',
	async (release) => {
		const { server, open } = await makeLoggedIn(release);
		await open().catalog.list();
		server.status = 404;
		const { gate, open: openGate } = makeGate();
		server.gate = gate;
		const { models, warnings } = await open().catalog.read();
		openGate();
		expect(idsOf(models)).toEqual(['of-ann-pro']);
		expect(warnings).toEqual([]);
	},
);

const withCatalogue = pickReleases('0.115.0', '0.136.0', '0.160.0', '0.171.0');

test.each(withCatalogue)(
	"$version: a change of a trusted project's configuration, and of the catalogue that it names, makes the list stale",
	async (release) => {
		const cwd = makeDirectory();
		const catalogue = path.join(cwd, 'catalogue.json');
		const config = path.join(cwd, '.codex', 'config.toml');
		const write = (slug: string) =>
			writeFileSync(catalogue, JSON.stringify({ models: [serverModel(slug)] }));
		mkdirSync(path.dirname(config));
		writeFileSync(path.join(cwd, '.git'), '');
		writeFileSync(config, `model = "first"\nmodel_catalog_json = ${JSON.stringify(catalogue)}\n`);
		write('first');
		const trust = `[projects.${JSON.stringify(cwd)}]\ntrust_level = "trusted"\n`;
		const { catalog } = makeReleaseCatalog(release, {
			codexHome: makeHome({ 'config.toml': trust }),
			cwd,
		});
		expect(idsOf(await catalog.list())).toEqual(['first']);
		expect(catalog.peek()?.isFresh).toBe(true);
		write('second');
		await untilListed(() => catalog.list(), ['second']);
		writeFileSync(
			config,
			readFileSync(config, 'utf8').replace('model = "first"', 'model = "mine"'),
		);
		await until('the configured model is the new one', () => {
			void catalog.list();
			return catalog.peek()?.configured.model === 'mine';
		});
	},
);

test.each(withCatalogue)(
	'$version: a catalogue that does not exist gives a list with a warning, also from the store and to the second caller',
	async (release) => {
		const codexHome = makeHome({
			'config.toml': 'model_catalog_json = "/nonexistent/models.json"\n',
		});
		const store = new Map();
		const { catalog } = makeReleaseCatalog(release, { codexHome, store });
		const warnings = [{ type: 'config-ignored', message: expect.stringContaining('efaults') }];
		expect((await catalog.read()).warnings).toEqual(warnings);
		expect((await catalog.read()).warnings).toEqual(warnings);
		const { catalog: other, events } = makeReleaseCatalog(release, { codexHome, store });
		expect((await other.read()).warnings).toEqual(warnings);
		expect(events.count('spawned')).toBe(0);
	},
);

test.each(withCatalogue)(
	'$version: another CODEX_HOME than ~/.codex gets nothing of ~/.codex with the default cwd',
	async (release) => {
		const home = makeDirectory();
		const work = path.join(home, '.codex-work');
		for (const folder of [path.join(home, '.codex'), work]) mkdirSync(folder);
		writeFileSync(path.join(home, '.codex', 'config.toml'), 'model = "of-the-default-home"\n');
		const trust = `[projects.${JSON.stringify(home)}]\ntrust_level = "trusted"\n`;
		writeFileSync(path.join(work, 'config.toml'), trust);
		const { catalog } = makeReleaseCatalog(release, { codexHome: work, env: { HOME: home } });
		expect((await catalog.read()).configured.model).toBeNull();
	},
);

test.each(pickReleases('0.171.0'))(
	'$version: a command function that names another program gets no list of the first one, from the store neither',
	async (release) => {
		const [older] = pickReleases('0.136.0');
		const other = (older ?? release).command;
		const codexHome = makeDirectory();
		const store = new Map();
		let command = release.command;
		const { catalog, events } = makeReleaseCatalog(release, {
			codexHome,
			store,
			command: () => command,
		});
		const newer = idsOf(await catalog.list());
		command = other;
		const { catalog: second } = makeReleaseCatalog(release, {
			codexHome,
			store,
			command: () => command,
		});
		expect(idsOf(await second.list())).not.toEqual(newer);
		expect(idsOf(await catalog.list({ refresh: true }))).not.toEqual(newer);
		expect(events.count('spawned') + store.size).toBeGreaterThan(2);
		expect(existsSync(codexHome)).toBe(true);
	},
);
