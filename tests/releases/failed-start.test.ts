import path from 'node:path';
import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { failureOf, makeDirectory, untilGone } from '../harness.js';
import {
	appServer,
	decideCell,
	isTrial,
	makeHome,
	makeReleaseCatalog,
	pickReleases,
	type Release,
	releases,
	wrap,
} from './release-harness.js';
import { isAtLeast } from './versions.js';

type Failure = { words: RegExp; exitCode: number };

type Situation = {
	what: string;
	make(): CodexModelCatalogOptions;
	/** The failure of a release; `undefined` if it lists. */
	failure(version: string): Failure | undefined;
	/** The warning of a release that lists. */
	warning?: RegExp;
};

const isOld = (version: string) => !isAtLeast(version, '0.100.0');

const homeIsMissing = (version: string): Failure => ({
	words: isOld(version)
		? /error loading config: No such file/
		: /CODEX_HOME points to .* not exist/,
	exitCode: 1,
});

/** The failure of the releases that do not list from their defaults. */
const failsIfOld = (words: RegExp) => (version: string) =>
	isOld(version) ? { words, exitCode: 1 } : undefined;

const situations: Situation[] = [
	{
		what: 'a missing CODEX_HOME',
		make: () => ({ codexHome: path.join(makeDirectory(), 'missing') }),
		failure: homeIsMissing,
	},
	{
		what: 'a relative CODEX_HOME',
		make: () => ({ codexHome: 'no/such/place' }),
		failure: homeIsMissing,
	},
	{
		what: 'a file as CODEX_HOME',
		make: () => ({ codexHome: path.join(makeHome({ file: '' }), 'file') }),
		failure: (version) => ({
			words: isOld(version) ? /Not a directory/ : /CODEX_HOME points to .* not a directory/,
			exitCode: 1,
		}),
	},
	{
		what: 'a state database that cannot be opened',
		make: () => ({ codexHome: makeHome({ 'state_5.sqlite': null }) }),
		failure: (version) =>
			isAtLeast(version, '0.136.0')
				? { words: /failed to initialize (sqlite )?state runtime/, exitCode: 1 }
				: undefined,
	},
	{
		what: 'a corrupt state database',
		make: () => ({ codexHome: makeHome({ 'state_5.sqlite': 'corrupt'.repeat(2_000) }) }),
		failure: (version) =>
			version === '0.136.0' ? { words: /file is not a database/, exitCode: 1 } : undefined,
	},
	{
		what: 'a broken config.toml',
		make: () => ({ codexHome: makeHome({ 'config.toml': 'model = [broken' }) }),
		failure: failsIfOld(/TOML parse error/),
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'a config.toml with a wrong type',
		make: () => ({ codexHome: makeHome({ 'config.toml': 'model = 7\n' }) }),
		failure: failsIfOld(/invalid type: integer/),
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'an unknown provider in config.toml',
		make: () => ({ codexHome: makeHome({ 'config.toml': 'model_provider = "nope"\n' }) }),
		failure: failsIfOld(/Model provider `nope` not found/),
		warning: /Invalid configuration; using defaults/,
	},
	{
		what: 'a corrupt auth.json',
		make: () => ({ codexHome: makeHome({ 'auth.json': '{"tokens":' }) }),
		failure: () => undefined,
	},
	{
		what: 'an empty auth.json',
		make: () => ({ codexHome: makeHome({ 'auth.json': '' }) }),
		failure: () => undefined,
	},
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

/** Far more than a failure takes on a busy machine, and far less than the deadline. */
const promptMs = 5_000;

async function expectFailure(list: Promise<unknown>, { words, exitCode }: Failure): Promise<void> {
	const startedAt = performance.now();
	const error = await failureOf(list);
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode });
	expect(error.message).toMatch(words);
	expect(error.stderr).toMatch(words);
	expect(performance.now() - startedAt).toBeLessThan(promptMs);
}

test.each(cases)('$version with $what lists, or fails with its own words', async (situation) => {
	const { release, make, failure, warning } = situation;
	decideCell(release, 'failedStart');
	const { catalog, events } = makeReleaseCatalog(release, make());
	const list = catalog.list();
	const expected = failure(release.version);
	if (isTrial) {
		// A release in a trial may do the one or the other.
		const models = await list.catch(() => []);
		if (models.length === 0)
			await expectFailure(list, { words: /\w+/, exitCode: expect.any(Number) });
	} else if (expected) {
		await expectFailure(list, expected);
		expect(catalog.peek()).toBeUndefined();
	} else {
		expect((await list).length).toBeGreaterThan(0);
		const summaries = events.ofType('config-warning').map(({ summary }) => summary);
		if (warning) expect(summaries).toContainEqual(expect.stringMatching(warning));
	}
	const { pid } = await events.nth('exited');
	await untilGone(pid);
});

const badArguments = [...appServer, '-c', 'model_provider=nope'];
const badProvider: Failure = { words: /Model provider `nope` not found/, exitCode: 1 };

// Chance decides whether an old release that still reads its input lingers after its failure: several attempts show it.
test.each(
	pickReleases('0.66.0', '0.100.0', '0.115.0').flatMap((release) => [
		{ version: release.version, release, way: 'the binary', toCommand: (it: Release) => it },
		{ version: release.version, release, way: 'the launcher', toCommand: wrap },
	]),
)(
	'$version through $way: a failed start that lingers is made to end',
	async ({ release, toCommand }) => {
		decideCell(release, 'failedStart');
		const { catalog, events } = makeReleaseCatalog(toCommand(release), { args: badArguments });
		for (let attempt = 1; attempt <= 4; attempt++) {
			await expectFailure(catalog.list(), badProvider);
			const { pid } = await events.nth('exited', attempt);
			await untilGone(pid);
		}
		expect(events.count('spawned')).toBe(4);
	},
);

test.each(releases)(
	'$version through the launcher: two attempts with the same end are enough, within half a second of waiting',
	async (release) => {
		decideCell(release, 'failedStart');
		const waits: number[] = [];
		for (let round = 1; round <= 3; round++) {
			const { catalog, events } = makeReleaseCatalog(wrap(release), {
				args: badArguments,
				retries: 2,
			});
			const startedAt = performance.now();
			await expectFailure(catalog.list(), badProvider);
			const tookMs = performance.now() - startedAt;
			const exits = await Promise.all([events.nth('exited', 1), events.nth('exited', 2)]);
			expect(events.count('spawned')).toBe(2);
			expect(events.count('retried')).toBe(1);
			waits.push(tookMs - exits.reduce((sum, { lifetimeMs }) => sum + lifetimeMs, 0));
		}
		// The least of three, because a busy machine adds to the others.
		expect(Math.min(...waits)).toBeLessThan(500);
	},
);
