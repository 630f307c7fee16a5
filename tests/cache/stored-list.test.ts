import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import Keyv from 'keyv';
import { expect, test, vi } from 'vitest';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { CommandSource, resolveSettings } from '../../src/api/settings.js';
import { readFingerprint } from '../../src/cache/fingerprint.js';
import { answer, makeCache, makeDirectory, makeFilledCache } from './cache-harness.js';
import {
	idsOf,
	makeModel,
	makeStore,
	maxAgeMs,
	servableMs,
	setAge,
	settle,
	start,
	stopClock,
} from './fakes.js';

type Stored = Record<string, unknown> & { models: Record<string, unknown>[] };

const onlyValueOf = (map: Map<string, unknown>) => {
	expect(map.size).toBe(1);
	return [...map.values()][0] as Stored;
};

test('lists of other targets, commands, arguments and accounts are told apart', async () => {
	const { map } = makeStore();
	const variants: [CodexModelCatalogOptions, string][] = [
		[{}, 'one'],
		[{ cwd: '/other' }, 'one'],
		[{ codexHome: '/other' }, 'one'],
		[{ args: ['app-server'] }, 'one'],
		[{ command: '/another/codex' }, 'one'],
		[{ command: () => 'codex' }, 'one'],
		[{}, 'two'],
	];
	for (const [index, [options, account]] of variants.entries()) {
		const made = makeCache({ ...options, store: makeStore({}, map) });
		made.files.change({ account });
		const list = made.ids();
		await answer(made, 1, String(index));
		await list;
		expect(map.size).toBe(index + 1);
	}
	expect([...map.keys()].every((key) => /^codex-models:2:[\da-f]{32}$/.test(key))).toBe(true);
});

// A worker thread has an environment of its own, which `homedir` does not read.
test.runIf(isMainThread)(
	'lists of one home directory are shared by machines whose home is elsewhere',
	async () => {
		const { map } = makeStore();
		for (const home of ['/home/one', '/Users/two']) {
			vi.stubEnv('HOME', home);
			expect(homedir()).toBe(home);
			const made = makeCache({ store: makeStore({}, map) });
			const list = made.ids();
			await settle();
			made.fetches.all[0]?.succeed(['a']);
			expect(await list).toEqual(['a']);
		}
		expect(map.size).toBe(1);
	},
);

test('a list is stored for the time that it is useful', async () => {
	const ttlOf = async (options: CodexModelCatalogOptions) => {
		const set = vi.fn();
		await makeFilledCache(['a'], { ...options, store: makeStore({ set }) });
		return set.mock.calls.map(([, , ttlMs]) => ttlMs);
	};
	expect(await ttlOf({})).toEqual([servableMs]);
	expect(await ttlOf({ maxAgeMs: 5_000, staleWhileRevalidateMs: 1_000 })).toEqual([6_000]);
	expect(await ttlOf({ staleWhileRevalidateMs: Number.POSITIVE_INFINITY })).toEqual([undefined]);
	expect(await ttlOf({ maxAgeMs: Number.POSITIVE_INFINITY })).toEqual([undefined]);
	expect(await ttlOf({ maxAgeMs: 0, staleWhileRevalidateMs: 0 })).toEqual([]);
});

test('the ttl is less by the time that the list waited for the store', async () => {
	stopClock();
	const set = vi.fn();
	const files = makeCache().files;
	const made = makeCache({ store: makeStore({ set }) }, { files });
	const list = made.ids();
	const fetch = await made.fetches.nth(1);
	const finish = files.hang();
	fetch.succeed(['a']);
	await settle();
	setAge(40);
	finish();
	await list;
	expect(set.mock.calls.map(([, , ttlMs]) => ttlMs)).toEqual([servableMs - 40]);
});

const richModels = () => [
	makeModel('a', {
		supportedReasoningEfforts: [{ effort: 'low', description: 'l' }],
		serviceTiers: [{ id: 'priority', name: 'Fast', description: null }],
		inputModalities: ['text'],
	}),
	makeModel('b', { hidden: true }),
];

test('a value is plain JSON, and holds the whole list with its configured model', async () => {
	const { map } = makeStore();
	const made = await makeFilledCache(richModels(), { store: makeStore({}, map) });
	const value = onlyValueOf(map);
	expect(JSON.parse(JSON.stringify(value))).toEqual(value);
	expect(value).toMatchObject({
		version: 2,
		fetchedAt: start,
		models: richModels(),
		configured: { model: null, modelProvider: null, reasoningEffort: null },
	});
	expect(await made.list({ includeHidden: true })).toEqual(richModels());
});

test('a value that changes afterwards changes no cache, and no caller changes a value', async () => {
	const { map } = makeStore();
	// The store hands out the very objects that it was given.
	const store = () => makeStore({}, map);
	const one = await makeFilledCache(richModels(), { store: store() });
	const two = makeCache({ store: store() });
	const three = makeCache({ store: store() });
	const fetched = await one.list();
	for (const made of [two, three]) expect(await made.list()).toEqual(fetched);
	(await three.list())[0]?.inputModalities.push('spoilt');
	const value = onlyValueOf(map);
	expect(value.models).toEqual(richModels());
	const [model] = value.models as unknown as typeof fetched;
	if (!model) throw new Error('No model is stored');
	model.id = 'spoilt';
	model.supportedReasoningEfforts.length = 0;
	Object.assign(model.serviceTiers[0] ?? {}, { id: 'spoilt' });
	model.inputModalities.push('spoilt');
	Object.assign(value.configured as object, { model: 'spoilt' });
	value.models.length = 0;
	for (const made of [one, two, three]) {
		expect(await made.list()).toEqual(fetched);
		expect(made.peek()?.configured.model).toBeNull();
	}
});

test.each([
	['a Map', () => new Map()],
	['a Keyv in memory', () => new Keyv()],
])('%s is a store', async (_, make) => {
	const store = make() as ModelListStore;
	const one = await makeFilledCache(['a'], { store });
	await one.close();
	const other = makeCache({ store });
	expect(idsOf(await other.list())).toEqual(['a']);
	expect([...one.eventsOf('store-failed'), ...other.eventsOf('store-failed')]).toEqual([]);
});

test('values survive JSON, also with names of prototypes in them', async () => {
	const texts = new Map<string, string>();
	const store: ModelListStore = {
		get: (key) => JSON.parse(texts.get(key) ?? 'null'),
		set: (key, value) => texts.set(key, JSON.stringify(value)),
		delete: (key) => texts.delete(key),
	};
	const ids = ['__proto__', 'constructor', 'toString', 'a\u2028b\u0000c', '😀'];
	const one = await makeFilledCache(ids, { store });
	expect(await makeCache({ store }).list()).toEqual(await one.list());
});

test('a list that was stored is fresh for the same command, and stale for another one', async () => {
	const store = makeStore();
	const one = await makeFilledCache(['old'], { store });
	one.files.change({ command: 'another release' });
	const other = makeCache({ store }, { files: one.files });
	expect(idsOf(await other.list())).toEqual(['old']);
	expect(other.peek()).toMatchObject({ isFresh: false });
	one.files.change({ command: null });
	const uncalled = makeCache({ store }, { files: one.files });
	await uncalled.list();
	expect(uncalled.peek()).toMatchObject({ isFresh: true });
	setAge(maxAgeMs);
	expect(uncalled.peek()).toMatchObject({ isFresh: false });
});

const claimsOf = (account: string) => ({
	email: 'marked@example.com',
	'https://api.openai.com/auth': { chatgpt_account_id: account, chatgpt_user_id: 'marked-user' },
});

test('neither a key nor a value holds a credential, an account id or a path of the home', async () => {
	const home = makeDirectory();
	const codexHome = path.join(home, 'marked-codex-home');
	mkdirSync(codexHome);
	const jwt = `eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify(claimsOf('marked-claim'))).toString('base64url')}.marked`;
	const logins = [
		{ auth_mode: 'apikey', OPENAI_API_KEY: 'sk-marked-key', tokens: null },
		{ auth_mode: 'chatgpt', tokens: { id_token: jwt, refresh_token: 'marked-refresh' } },
		{
			auth_mode: 'chatgpt',
			tokens: { id_token: jwt, access_token: jwt, account_id: 'marked-account' },
		},
	];
	const given: unknown[] = [];
	const map = new Map<string, unknown>();
	const note =
		<T>(act: (...parts: [string, unknown?]) => T) =>
		(...parts: [string, unknown?, unknown?]) => {
			given.push(...parts.filter((part) => !(part instanceof AbortSignal)));
			return act(...(parts as [string, unknown?]));
		};
	const store = {
		get: note((key) => map.get(key)),
		set: note((key, value) => map.set(key, value)),
		delete: note(() => {}),
		lock: note(async () => () => {}),
	};
	const command = path.join(home, 'marked-codex');
	const options = {
		codexHome,
		command,
		cwd: path.join(home, 'marked-work'),
		env: { SECRET: 'marked-variable' },
	};
	const settings = resolveSettings(options);
	const source = new CommandSource(command);
	writeFileSync(
		path.join(codexHome, 'config.toml'),
		`model_catalog_json = "${home}/marked-catalogue"\n`,
	);
	for (const login of logins) {
		writeFileSync(path.join(codexHome, 'auth.json'), JSON.stringify(login));
		const made = makeCache({ ...options, store });
		made.files.change(
			await readFingerprint(
				{ cwd: home, isDefaultCwd: true, codexHome, key: '' },
				settings,
				source,
			),
		);
		for (const n of [1, 2]) {
			const list = made.list();
			await answer(made, n, 'a');
			await list;
			made.clear();
		}
	}
	expect(map.size).toBe(3);
	const text = given.map((part) => JSON.stringify(part)).join('\n');
	for (const secret of ['marked', home, path.basename(home), homedir(), ...jwt.split('.')]) {
		expect(text).not.toContain(secret);
	}
});
