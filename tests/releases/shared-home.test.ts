import { expect, test } from 'vitest';
import { makeDirectory } from '../harness.js';
import { startLister } from '../hosts/start-lister.js';
import { decideCell, isTrial, pickReleases } from './release-harness.js';

// In a new CODEX_HOME, app-servers of 0.131 to 0.166 that start together migrate one database and disturb each other: about
// half of two exit with code 1 (0.136.0, the release of the incident).

/** The lists of that many processes that start together in a new CODEX_HOME, all the same, and their events. */
async function listTogether(command: string, count: number, retries: number, directory?: string) {
	const options = { command, codexHome: makeDirectory(), deadlineMs: 30_000, retries };
	const store = directory === undefined ? {} : { directory };
	const hosts = Array.from({ length: count }, () => startLister({ options, ...store }));
	await Promise.all(hosts.map((host) => host.untilReady()));
	const lists = await Promise.all(hosts.map((host) => host.list()));
	expect(lists[0]?.length).toBeGreaterThan(1);
	expect(new Set(lists.map((ids) => ids.join())).size).toBe(1);
	for (const host of hosts) host.leave();
	await Promise.all(hosts.map((host) => host.gone));
	return hosts.flatMap(({ events }) => events.map(({ type }) => type));
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
