import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectory, neverMs, untilGone } from '../harness.js';
import {
	appServer,
	converse,
	expectModel,
	findPrograms,
	makeReleaseCatalog,
	type Release,
	releases,
	type Started,
	wrap,
} from './codex.js';

const isLinux = process.platform === 'linux';

const ways: [way: string, toCommand: (release: Release) => Release][] = [
	['the program', (release) => release],
	['the launcher', wrap],
];
const releasesAndWays = releases.flatMap((release) =>
	ways.map(([way, toCommand]) => ({ version: release.version, way, release, toCommand })),
);

test.each(releasesAndWays)(
	'$version through $way lists what the bare conversation lists, in both views',
	async ({ release, toCommand }) => {
		const { catalog, codexHome, events } = makeReleaseCatalog(toCommand(release));
		const visible = await catalog.list();
		const all = await catalog.list({ includeHidden: true });
		expect(events.count('spawned')).toBe(1);
		const { pid } = await events.nth('spawned');
		await events.nth('exited');
		await untilGone(pid);

		expect(all).toEqual((await converse(release, codexHome, true)).map(expectModel));
		expect(visible).toEqual((await converse(release, codexHome, false)).map(expectModel));
		expect(visible.length).toBeGreaterThan(0);
		expect(visible.filter(({ isDefault }) => isDefault)).toHaveLength(1);
		expect(events.ofType('exited')).toMatchObject([{ exitCode: 0, signal: null }]);
	},
);

/** The real program that a catalog has running behind it. */
async function startProgram(release: Release, args: string[], env: Record<string, string | undefined>) {
	// In a home of one's own name, which both see: it is in the environment.
	const codexHome = path.join(env.PARENT_OF_HOMES as string, 'home');
	mkdirSync(codexHome, { recursive: true });
	const { catalog } = makeReleaseCatalog(release, { args, env, codexHome, keepAliveMs: neverMs });
	await catalog.list();
	const [program, ...others] = findPrograms();
	expect(others).toEqual([]);
	await catalog.close();
	return program as Started;
}

const { PATH = '' } = process.env;

/** What the launchers look at, or put there. */
const environments: [what: string, env: Record<string, string | undefined>][] = [
	['a plain environment', {}],
	['an odd PATH', { PATH: `:${PATH}::/nowhere:` }],
	['marks of other owners', { CODEX_MANAGED_BY_BUN: '1', CODEX_MANAGED_BY_PNPM: '1' }],
	['a mark of a wrong place', { CODEX_MANAGED_PACKAGE_ROOT: '/nowhere', CODEX_MANAGED_BY_NPM: '0' }],
	[
		'npm around it',
		{ npm_config_user_agent: 'npm/10.8.2 node/v20.0.0 linux x64', npm_execpath: '/npm-cli.js' },
	],
	['bun around it', { npm_config_user_agent: 'bun/1.3.0 npm/? node/v24.0.0', npm_execpath: '/bin/bun' }],
	['a bun that only shows in a path', { npm_config_user_agent: undefined, npm_execpath: '/opt/bun1/bunx' }],
];

test
	.runIf(isLinux)
	.each(
		releases.flatMap((release) =>
			environments.map(([what, env]) => ({ version: release.version, release, what, env })),
		),
	)('$version: the program is the one that its launcher starts, with $what', async ({ release, env }) => {
	const surroundings = { ...env, PARENT_OF_HOMES: makeDirectory() };
	const launcher = { ...release, command: process.execPath };
	const itself = await startProgram(release, appServer, surroundings);
	const itsChild = await startProgram(launcher, [release.command, ...appServer], surroundings);
	expect(itself.program).toBe(itsChild.program);
	expect(itself.argv).toEqual(itsChild.argv);
	expect(itself.env).toEqual(itsChild.env);
});

test.runIf(isLinux).each(releases)('$version: no launcher is left between', async (release) => {
	const { catalog, events } = makeReleaseCatalog(release, { keepAliveMs: neverMs });
	await catalog.list();
	const { pid } = await events.nth('spawned');
	expect(findPrograms().map((program) => program.pid)).toEqual([pid]);
});
