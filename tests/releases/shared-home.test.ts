import { expect, test } from 'vitest';
import { makeDirectory } from '../harness.js';
import { startLister } from '../hosts/start-lister.js';
import { decideCell, isTrial, pickReleases } from './release-harness.js';

// In a new CODEX_HOME, app-servers of 0.131 to 0.166 that start together migrate one database and disturb each other: about
// half of two exit with code 1 (0.136.0, the release of the incident).

test.each(pickReleases('0.136.0'))(
	'$version in a new CODEX_HOME: twenty processes with one file store start one app-server, and all get its list',
	async ({ version, command }) => {
		decideCell({ version, command }, 'failedStart');
		const directory = makeDirectory();
		// Without further attempts a failed start would show.
		const options = { command, codexHome: makeDirectory(), retries: 0 };
		const hosts = Array.from({ length: 20 }, () => startLister({ options, directory }));
		await Promise.all(hosts.map((host) => host.untilReady()));
		const lists = await Promise.all(hosts.map((host) => host.list()));
		expect(lists[0]?.length).toBeGreaterThan(1);
		expect(new Set(lists.map((ids) => ids.join())).size).toBe(1);
		expect(hosts.map((host) => host.count('spawned')).reduce((sum, count) => sum + count)).toBe(1);
		expect(
			hosts.flatMap(({ events }) => events).filter(({ type }) => /fail|retried/.test(type)),
		).toEqual([]);
	},
);

test.each(pickReleases('0.136.0', '0.145.0'))(
	'$version in a new CODEX_HOME: four processes without a store all get their list with two retries, ten times over',
	async (release) => {
		decideCell(release, 'failedStart');
		let retried = 0;
		for (let round = 1; round <= 10; round++) {
			const options = {
				command: release.command,
				codexHome: makeDirectory(),
				deadlineMs: 30_000,
				retries: 2,
			};
			const hosts = Array.from({ length: 4 }, () => startLister({ options }));
			await Promise.all(hosts.map((host) => host.untilReady()));
			const lists = await Promise.all(hosts.map((host) => host.list()));
			expect(lists[0]?.length).toBeGreaterThan(1);
			expect(new Set(lists.map((ids) => ids.join())).size).toBe(1);
			retried += hosts.reduce((sum, host) => sum + host.count('retried'), 0);
			for (const host of hosts) host.leave();
			await Promise.all(hosts.map((host) => host.gone));
		}
		// Without a failed start this test would show nothing.
		if (!isTrial) expect(retried).toBeGreaterThan(0);
	},
);
