import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectory, neverMs } from '../harness.js';
import {
	appServer,
	decideCell,
	findBinaries,
	makeReleaseCatalog,
	type Release,
	releases,
	type StartedBinary,
} from './release-harness.js';

const testOnLinux = test.runIf(process.platform === 'linux');

testOnLinux.each(releases)(
	'$version: the library starts the native binary, without the launcher',
	async (release) => {
		decideCell(release, 'binary');
		const { catalog, events } = makeReleaseCatalog(release, { keepAliveMs: neverMs });
		await catalog.list();
		const { pid } = await events.nth('spawned');
		expect(findBinaries().map((binary) => binary.pid)).toEqual([pid]);
	},
);

/** The native binary that a catalog of the command has running. */
async function startBinary(
	release: Release,
	args: string[],
	env: Record<string, string | undefined>,
) {
	// The environment names the home, and so both ways get the same one.
	const codexHome = path.join(env.PARENT_OF_HOMES as string, 'home');
	mkdirSync(codexHome, { recursive: true });
	const { catalog } = makeReleaseCatalog(release, { args, env, codexHome, keepAliveMs: neverMs });
	await catalog.list();
	const [binary, ...others] = findBinaries();
	expect(others).toEqual([]);
	await catalog.close();
	return binary as StartedBinary;
}

const { PATH = '' } = process.env;

/** The variables that the launchers read or set. */
const environments: Record<string, Record<string, string | undefined>> = {
	'a plain environment': {},
	'an odd PATH': { PATH: `:${PATH}::/nowhere:` },
	'marks of other package managers': { CODEX_MANAGED_BY_BUN: '1', CODEX_MANAGED_BY_PNPM: '1' },
	'a mark of a wrong place': { CODEX_MANAGED_PACKAGE_ROOT: '/nowhere', CODEX_MANAGED_BY_NPM: '0' },
	'npm around it': {
		npm_config_user_agent: 'npm/10.8.2 node/v20.0.0 linux x64',
		npm_execpath: '/npm-cli.js',
	},
	'bun around it': { npm_config_user_agent: 'bun/1.3.0 npm/?', npm_execpath: '/bin/bun' },
	'a bun that only a path names': {
		npm_config_user_agent: undefined,
		npm_execpath: '/opt/bun1/bunx',
	},
};

testOnLinux.each(
	releases.flatMap((release) =>
		Object.entries(environments).map(([what, env]) => ({ ...release, release, what, env })),
	),
)(
	'$version: the binary and its environment are those of its launcher, with $what',
	async ({ release, env }) => {
		decideCell(release, 'binary');
		const surroundings = { ...env, PARENT_OF_HOMES: makeDirectory() };
		// Node is the command, so the library does not look behind the launcher.
		const launcher = { version: release.version, command: process.execPath };
		const itself = await startBinary(release, appServer, surroundings);
		const itsChild = await startBinary(launcher, [release.command, ...appServer], surroundings);
		expect(itself.file).toBe(itsChild.file);
		expect(itself.argv).toEqual(itsChild.argv);
		expect(itself.env).toEqual(itsChild.env);
	},
);
