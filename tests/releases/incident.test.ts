import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
	afterTest,
	failureOf,
	findProcesses,
	idsOf,
	makeDirectory,
	neverMs,
	until,
	untilGone,
} from '../harness.js';
import { findPrograms, findRelease, makeReleaseCatalog, newest, type Release, wrap } from './codex.js';

/** A token endpoint on the loopback that refuses, or says nothing, as it is told. */
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

/** A ChatGPT login whose token has expired, and must be refreshed first. */
function makeLogin(origin: string): string {
	const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
	const claims = { chatgpt_plan_type: 'pro', chatgpt_account_id: 'acc', chatgpt_user_id: 'u' };
	const payload = {
		email: 'user@example.com',
		exp: 1_600_000_000,
		'https://api.openai.com/auth': claims,
	};
	const token = `${encode({ alg: 'none' })}.${encode(payload)}.${encode({})}`;
	const codexHome = makeDirectory();
	writeFileSync(path.join(codexHome, 'config.toml'), `chatgpt_base_url = "${origin}/backend-api/"\n`);
	writeFileSync(
		path.join(codexHome, 'auth.json'),
		JSON.stringify({
			auth_mode: 'chatgpt',
			OPENAI_API_KEY: null,
			tokens: { id_token: token, access_token: token, refresh_token: 'r', account_id: 'acc' },
			last_refresh: '2025-01-01T00:00:00Z',
		}),
	);
	return codexHome;
}

/** A refused refresh takes 3.3 s, and more where the machine is busy. */
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

const cases = [findRelease('0.136.0'), newest].flatMap((release) => [
	{ version: release.version, way: 'the program', prepare: () => release, isWrapped: false },
	{ version: release.version, way: 'the launcher', prepare: () => wrap(release), isWrapped: true },
]);

const tokenShape = /eyJ|\bsk-/;

test.each(cases)(
	'$version through $way: a cold call fails at its deadline, and the fetch at its limit, while the token endpoint says nothing',
	async ({ prepare }) => {
		const { catalog, events, endpoint } = await makeStallingCatalog(prepare());
		endpoint.isSilent = true;
		const error = await failureOf(catalog.list({ deadlineMs: 1_500 }));
		expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 1_500, phase: 'initialize' });
		expect(error.message).toMatch(
			/^codex app-server did not list its models within 1500 ms \(deadlineMs; phase initialize\)/,
		);
		expect(error.message).toMatch(/The fetch goes on.*check the network and the login/);
		expect(error.message).not.toMatch(/deserialize/);
		expect(`${error.message}${error.stderr}`).not.toMatch(tokenShape);
		expect(events.count('failed')).toBe(0);

		// The caller has gone, the refresh of the token has not: whoever comes now joins it.
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

test.each(cases)(
	'$version through $way: a warm call is served while the token endpoint says nothing, and refreshed when it recovers',
	async ({ prepare, isWrapped }) => {
		const { catalog, events, endpoint } = await makeStallingCatalog(prepare());
		// The endpoint refuses: Codex takes its time, and lists what it has.
		const seed = await catalog.list();
		expect(seed.length).toBeGreaterThan(0);
		await events.nth('exited');

		endpoint.isSilent = true;
		const served = await catalog.list({ deadlineMs: 0 }).catch((error) => error);
		expect(served).toEqual(seed);
		await until('the token endpoint was asked', () => endpoint.silences > 0);
		const pids = findProcesses();
		if (process.platform === 'linux') {
			const programs = findPrograms().map(({ pid }) => pid);
			expect(programs).toHaveLength(1);
			// Where Node can replace itself, the launcher does.
			const isReplaced = 'execve' in process;
			expect(pids).toHaveLength(isWrapped && !isReplaced ? 2 : 1);
		}
		expect(await catalog.list()).toEqual(seed);

		const { error } = await events.nth('failed');
		expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: fetchTimeoutMs });
		await events.nth('exited', 2);
		await untilGone(...pids);
		// It has failed, so it is left alone for `cooldownMs`, and the list is there all the same.
		expect(idsOf(await catalog.list())).toEqual(idsOf(seed));
		expect(events.count('spawned')).toBe(2);

		endpoint.isSilent = false;
		expect(await catalog.list({ refresh: true })).toEqual(seed);
		expect(events.ofType('refreshed').length).toBe(2);
	},
);
