import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { CatalogSnapshot } from 'codex-models';
import { expect, test, vi } from 'vitest';
import { afterTest, idsOf, makeDirectory, realCodex, until } from '../harness.js';
import { lists, refuses, startPicker } from './start-picker.js';

type Body = CatalogSnapshot & { success: boolean; code?: string; error?: string };
type ServerSentEvent = { name: string; body: Body };

const serverFile = path.join(
	import.meta.dirname,
	'..',
	'..',
	'examples',
	'http-route',
	'server.js',
);

/** The example as its reader runs it, on a free port and with a new home. */
async function runExample(codex: string) {
	const home = makeDirectory();
	const child = spawn(process.execPath, [serverFile, '0'], {
		env: { ...process.env, CODEX_HOME: home, MY_TOOL_CACHE: home, MY_TOOL_CODEX_PATH: codex },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const closed = once(child, 'close');
	const stop = async () => {
		child.kill('SIGTERM');
		return (await closed)[0];
	};
	afterTest(stop);
	const [url] = await once(createInterface(child.stdout), 'line');
	return { url: `${url}codex-models`, stop };
}

/** A client of the event stream, which reads one event at a time. */
async function openStream(url: string) {
	const client = new AbortController();
	afterTest(() => client.abort());
	const response = await fetch(`${url}codex-models/events`, { signal: client.signal });
	const reader = (response.body as ReadableStream<Uint8Array>).getReader();
	const decoder = new TextDecoder();
	let text = '';
	const readBlock = async () => {
		while (!text.includes('\n\n'))
			text += decoder.decode((await reader.read()).value, { stream: true });
		const [block = ''] = text.split('\n\n', 1);
		text = text.slice(block.length + 2);
		return block;
	};
	const readEvent = async (): Promise<ServerSentEvent> => {
		const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(await readBlock()) ?? [];
		return name ? { name, body: JSON.parse(data) } : readEvent();
	};
	return { response, readBlock, readEvent, leave: () => client.abort() };
}

const readJson = async (url: string, init?: RequestInit) => {
	const response = await fetch(`${url}codex-models`, init);
	return { response, body: (await response.json()) as Body };
};
const refresh = (url: string) => readJson(url, { method: 'POST' });

test('the example lists the models of the real Codex with their age, and ends cleanly', async () => {
	const { url, stop } = await runExample(realCodex);

	const first = await fetch(url);
	const { success, models, configured, refreshError } = (await first.json()) as Body;
	expect(first.status).toBe(200);
	expect(first.headers.get('age')).toMatch(/^\d+$/);
	expect(success).toBe(true);
	expect(models.filter(({ isDefault }) => isDefault)).toHaveLength(1);
	expect(configured).toHaveProperty('model');
	expect(refreshError).toBeNull();

	const withHidden = (await (await fetch(`${url}?hidden=true`)).json()) as Body;
	expect(withHidden.models.length).toBeGreaterThan(models.length);
	expect(await stop()).toBe(0);
});

test('the example answers 503 with Retry-After and a plain message when there is no Codex', async () => {
	const { url } = await runExample(path.join(makeDirectory(), 'no-such-codex'));

	const response = await fetch(url);
	expect(response.status).toBe(503);
	expect(response.headers.get('retry-after')).toBe('30');
	expect(await response.json()).toMatchObject({
		success: false,
		code: 'ERR_CODEX_NOT_FOUND',
		error: expect.stringContaining('npm install -g @openai/codex'),
	});
});

test('a POST refreshes the list, and a GET does not', async () => {
	const { url } = await startPicker([lists('old'), lists('new')]);

	expect(idsOf((await readJson(url)).body.models)).toEqual(['old']);
	expect(idsOf((await readJson(url)).body.models)).toEqual(['old']);
	expect(idsOf((await refresh(url)).body.models)).toEqual(['new']);
	expect(idsOf((await readJson(url)).body.models)).toEqual(['new']);
});

test('a failed refresh answers 503, and the old list stays with the reason', async () => {
	const { url } = await startPicker([lists('old'), refuses('The backend is down')]);
	await readJson(url);

	const failed = await refresh(url);
	expect(failed.response.status).toBe(503);
	expect(failed.body.code).toBe('ERR_CODEX_RPC');

	const { body } = await readJson(url);
	expect(idsOf(body.models)).toEqual(['old']);
	expect(body.refreshError).toEqual({
		code: 'ERR_CODEX_RPC',
		message: expect.stringContaining('The backend is down'),
	});
});

test('an error reaches a browser as a code and a message only', async () => {
	const { url } = await startPicker([
		['exits', { at: 'model/list', code: 7, stderr: 'first line\nlast line\n' }],
	]);

	const { body } = await readJson(url);
	expect(Object.keys(body)).toEqual(['success', 'code', 'error']);
	expect(body.error).not.toContain('first line');
	const { readEvent } = await openStream(url);
	const event = await readEvent();
	expect(event.name).toBe('failure');
	expect(Object.keys(event.body)).toEqual(['success', 'code', 'error']);
});

test('after a deadline the answer is 503 with a short Retry-After, and the stream brings the list', async () => {
	const { appServer, url } = await startPicker(
		[['answers', { models: [{ id: 'late' }], gates: { 'model/list': 'go' } }]],
		{
			deadlineMs: 300,
		},
	);

	const { response, body } = await readJson(url);
	expect([response.status, response.headers.get('retry-after'), body.code]).toEqual([
		503,
		'5',
		'ERR_CODEX_TIMEOUT',
	]);
	const { readEvent } = await openStream(url);
	expect(await readEvent()).toMatchObject({ name: 'failure', body: { code: 'ERR_CODEX_TIMEOUT' } });
	appServer.open('go');
	expect(idsOf((await readEvent()).body.models)).toEqual(['late']);
	expect(appServer.starts).toBe(1);
});

test('the stream sends the list of now, then each change, and nothing for a refresh that brought the same', async () => {
	const { url } = await startPicker([lists('a'), lists('a'), lists('b')]);
	const { response, readEvent } = await openStream(url);

	expect(response.headers.get('content-type')).toBe('text/event-stream');
	const first = await readEvent();
	expect(first.name).toBe('snapshot');
	expect(idsOf(first.body.models)).toEqual(['a']);

	await refresh(url);
	await refresh(url);
	expect(idsOf((await readEvent()).body.models)).toEqual(['b']);
});

test('the stream sends the reason of a failed refresh, and its end', async () => {
	const { url } = await startPicker([lists('a'), refuses('The backend is down'), lists('a')]);
	const { readEvent } = await openStream(url);
	await readEvent();

	await refresh(url);
	const { body } = await readEvent();
	expect(idsOf(body.models)).toEqual(['a']);
	expect(Object.keys(body.refreshError ?? {})).toEqual(['code', 'message']);

	await refresh(url);
	expect((await readEvent()).body.refreshError).toBeNull();
});

test('all clients share one fetch, and each hears of a change', async () => {
	const { appServer, url } = await startPicker([lists('a'), lists('b')]);
	const streams = await Promise.all([1, 2, 3].map(() => openStream(url)));
	const readIds = () =>
		Promise.all(streams.map(async ({ readEvent }) => idsOf((await readEvent()).body.models)));

	expect(await readIds()).toEqual([['a'], ['a'], ['a']]);
	expect(appServer.starts).toBe(1);
	await refresh(url);
	expect(await readIds()).toEqual([['b'], ['b'], ['b']]);
	expect(appServer.starts).toBe(2);
});

test('a heartbeat keeps the stream open and revalidates a stale list', async () => {
	const { url } = await startPicker([lists('a'), lists('b')], { maxAgeMs: 0, heartbeatMs: 100 });
	const { readBlock, readEvent } = await openStream(url);

	expect(idsOf((await readEvent()).body.models)).toEqual(['a']);
	expect(idsOf((await readEvent()).body.models)).toEqual(['b']);
	let block = await readBlock();
	while (block !== ': heartbeat') block = await readBlock();
});

test('a client that leaves is unsubscribed, and its heartbeat ends', async () => {
	const { catalog, url } = await startPicker([lists('a')], { heartbeatMs: 10 });
	const unsubscribe = vi.fn();
	vi.spyOn(catalog, 'subscribe').mockReturnValue(unsubscribe);
	const peek = vi.spyOn(catalog, 'peek');
	const { readEvent, leave } = await openStream(url);
	await readEvent();
	await until('the heart beats', () => peek.mock.calls.length > 0);

	leave();
	await until('the client is unsubscribed', () => unsubscribe.mock.calls.length === 1);
	const beats = peek.mock.calls.length;
	await new Promise((resolve) => setTimeout(resolve, 50));
	expect(peek).toHaveBeenCalledTimes(beats);
});

test('the page loads nothing from other servers, and an unknown address is a 404', async () => {
	const { url } = await startPicker([lists('a')]);

	const page = await fetch(url);
	expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
	expect(await page.text()).not.toMatch(/https?:|innerHTML|src=/);
	for (const address of ['favicon.ico', '/', '..%2f', 'codex-models/']) {
		expect((await fetch(url + address)).status).toBe(404);
	}
	expect((await fetch(url, { method: 'DELETE' })).status).toBe(404);
});
