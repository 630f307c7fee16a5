import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import { afterTest, idsOf, until } from '../harness.js';
import { answersLate, ask, type Body, lists, refuses, startPicker } from './start-picker.js';

/** Holds the response, too: `fetch` cancels the body of one that is collected. */
async function* readBlocks(response: Response): AsyncGenerator<string, never> {
	const decoder = new TextDecoder();
	let text = '';
	for await (const bytes of response.body ?? []) {
		const blocks = (text + decoder.decode(bytes, { stream: true })).split('\n\n');
		text = blocks.pop() ?? '';
		yield* blocks;
	}
	throw new Error('The stream has ended');
}

/** A client of the event stream, which reads one event at a time. */
async function openStream(url: string) {
	const client = new AbortController();
	afterTest(() => client.abort());
	const response = await fetch(`${url}codex-models/events`, { signal: client.signal });
	const blocks = readBlocks(response);
	const readBlock = async () => (await blocks.next()).value;
	const readEvent = async (): Promise<{ name: string; body: Body }> => {
		const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(await readBlock()) ?? [];
		return name ? { name, body: JSON.parse(data) } : readEvent();
	};
	return { status: response.status, readBlock, readEvent, leave: () => client.abort() };
}

test('after a deadline the answer is 503 with a short Retry-After, and the stream brings the list', async () => {
	const { appServer, url } = await startPicker([answersLate('late')], { deadlineMs: 300 });
	const { status, headers, body } = await ask(url);
	expect([status, headers.get('retry-after'), body.code]).toEqual([503, '5', 'ERR_CODEX_TIMEOUT']);
	const { readEvent } = await openStream(url);
	expect((await readEvent()).body.code).toBe('ERR_CODEX_TIMEOUT');
	appServer.open('go');
	expect(idsOf((await readEvent()).body.models)).toEqual(['late']);
	expect(appServer.starts).toBe(1);
});

test('a stream sends the list, then each change: the reason of a failure, its end, other models', async () => {
	const { url } = await startPicker([lists('a'), lists('a'), refuses('No'), lists('b')]);
	const { readEvent } = await openStream(url);
	const readList = async () => {
		const { body } = await readEvent();
		return [...idsOf(body.models), body.refreshError?.code];
	};

	expect(await readList()).toEqual(['a', undefined]);
	for (const _ of [1, 2, 3]) await ask(url, 'POST');
	expect(await readList()).toEqual(['a', 'ERR_CODEX_RPC']);
	expect(await readList()).toEqual(['b', undefined]);
});

test('all clients share one fetch, and each hears that the list was cleared, and of the next one', async () => {
	const { appServer, catalog, url } = await startPicker([lists('a'), lists('b')]);
	const streams = await Promise.all([1, 2, 3].map(() => openStream(url)));
	const readEvents = () => Promise.all(streams.map(({ readEvent }) => readEvent()));
	const readIds = async () => (await readEvents()).map(({ body }) => idsOf(body.models));

	expect(await readIds()).toEqual([['a'], ['a'], ['a']]);
	catalog.clear();
	expect((await readEvents()).map(({ name }) => name)).toEqual(['cleared', 'cleared', 'cleared']);
	expect(await readIds()).toEqual([['b'], ['b'], ['b']]);
	expect(appServer.starts).toBe(2);
});

test('a heartbeat keeps the stream open, revalidates a stale list and tells its new age', async () => {
	const steps = [lists('a'), lists('a'), lists('b')];
	const { url } = await startPicker(steps, { maxAgeMs: 0 }, { heartbeatMs: 100 });
	const { readBlock, readEvent } = await openStream(url);

	const [first, second] = [(await readEvent()).body, (await readEvent()).body];
	expect([first, second].map(({ models }) => idsOf(models))).toEqual([['a'], ['a']]);
	expect(second.fetchedAt).toBeGreaterThan(first.fetchedAt);
	while (idsOf((await readEvent()).body.models)[0] !== 'b');
	while ((await readBlock()) !== ': heartbeat');
});

test('100 of 200 streams are served, 100 refused with a sentence, and one that leaves makes room', async () => {
	const { url } = await startPicker([lists('a')]);
	const streams = await Promise.all(Array.from({ length: 200 }, () => openStream(url)));
	const served = streams.filter(({ status }) => status === 200);
	expect(served).toHaveLength(100);
	expect(streams.filter(({ status }) => status === 429)).toHaveLength(100);
	const refused = await fetch(`${url}codex-models/events`);
	expect(await refused.text()).toContain('Too many pages are open.');
	served[0]?.leave();
	while ((await openStream(url)).status !== 200);
});

test('a client that never reads is dropped before much waits for it, and its heartbeat ends', async () => {
	const size = 500_000;
	const fetchModels = async () => ({
		models: [{ id: crypto.randomUUID(), description: 'x'.repeat(size) }],
	});
	const { catalog, server, port } = await startPicker([], { fetchModels }, { heartbeatMs: 10 });
	const peek = vi.spyOn(catalog, 'peek');
	const accepted = once(server, 'connection');
	const client = connect(port, '127.0.0.1');
	afterTest(() => client.destroy());
	client.write(`GET /codex-models/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
	const [socket] = (await accepted) as [Socket];
	const closed = once(socket, 'close');
	await until('the heart beats', () => peek.mock.calls.length > 0);

	let unread = 0;
	for (let count = 0; count < 200 && !socket.destroyed; count += 1) {
		await catalog.list({ refresh: true });
		unread = Math.max(unread, socket.writableLength);
	}
	expect(unread).toBeLessThan(1_000_000 + 2 * size);
	await closed;
	const beats = peek.mock.calls.length;
	await new Promise((resolve) => setTimeout(resolve, 50));
	expect(peek).toHaveBeenCalledTimes(beats);
});
