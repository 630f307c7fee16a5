import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { afterTest, idsOf, makeDirectory, realCodex } from '../harness.js';
import { ask, lists, refuses, startPicker } from './start-picker.js';

test('the example lists the models of the real Codex with their age, and ends cleanly', async () => {
	const home = makeDirectory();
	const example = spawn(process.execPath, ['examples/http-route/server.js', '0'], {
		env: { ...process.env, CODEX_HOME: home, MY_TOOL_CACHE: home, MY_TOOL_CODEX_PATH: realCodex },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	afterTest(() => example.kill('SIGKILL'));
	const [url] = await once(createInterface(example.stdout), 'line');

	const { headers, body } = await ask(url);
	expect(headers.get('age')).toMatch(/^\d+$/);
	expect(body).toMatchObject({ success: true, configured: { model: null }, refreshError: null });
	expect(body.models.filter(({ isDefault }) => isDefault)).toHaveLength(1);
	const withHidden = await ask(url, 'GET', '?hidden=true');
	expect(withHidden.body.models.length).toBeGreaterThan(body.models.length);
	example.kill('SIGTERM');
	expect(await once(example, 'close')).toEqual([0, null]);
});

test('a POST refreshes the list; when that fails, the old list stays with the reason', async () => {
	const { url } = await startPicker([lists('old'), lists('new'), refuses('The backend is down')]);
	for (const _ of [1, 2]) expect(idsOf((await ask(url)).body.models)).toEqual(['old']);
	expect(idsOf((await ask(url, 'POST')).body.models)).toEqual(['new']);
	const { status, body } = await ask(url, 'POST');
	expect([status, body.code]).toEqual([503, 'ERR_CODEX_RPC']);
	const { models, refreshError } = (await ask(url)).body;
	expect(idsOf(models)).toEqual(['new']);
	const message = expect.stringContaining('The backend is down');
	expect(refreshError).toEqual({ code: 'ERR_CODEX_RPC', message });
});

test('a failure is a 503 with Retry-After, without the arguments of the command and most of stderr', async () => {
	const stderr = 'first line\nlast line\n';
	const { url, appServer } = await startPicker([['exits', { at: 'model/list', code: 7, stderr }]]);

	const { status, headers, body } = await ask(url);
	expect([status, headers.get('retry-after')]).toEqual([503, '30']);
	expect(Object.keys(body)).toEqual(['success', 'code', 'error']);
	expect(body.error).toContain('last line');
	expect(body.error).not.toContain('first line');
	expect(body.error).not.toContain(appServer.directory);
});

test('a rebound name and a page of another origin get nothing, and no app-server is started', async () => {
	const { appServer, url, port } = await startPicker([lists('a')]);
	const proxied = await startPicker([lists('a')], {}, { hosts: ['models.test'] });
	// `fetch` sets `Host` and `Sec-Fetch-Site` itself.
	const send = async (method: string, to: string, headers: OutgoingHttpHeaders) => {
		const [response] = await once(request(to, { method, headers }).end(), 'response');
		return (response as IncomingMessage).resume().statusCode;
	};

	const host = `127.0.0.1:${port}`;
	for (const headers of [
		{ host: `rebound.test:${port}`, origin: `http://rebound.test:${port}` },
		{ host: `127.0.0.1.rebound.test:${port}` },
		{ host, origin: 'https://other.test' },
		{ host, origin: 'http://127.0.0.1:1' },
		{ host, origin: 'null' },
		{ host, 'sec-fetch-site': 'cross-site' },
	]) {
		for (const path of ['', 'codex-models', 'codex-models/events'])
			expect(await send('GET', url + path, headers)).toBe(403);
		expect(await send('POST', `${url}codex-models`, headers)).toBe(403);
	}
	expect(await send('GET', proxied.url, { host })).toBe(403);
	expect(appServer.starts).toBe(0);

	for (const own of [host, `localhost:${port}`, `[::1]:${port}`]) {
		const headers = { host: own, origin: `http://${own}`, 'sec-fetch-site': 'same-origin' };
		expect(await send('POST', `${url}codex-models`, headers)).toBe(200);
	}
	const headers = { host: 'models.test', origin: 'https://models.test' };
	expect(await send('POST', `${proxied.url}codex-models`, headers)).toBe(200);
});

test('no page may frame an answer, and the page runs only its own script', async () => {
	const { url } = await startPicker([lists('a')]);
	const addresses = { '': 200, 'codex-models': 200, 'codex-models/': 404, '/': 404, '..%2f': 404 };
	for (const [address, status] of Object.entries(addresses)) {
		const response = await fetch(url + address);
		expect(response.status).toBe(status);
		const policy = response.headers.get('content-security-policy');
		expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+';/);
		expect(policy).toContain("frame-ancestors 'none'");
	}
});
