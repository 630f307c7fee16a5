import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import type { ModelCatalog } from '../../src/catalog.js';
import { failureOf, idsOf, until } from '../harness.js';
import { makeLoggedIn } from './logged-in-release.js';
import { makeLogin } from './model-server.js';
import { decideCell, isTrial, pickReleases, type Release, untilListed } from './release-harness.js';

/** The releases that ask a server at `openai_base_url` for models. */
const askers = pickReleases('0.136.0', '0.160.0', '0.171.0');

const ann = makeLogin({ user: 'ann' });
const bob = makeLogin({ user: 'bob' });

async function untilNotAnns(catalog: ModelCatalog): Promise<void> {
	await until("the list is another one than Ann's", () => {
		void catalog.list().catch(() => {});
		return !idsOf(catalog.peek()?.models ?? []).includes('of-ann-pro');
	});
}

/** A test with each release that asks a server for models. */
function testLoggedIn(title: string, run: (release: Release) => Promise<void>, of = askers) {
	test.for(of)(`$version: ${title}`, async (release, { skip }) => {
		decideCell(release, 'rightList');
		if (isTrial) {
			const { server, open } = await makeLoggedIn(release);
			await open().catalog.list();
			skip(server.requests === 0, 'This release asks no server for models.');
		}
		await run(release);
	});
}

testLoggedIn(
	'another member of a workspace, or another plan, never gets the list of the first one, with a store and a kept app-server, too',
	async (release) => {
		const store = new Map();
		const { open, logIn, forgetCacheOfCodex } = await makeLoggedIn(release, { store });
		const { catalog } = open({ keepAliveMs: 60_000 });
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		logIn(bob);
		forgetCacheOfCodex();
		await untilListed(catalog, ['of-bob-pro']);
		expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['of-bob-pro']);
		expect(idsOf(await open().catalog.list())).toEqual(['of-bob-pro']);
		logIn(makeLogin({ user: 'ann', plan: 'plus' }));
		forgetCacheOfCodex();
		await untilListed(catalog, ['of-ann-plus']);
		logIn(ann);
		expect(idsOf(await open().catalog.list())).toEqual(['of-ann-pro']);
		expect(store.size).toBe(3);
	},
);

testLoggedIn(
	'another CODEX_ACCESS_TOKEN in the environment of the process is another list, in the store, too',
	async (release) => {
		const store = new Map();
		const { open, forgetCacheOfCodex } = await makeLoggedIn(release, { store });
		vi.stubEnv('CODEX_ACCESS_TOKEN', 'at-first');
		const { catalog } = open();
		expect(await catalog.list()).not.toEqual([]);
		vi.stubEnv('CODEX_ACCESS_TOKEN', 'at-second');
		forgetCacheOfCodex();
		const { catalog: other, events } = open();
		await other.list();
		expect(events.count('spawned')).toBe(1);
		await until('the first catalog has asked again', () => {
			void catalog.list().catch(() => {});
			return store.size === 2;
		});
	},
	pickReleases('0.171.0'),
);

testLoggedIn(
	'a login there and back during a fetch leaves no list, in memory or with a kept app-server',
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

testLoggedIn('a refresh of the tokens of the same user is not another login', async (release) => {
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
	await until('the look is over a second old', () => Date.now() - (known?.fetchedAt ?? 0) > 1_500);
	expect(await catalog.read()).toBe(known);
	expect(events.count('spawned')).toBe(starts);
});

testLoggedIn(
	'after a log-out, and while auth.json is half written, the old list is not served',
	async (release) => {
		const { open, logIn, auth, forgetCacheOfCodex } = await makeLoggedIn(release);
		const { catalog } = open();
		expect(idsOf(await catalog.list())).toEqual(['of-ann-pro']);
		writeFileSync(auth, ann.slice(0, 100));
		await untilNotAnns(catalog);
		logIn(ann);
		await untilListed(catalog, ['of-ann-pro']);
		rmSync(auth);
		forgetCacheOfCodex();
		await untilNotAnns(catalog);
		await catalog.list();
	},
);

testLoggedIn(
	"Codex's built-in list replaces no list of the server, in memory and in the store, and passes for none",
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

testLoggedIn(
	'a list of the server counts as one while Codex fails to refresh the list behind its answer',
	async (release) => {
		const { server, open } = await makeLoggedIn(release);
		await open().catalog.list();
		server.status = 404;
		let openGate = () => {};
		server.gate = new Promise((resolve) => {
			openGate = resolve;
		});
		const { models, warnings } = await open().catalog.read();
		openGate();
		expect(idsOf(models)).toEqual(['of-ann-pro']);
		expect(warnings).toEqual([]);
	},
);
