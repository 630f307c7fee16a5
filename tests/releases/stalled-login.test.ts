import { expect, test } from 'vitest';
import { failureOf, findProcesses, idsOf, neverMs, until, untilGone } from '../harness.js';
import { makeLoggedIn } from './logged-in-release.js';
import { makeLogin } from './model-server.js';
import { decideCell, findBinaries, isTrial, pickReleases, ways } from './release-harness.js';

/** Its token must be refreshed first. */
const expired = makeLogin({ expiresAt: 1_600_000_000 }, 'r', new Date(0));

/** A refused refresh takes 3.3 s, and more on a busy machine. */
const fetchTimeoutMs = 8_000;
const options = { maxAgeMs: 0, deadlineMs: neverMs, fetchTimeoutMs };

/** The release of the incident, and the newest one. */
const cases = pickReleases('0.136.0', '0.171.0').flatMap((release) =>
	ways.map((way) => ({ ...way, ...release, release })),
);

/** Whether the silent server is asked. A release that asks none lists all the same, and a trial has nothing to try then. */
async function isServerAsked(server: { silences: number }, refreshes: () => number, count: number) {
	const isDone = () => server.silences > 0 || refreshes() === count;
	await until('the token endpoint was asked, or a list came', isDone);
	return server.silences > 0 || !isTrial;
}
const notAsked = 'This release does not ask the token endpoint.';

const tokenShape = /eyJ|\bsk-/;

test.for(cases)(
	'$version through $way: a cold call fails at its deadline and its fetch at its limit, while the token endpoint is silent',
	async ({ release, toCommand }, { skip }) => {
		decideCell(release, 'stalledLogin');
		const { server, open } = await makeLoggedIn(toCommand(release), options, expired);
		const { catalog, events } = open();
		server.status = 0;
		const call = catalog.list({ deadlineMs: 1_500 }).catch((reason) => reason);
		skip(!(await isServerAsked(server, () => events.count('refreshed'), 1)), notAsked);
		const error = await call;
		expect(error).toMatchObject({
			code: 'ERR_CODEX_TIMEOUT',
			timeoutMs: 1_500,
			phase: 'initialize',
			message: expect.stringMatching(/within 1500 ms \(phase initialize\).*Check the network/),
			hint: expect.stringMatching(/The fetch goes on.*"deadlineMs"/),
		});
		expect(error.message).not.toMatch(/deserialize/);
		expect(`${error.message}${error.stderr}`).not.toMatch(tokenShape);
		expect(events.count('failed')).toBe(0);

		// The caller has left, but the refresh of the token goes on: the next caller joins it.
		const pids = findProcesses();
		expect(pids).not.toEqual([]);
		const joined = await failureOf(catalog.list());
		expect(joined).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: fetchTimeoutMs });
		const [, waited] = /within (\d+) ms/.exec(joined.message) ?? [];
		expect(Number(waited)).toBeLessThan(fetchTimeoutMs);
		expect(events.count('spawned')).toBe(1);
		await events.nth('exited');
		await untilGone(...pids);

		server.status = 401;
		expect((await catalog.list({ deadlineMs: 25_000 })).length).toBeGreaterThan(0);
		expect(events.count('spawned')).toBe(2);
	},
);

test.for(cases)(
	'$version through $way: a known list is served while the token endpoint is silent, and refreshed when it answers again',
	async ({ release, toCommand, way }, { skip }) => {
		decideCell(release, 'stalledLogin');
		const { server, open } = await makeLoggedIn(toCommand(release), options, expired);
		const { catalog, events } = open();
		// While the server refuses, Codex takes seconds and lists its built-in models.
		server.status = 401;
		const seed = await catalog.list();
		expect(seed.length).toBeGreaterThan(0);
		await events.nth('exited');

		server.status = 0;
		const served = await catalog.list({ deadlineMs: 0 }).catch((error) => error);
		expect(served).toEqual(seed);
		skip(!(await isServerAsked(server, () => events.count('refreshed'), 2)), notAsked);
		const pids = findProcesses();
		if (process.platform === 'linux') {
			expect(findBinaries()).toHaveLength(1);
			// The launcher replaces itself on Node releases that can do that.
			const isAlone = way === 'the binary' || 'execve' in process;
			expect(pids).toHaveLength(isAlone ? 1 : 2);
		}
		expect(await catalog.list()).toEqual(seed);

		const { error } = await events.nth('failed');
		expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: fetchTimeoutMs });
		await events.nth('exited', 2);
		await untilGone(...pids);
		// The failed refresh is not repeated for `cooldownMs`, and the list is still served, with the reason.
		const snapshot = await catalog.read();
		expect(idsOf(snapshot.models)).toEqual(idsOf(seed));
		expect(snapshot).toMatchObject({ isFresh: false, refreshError: error });
		expect(events.count('spawned')).toBe(2);

		server.status = 401;
		expect(await catalog.list({ refresh: true })).toEqual(seed);
		expect(catalog.peek()?.refreshError).toBeNull();
		expect(events.ofType('refreshed').length).toBe(2);
	},
);
