import path from 'node:path';
import { expect, test } from 'vitest';
import { failureOf, untilGone } from '../harness.js';
import {
	appServer,
	decideCell,
	isTrial,
	makeHome,
	makeReleaseCatalog,
	type Release,
	releases,
	wrap,
} from './release-harness.js';
import { isAtLeast } from './versions.js';

type Failure = { words: RegExp; exitCode: number };

type Situation = {
	what: string;
	/** The files of the CODEX_HOME; `null` makes a directory. */
	files?: Record<string, string | null>;
	/** The CODEX_HOME, below the folder of these files. */
	below?: string;
	args?: string[];
	/** The failure of a release; `undefined` if it lists. */
	failure(version: string): Failure | undefined;
	/** The warning of a release that lists. */
	warning?: RegExp;
};

const isOld = (version: string) => !isAtLeast(version, '0.100.0');

/** A configuration that newer releases replace by their defaults. */
const badConfig = (what: string, text: string, words: RegExp): Situation => ({
	what,
	files: { 'config.toml': text },
	failure: (version) => (isOld(version) ? { words, exitCode: 1 } : undefined),
	warning: /^Invalid configuration; using defaults/,
});

const badHome = (old: RegExp, words: RegExp) => (version: string) => ({
	words: isOld(version) ? old : words,
	exitCode: 1,
});

const badProvider = [...appServer, '-c', 'model_provider=nope'];
const noProvider: Failure = { words: /Model provider `nope` not found/, exitCode: 1 };

const situations: Situation[] = [
	{
		what: 'a missing CODEX_HOME',
		below: 'missing',
		failure: badHome(/error loading config: No such file/, /CODEX_HOME points to .* not exist/),
	},
	{
		what: 'a file as CODEX_HOME',
		files: { file: '' },
		below: 'file',
		failure: badHome(/Not a directory/, /CODEX_HOME points to .* not a directory/),
	},
	{
		what: 'a state database that cannot be opened',
		files: { 'state_5.sqlite': null },
		failure: (version) =>
			isAtLeast(version, '0.136.0')
				? { words: /failed to initialize (sqlite )?state runtime/, exitCode: 1 }
				: undefined,
	},
	{
		what: 'a corrupt state database',
		files: { 'state_5.sqlite': 'corrupt'.repeat(2_000) },
		failure: (version) =>
			version === '0.136.0' ? { words: /file is not a database/, exitCode: 1 } : undefined,
	},
	badConfig('a broken config.toml', 'model = [broken', /TOML parse error/),
	badConfig('a config.toml with a wrong type', 'model = 7\n', /invalid type: integer/),
	badConfig('an unknown provider in config.toml', 'model_provider = "nope"\n', noProvider.words),
	{ what: 'a corrupt auth.json', files: { 'auth.json': '{"tokens":' }, failure: () => undefined },
	{ what: 'an empty auth.json', files: { 'auth.json': '' }, failure: () => undefined },
	{ what: 'an unknown provider among the arguments', args: badProvider, failure: () => noProvider },
	{
		what: 'an unknown flag',
		args: [...appServer, '--nope'],
		failure: () => ({ words: /unexpected argument '--nope' found/, exitCode: 2 }),
	},
];

const cases = releases.flatMap((release) =>
	situations.map((situation) => ({ ...situation, release, version: release.version })),
);

/** Up to 0.115.0 a failed start may linger, by chance, and says its words only at the end of its input. */
const lingers = (version: string) => !isAtLeast(version, '0.131.0');

/** Far more than a failure takes on a busy machine. */
const promptMs = 5_000;

async function expectFailure(
	{ version }: Release,
	list: Promise<unknown>,
	{ words, exitCode }: Failure,
): Promise<void> {
	const startedAt = performance.now();
	const error = await failureOf(list);
	if (lingers(version) && error.code === 'ERR_CODEX_TIMEOUT') return;
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode });
	expect(error.message).toMatch(words);
	expect(error.stderr).toMatch(words);
	expect(performance.now() - startedAt).toBeLessThan(promptMs);
}

test.each(cases)('$version with $what lists, or fails with its own words', async (situation) => {
	const { release, files = {}, below = '', args = appServer, failure, warning } = situation;
	decideCell(release, 'failedStart');
	const codexHome = path.join(makeHome(files), below);
	const deadlineMs = lingers(release.version) ? 3_000 : 25_000;
	const { catalog, events } = makeReleaseCatalog(release, { codexHome, args, deadlineMs });
	const list = catalog.list();
	const expected = failure(release.version);
	if (isTrial) {
		// A release in a trial may do the one or the other.
		const models = await list.catch(() => []);
		if (models.length === 0)
			await expectFailure(release, list, { words: /\w+/, exitCode: expect.any(Number) });
	} else if (expected) {
		await expectFailure(release, list, expected);
		expect(catalog.peek()).toBeUndefined();
	} else {
		expect((await list).length).toBeGreaterThan(0);
		const summaries = events.ofType('config-warning').map(({ summary }) => summary);
		if (warning) {
			expect(summaries).toContainEqual(expect.stringMatching(warning));
			expect((await catalog.read()).warnings).toMatchObject([{ type: 'config-ignored' }]);
		}
	}
	await catalog.close();
	const { pid } = await events.nth('exited');
	await untilGone(pid);
});

test.each(releases.filter(({ version }) => !lingers(version)))(
	'$version through the launcher: two attempts with the same end are enough, within half a second of waiting',
	async (release) => {
		decideCell(release, 'failedStart');
		const waits: number[] = [];
		for (let round = 1; round <= 3; round++) {
			const options = { args: badProvider, retries: 2 };
			const { catalog, events } = makeReleaseCatalog(wrap(release), options);
			const startedAt = performance.now();
			await expectFailure(release, catalog.list(), noProvider);
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
