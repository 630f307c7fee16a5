import { expect, test } from 'vitest';
import { makeDirectory } from '../harness.js';
import { startHost } from '../host.js';
import { decideCell, isTrial, pickReleases } from './release-harness.js';

// In a new CODEX_HOME, app-servers of 0.131 to 0.166 that start together migrate one database and disturb each other: about
// half of two exit with code 1 (0.136.0, the release of the incident).

const lists = `
	const types = [];
	const onEvent = ({ type }) => types.push(type);
	const catalog = make({ store: facts.directory && openStore(), deadlineMs: 30_000, onEvent });
	tell('is up');
	await next();
	const { ids } = await settle(catalog.list());
	await catalog.close();
	tell({ ids, types });
`;

/** The lists of that many processes that start together in a new CODEX_HOME, all the same, and their events. */
async function listTogether(command: string, count: number, retries: number, directory?: string) {
	const options = { command, codexHome: makeDirectory(), retries };
	const hosts = Array.from({ length: count }, () =>
		startHost(lists, { facts: { options, directory } }),
	);
	for (const host of hosts) await host.nth(1);
	for (const host of hosts) host.write('go');
	const ends = await Promise.all(hosts.map(({ done }) => done));
	const [first, ...others] = ends.map(({ told }) => told[1]);
	expect(first.ids.length).toBeGreaterThan(1);
	for (const { ids } of others) expect(ids).toEqual(first.ids);
	return [first, ...others].flatMap(({ types }): string[] => types);
}

test.each(pickReleases('0.136.0'))(
	'$version in a new CODEX_HOME: twenty processes with one file store start one app-server, and all get its list',
	async (release) => {
		decideCell(release, 'failedStart');
		// Without further attempts a failed start would show.
		const events = await listTogether(release.command, 20, 0, makeDirectory());
		expect(events.filter((type) => type === 'spawned')).toHaveLength(1);
		expect(events.filter((type) => /fail|retried/.test(type))).toEqual([]);
	},
);

test.each(pickReleases('0.136.0', '0.160.0'))(
	'$version in a new CODEX_HOME: four processes without a store all get their list with two retries, ten times over',
	async (release) => {
		decideCell(release, 'failedStart');
		const events: string[] = [];
		for (let round = 1; round <= 10; round++)
			events.push(...(await listTogether(release.command, 4, 2)));
		// Without a failed start this test would show nothing.
		if (!isTrial) expect(events).toContain('retried');
	},
);
