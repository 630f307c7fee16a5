import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/core/options.js';
import { failureOf, makeDirectory, untilGone } from '../harness.js';
import { appServer, findRelease, makeReleaseCatalog, releases, wrap } from './codex.js';

/** A new CODEX_HOME with these files; a directory where the content is `null`. */
function makeHome(files: Record<string, string | null>): CodexModelCatalogOptions {
	const codexHome = makeDirectory();
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(codexHome, name);
		if (content === null) mkdirSync(file);
		else writeFileSync(file, content);
	}
	return { codexHome };
}

type Failure = { words: RegExp; exitCode: number };

type Situation = {
	what: string;
	make(): CodexModelCatalogOptions;
	/** What it fails with in a release; the others list. */
	failure(version: number): Failure | undefined;
	/** A release that lists may warn. */
	warning?: RegExp;
};

const situations: Situation[] = [
	{
		what: 'a missing CODEX_HOME',
		make: () => ({ codexHome: path.join(makeDirectory(), 'missing') }),
		failure: (version) => ({
			words: version < 100 ? /error loading config: No such file/ : /CODEX_HOME points to .* not exist/,
			exitCode: 1,
		}),
	},
	{
		what: 'a relative CODEX_HOME',
		make: () => ({ codexHome: 'no/such/place' }),
		failure: (version) => ({
			words: version < 100 ? /error loading config: No such file/ : /CODEX_HOME points to .* not exist/,
			exitCode: 1,
		}),
	},
	{
		what: 'a file as CODEX_HOME',
		make: () => {
			const { codexHome } = makeHome({ file: '' });
			return { codexHome: path.join(codexHome as string, 'file') };
		},
		failure: (version) => ({
			words: version < 100 ? /Not a directory/ : /CODEX_HOME points to .* not a directory/,
			exitCode: 1,
		}),
	},
	{
		what: 'a state database that cannot be opened',
		make: () => makeHome({ 'state_5.sqlite': null }),
		failure: (version) =>
			version < 136 ? undefined : { words: /failed to initialize (sqlite )?state runtime/, exitCode: 1 },
	},
	{
		what: 'a state database that is none',
		make: () => makeHome({ 'state_5.sqlite': 'spoilt'.repeat(2_000) }),
		failure: (version) => (version === 136 ? { words: /file is not a database/, exitCode: 1 } : undefined),
	},
	{
		what: 'a broken config.toml',
		make: () => makeHome({ 'config.toml': 'model = [broken' }),
		failure: (version) => (version < 100 ? { words: /TOML parse error/, exitCode: 1 } : undefined),
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'a config.toml with a wrong type',
		make: () => makeHome({ 'config.toml': 'model = 7\n' }),
		failure: (version) => (version < 100 ? { words: /invalid type: integer/, exitCode: 1 } : undefined),
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'an unknown provider in config.toml',
		make: () => makeHome({ 'config.toml': 'model_provider = "nope"\n' }),
		failure: (version) =>
			version < 100 ? { words: /Model provider `nope` not found/, exitCode: 1 } : undefined,
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'a corrupt auth.json',
		make: () => makeHome({ 'auth.json': '{"tokens":' }),
		failure: () => undefined,
	},
	{ what: 'an empty auth.json', make: () => makeHome({ 'auth.json': '' }), failure: () => undefined },
	{
		what: 'an unknown provider among the arguments',
		make: () => ({ args: [...appServer, '-c', 'model_provider=nope'] }),
		failure: () => ({ words: /Model provider `nope` not found/, exitCode: 1 }),
	},
	{
		what: 'an unknown flag',
		make: () => ({ args: [...appServer, '--nope'] }),
		failure: () => ({ words: /unexpected argument '--nope' found/, exitCode: 2 }),
	},
];

const cases = releases.flatMap((release) =>
	situations.map((situation) => ({ ...situation, release, version: release.version })),
);

const toMinor = (version: string) => Number(version.split('.')[1]);

test.each(cases)('$version with $what', async ({ release, make, failure, warning }) => {
	const { catalog, events } = makeReleaseCatalog(release, make());
	const expected = failure(toMinor(release.version));
	if (expected) {
		await expectFailure(catalog.list(), expected);
		expect(catalog.peek()).toBeUndefined();
	} else {
		expect((await catalog.list()).length).toBeGreaterThan(0);
		const summaries = events.ofType('config-warning').map(({ summary }) => summary);
		if (warning) expect(summaries).toContainEqual(expect.stringMatching(warning));
	}
	const { pid } = await events.nth('exited');
	await untilGone(pid);
});

/**
 * Far longer than it takes even on a busy machine, and far shorter than the deadline: 0.66.0 to 0.115.0, left alone,
 * wait for ever.
 */
const promptMs = 5_000;

async function expectFailure(list: Promise<unknown>, { words, exitCode }: Failure): Promise<void> {
	const startedAt = performance.now();
	const error = await failureOf(list);
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode });
	expect(error.message).toMatch(words);
	expect(error.stderr).toMatch(words);
	expect(performance.now() - startedAt).toBeLessThan(promptMs);
}

/** Whether it is still reading when it fails, and so lingers, is a matter of chance: more than one attempt tells. */
test.each(
	['0.66.0', '0.100.0', '0.115.0'].flatMap((version) => [
		{ version, way: 'the program', toCommand: findRelease },
		{ version, way: 'the launcher', toCommand: (name: string) => wrap(findRelease(name)) },
	]),
)('$version through $way: failed, but not gone', async ({ version, toCommand }) => {
	const args = [...appServer, '-c', 'model_provider=nope'];
	const { catalog, events } = makeReleaseCatalog(toCommand(version), { args });
	for (let attempt = 1; attempt <= 4; attempt++) {
		await expectFailure(catalog.list(), { words: /Model provider `nope` not found/, exitCode: 1 });
		const { pid } = await events.nth('exited', attempt);
		await untilGone(pid);
	}
	expect(events.count('spawned')).toBe(4);
});

test.each(releases)('$version with an API key, without a network, lists', async (release) => {
	const key = 'sk-no-such-key';
	const { catalog, events } = makeReleaseCatalog(
		release,
		makeHome({ 'auth.json': JSON.stringify({ OPENAI_API_KEY: key }) }),
	);
	expect((await catalog.list()).length).toBeGreaterThan(0);
	const { pid } = await events.nth('exited');
	await untilGone(pid);
	expect(JSON.stringify(events.all)).not.toContain(key);
});
