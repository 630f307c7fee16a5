import { createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import {
	afterTest,
	failureOf,
	findProcesses,
	idsOf,
	neverMs,
	until,
	untilGone,
} from '../harness.js';
import {
	decideCell,
	findBinaries,
	isTrial,
	makeHome,
	makeReleaseCatalog,
	pickReleases,
	type Release,
	wrap,
} from './release-harness.js';

/** A token endpoint on the loopback that refuses, or is silent, as `state` says. */
async function startTokenEndpoint() {
	const sockets = new Set<Socket>();
	const state = { isSilent: false, silences: 0 };
	const refusal = 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
	const server = createServer((socket) => {
		sockets.add(socket);
		socket.on('error', () => {});
		socket.once('close', () => sockets.delete(socket));
		socket.once('data', () => {
			if (state.isSilent) state.silences++;
			else socket.end(refusal);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	afterTest(async () => {
		for (const socket of sockets) socket.destroy();
		await new Promise((resolve) => server.close(resolve));
	});
	const address = server.address();
	if (address === null || typeof address === 'string') throw new Error('The endpoint has no port');
	return { state, origin: `http://127.0.0.1:${address.port}` };
}

/** A CODEX_HOME with a ChatGPT login whose token has expired and must be refreshed first. */
function makeLogin(origin: string): string {
	const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
	const claims = { chatgpt_plan_type: 'pro', chatgpt_account_id: 'acc', chatgpt_user_id: 'u' };
	const payload = {
		email: 'user@example.com',
		exp: 1_600_000_000,
		'https://api.openai.com/auth': claims,
	};
	const token = `${encode({ alg: 'none' })}.${encode(payload)}.${encode({})}`;
	const auth = {
		auth_mode: 'chatgpt',
		OPENAI_API_KEY: null,
		tokens: { id_token: token, access_token: token, refresh_token: 'r', account_id: 'acc' },
		last_refresh: '2025-01-01T00:00:00Z',
	};
	return makeHome({
		'config.toml': `chatgpt_base_url = "${origin}/backend-api/"\n`,
		'auth.json': JSON.stringify(auth),
	});
}

/** A refused refresh takes 3.3 s, and more on a busy machine. */
const fetchTimeoutMs = 8_000;

async function makeStallingCatalog(release: Release) {
	const endpoint = await startTokenEndpoint();
	const codexHome = makeLogin(endpoint.origin);
	const env = { CODEX_REFRESH_TOKEN_URL_OVERRIDE: `${endpoint.origin}/oauth/token` };
	const made = makeReleaseCatalog(release, {
		codexHome,
		env,
		maxAgeMs: 0,
		deadlineMs: neverMs,
		fetchTimeoutMs,
	});
	return { endpoint: endpoint.state, ...made };
}

/** The release of the incident, and the newest one. */
const cases = pickReleases('0.136.0', '0.169.0').flatMap((release) => [
	{
		version: release.version,
		release,
		way: 'the binary',
		prepare: () => release,
		isWrapped: false,
	},
	{
		version: release.version,
		release,
		way: 'the launcher',
		prepare: () => wrap(release),
		isWrapped: true,
	},
]);

/** The reason to skip a test in a trial. */
const listsAllTheSame = 'the release lists while the token endpoint is silent';

const tokenShape = /eyJ|\bsk-/;

test.for(cases)(
	'$version through $way: a cold call fails at its deadline and its fetch at its limit, while the token endpoint is silent',
	async ({ release, prepare }, { skip }) => {
		decideCell(release, 'stalledLogin');
		const { catalog, events, endpoint } = await makeStallingCatalog(prepare());
		endpoint.isSilent = true;
		const call = catalog.list({ deadlineMs: 1_500 });
		const lists = await call.then(Boolean, () => false);
		skip(lists && isTrial, listsAllTheSame);
		const error = await failureOf(call);
		expect(error).toMatchObject({
			code: 'ERR_CODEX_TIMEOUT',
			timeoutMs: 1_500,
			phase: 'initialize',
		});
		expect(error.message).toMatch(
			/^Codex did not list its models within 1500 ms \(phase initialize\)/,
		);
		expect(error.message).toMatch(/Check the network and the login/);
		expect(error.message).not.toMatch(/deserialize/);
		expect(error.hint).toMatch(/The fetch goes on.*"deadlineMs"/);
		expect(`${error.message}${error.stderr}`).not.toMatch(tokenShape);
		expect(events.count('failed')).toBe(0);

		// The caller has left, but the refresh of the token goes on: the next caller joins it.
		await until('the token endpoint was asked', () => endpoint.silences > 0);
		const pids = findProcesses();
		expect(pids).not.toEqual([]);
		const joined = failureOf(catalog.list());
		const failure = await events.nth('failed');
		expect(failure.error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: fetchTimeoutMs });
		expect(await joined).toBe(failure.error);
		expect(events.count('spawned')).toBe(1);
		await events.nth('exited');
		await untilGone(...pids);

		endpoint.isSilent = false;
		expect((await catalog.list({ deadlineMs: 25_000 })).length).toBeGreaterThan(0);
		expect(events.count('spawned')).toBe(2);
	},
);

test.for(cases)(
	'$version through $way: a known list is served while the token endpoint is silent, and refreshed when it answers again',
	async ({ release, prepare, isWrapped }, { skip }) => {
		decideCell(release, 'stalledLogin');
		const { catalog, events, endpoint } = await makeStallingCatalog(prepare());
		// While the endpoint refuses, Codex takes seconds and lists its built-in models.
		const seed = await catalog.list();
		expect(seed.length).toBeGreaterThan(0);
		await events.nth('exited');

		endpoint.isSilent = true;
		const served = await catalog.list({ deadlineMs: 0 }).catch((error) => error);
		expect(served).toEqual(seed);
		await until('the token endpoint was asked', () => endpoint.silences > 0);
		const pids = findProcesses();
		if (process.platform === 'linux') {
			expect(findBinaries()).toHaveLength(1);
			// The launcher replaces itself on Node releases that can do that.
			const isReplaced = 'execve' in process;
			expect(pids).toHaveLength(isWrapped && !isReplaced ? 2 : 1);
		}
		expect(await catalog.list()).toEqual(seed);

		const { type } = await Promise.race([events.nth('failed'), events.nth('refreshed', 2)]);
		skip(type === 'refreshed' && isTrial, listsAllTheSame);
		const { error } = await events.nth('failed');
		expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: fetchTimeoutMs });
		await events.nth('exited', 2);
		await untilGone(...pids);
		// The failed refresh is not repeated for `cooldownMs`, and the list is still served, with the reason.
		const snapshot = await catalog.read();
		expect(idsOf(snapshot.models)).toEqual(idsOf(seed));
		expect(snapshot).toMatchObject({ isFresh: false, refreshError: error });
		expect(events.count('spawned')).toBe(2);

		endpoint.isSilent = false;
		expect(await catalog.list({ refresh: true })).toEqual(seed);
		expect(catalog.peek()?.refreshError).toBeNull();
		expect(events.ofType('refreshed').length).toBe(2);
	},
);
