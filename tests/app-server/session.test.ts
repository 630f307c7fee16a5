import { expect, test } from 'vitest';
import { idsOf } from '../harness.js';
import { answer, answerWith, fill, list, refuse, say, startSession } from './shell-server.js';

const noModel = { model: null, modelProvider: null, reasoningEffort: null };

test('a session initializes, asks for the models, hidden ones included, and then for the configuration', async () => {
	const { session, log } = startSession({}, { cwd: '/tmp' });
	expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	const messages = log.messages();
	expect(log.methods()).toEqual(['initialize', 'initialized', 'model/list', 'config/read']);
	expect(messages[0].params).toMatchObject({ clientInfo: { name: 'tests', version: '1' } });
	expect(messages[1]).not.toHaveProperty('id');
	expect(messages[3].params).toEqual({ includeLayers: false, cwd: '/tmp' });
	// A `limit` costs 5 s a page on a stalled network.
	expect(messages[2].params).toEqual({ includeHidden: true });
	expect(new Set(messages.map(({ id }) => id)).size).toBe(4);
});

test('a session waits for the answer to initialize before it sends more', async () => {
	const { session, log } = startSession({ initialize: ':', other: answer({}) });
	const answered = session.listModels().catch(() => 'ended');
	await log.untilLines(1);
	await new Promise((resolve) => setTimeout(resolve, 100));
	expect(log.methods()).toEqual(['initialize']);
	expect(session.progress.phase).toBe('initialize');
	session.shutDown('fastShutdown');
	expect(await answered).toBe('ended');
});

test('a session lists again on the same connection, without another initialize', async () => {
	const { session, log } = startSession({
		list: `[ $n = 1 ] && { ${list('a', 'b')}; } || { ${list('c')}; }`,
	});
	expect(idsOf((await session.listModels()).models)).toEqual(['a', 'b']);
	expect(idsOf((await session.listModels()).models)).toEqual(['c']);
	expect(log.methods().filter((method) => method === 'initialize')).toHaveLength(1);
	expect(session.isClosed).toBe(false);
});

test('a session fetches every page on one connection, in order', async () => {
	const page = (ids: string[], nextCursor: unknown) =>
		answer({ data: ids.map((id) => ({ id })), nextCursor });
	const { session, log } = startSession({
		list: `case $n in 1) ${page(['a', 'b'], '4')} ;; 2) ${page([], '5')} ;; 3) ${page(['c'], 'x"y')} ;; *) ${page(['d'], '')} ;; esac`,
	});
	expect(idsOf((await session.listModels()).models)).toEqual(['a', 'b', 'c', 'd']);
	const lists = log.messages().filter(({ method }) => method === 'model/list');
	expect(lists.map(({ params }) => params.cursor)).toEqual([undefined, '4', '5', 'x"y']);
});

test('a list ends with a cursor that is empty, null or missing', async () => {
	for (const nextCursor of ['', null, undefined]) {
		const { session, log } = startSession({ list: answer({ data: [{ id: 'a' }], nextCursor }) });
		expect(idsOf((await session.listModels()).models)).toEqual(['a']);
		expect(log.methods().filter((method) => method === 'model/list')).toHaveLength(1);
	}
});

/** A page whose cursor is the shell's word. */
const turnTo = (cursor: string) =>
	`printf '{"id":%s,"result":{"data":[{"id":"p%s"}],"nextCursor":"%s"}}\\n' "$id" "$n" "${cursor}"`;

test('a session takes a hundred pages, and no more', async () => {
	const whole = startSession({
		list: `[ $n -lt 100 ] && { ${turnTo('$n')}; } || { ${list('last')}; }`,
	});
	expect((await whole.session.listModels()).models).toHaveLength(100);
	const endless = startSession({ list: turnTo('$n') });
	await expect(endless.session.listModels()).rejects.toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'model/list',
		message: expect.stringContaining('more than 100 pages'),
	});
	expect(endless.log.methods().filter((method) => method === 'model/list')).toHaveLength(100);
});

test('a cursor that was seen before is an error, also one of an earlier page', async () => {
	for (const [cursors, times] of [
		['1', 2],
		['$((n % 3))', 4],
	] as const) {
		const { session, log } = startSession({ list: turnTo(cursors) });
		await expect(session.listModels()).rejects.toMatchObject({
			code: 'ERR_CODEX_PROTOCOL',
			message: expect.stringContaining('"1" came twice'),
		});
		expect(log.methods().filter((method) => method === 'model/list')).toHaveLength(times);
	}
});

test('a second list of a session may pass the cursors of the first', async () => {
	const { session } = startSession({
		list: `[ $((n % 2)) = 1 ] && { ${turnTo('1')}; } || { ${list('last')}; }`,
	});
	for (let count = 0; count < 2; count++)
		expect((await session.listModels()).models).toHaveLength(2);
});

test('pages that hold more than the memory should are an error', async () => {
	const page = `printf '{"id":%s,"result":{"nextCursor":"%s","data":[{"id":"a","description":"' "$id" "$n"; ${fill(4_000_000)}; echo '"}]}}'`;
	const { session, log } = startSession({ list: page });
	await expect(session.listModels()).rejects.toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'model/list',
	});
	expect(log.methods().filter((method) => method === 'model/list').length).toBeLessThan(20);
});

test('the configured model is that of config/read, whether its answer comes before the list or after it', async () => {
	const config = answer({
		config: { model: 'm', model_provider: 'p', model_reasoning_effort: 'high', secret: 's' },
	});
	const configured = { model: 'm', modelProvider: 'p', reasoningEffort: 'high' };
	const before = startSession({
		list: 'listId=$id',
		config: `${config}; id=$listId; ${list('a')}`,
	});
	expect((await before.session.listModels()).configured).toEqual(configured);
	const after = startSession({ config: `sleep 0.02; ${config}` });
	expect(await after.session.listModels()).toMatchObject({ models: [{ id: 'a' }], configured });
});

test.each([
	['is never answered', ':'],
	['is refused', refuse({ code: -32601, message: 'unknown method' })],
	['is answered by nothing that can be read', answer({ config: 'none' })],
	['is answered without a result', answerWith({})],
	['is answered too late', `(sleep 1; ${answer({ config: { model: 'late' } })}) &`],
])(
	'the configured model is unknown, and the list is there, where config/read %s',
	async (_, config) => {
		const { session } = startSession({ config });
		const startedAt = performance.now();
		expect(await session.listModels()).toMatchObject({
			models: [{ id: 'a' }],
			configured: noModel,
		});
		// The list itself takes some 10 ms, and the wait for the configuration 250 ms at most.
		expect(performance.now() - startedAt).toBeLessThan(900);
	},
);

test('an answer to config/read that is late stays without effect on the next list', async () => {
	const config = `[ $n = 1 ] && configId=$id || { ${answer({ config: { model: 'second' } })}; }`;
	const late = `id=$configId; ${answer({ config: { model: 'first' } })}`;
	const { session } = startSession({
		config,
		list: `[ $n = 2 ] && { listId=$id; ${late}; id=$listId; }; ${list('a')}`,
	});
	expect((await session.listModels()).configured).toEqual(noModel);
	expect((await session.listModels()).configured.model).toBe('second');
});

test('a session skips unasked-for lines, and refuses the requests of the server with -32601', async () => {
	const noise = [
		'\u001b[32mWelcome to the launcher!\u001b[0m',
		'   ',
		'{"id":1,"result":',
		'null',
		'[{"id":$id,"result":{"data":[{"id":"from-an-array"}]}}]',
		'{"id":null,"result":{"data":[{"id":"null"}]}}',
		'{"id":"$id","result":{"data":[{"id":"string-id"}]}}',
		'{"id":4711,"error":{"code":-32000,"message":"not yours"}}',
		'{"method":"configWarning"}',
		'{"method":"configWarning","params":{"summary":7}}',
		'{"id":$id,"method":"item/tool/call","params":{},"result":{"data":[{"id":"call"}]}}',
		'{"id":"call-1","method":"execCommandApproval"}',
	];
	const { session, log, warnings } = startSession({
		list: `${noise.map(say).join('; ')}; ${list('a')}; ${list('twice')}`,
	});
	expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	await log.untilLines(6);
	expect(log.messages().filter(({ method }) => method === undefined)).toEqual([
		{ id: expect.any(Number), error: { code: -32601, message: expect.any(String) } },
		{ id: 'call-1', error: { code: -32601, message: expect.any(String) } },
	]);
	expect(warnings).toEqual([]);
});

test('a session that has answered goes on to refuse requests, so that a kept app-server does not wait', async () => {
	const ask = say('{"id":"later","method":"x"}');
	const { session, log } = startSession({
		list: `${list('a')}; ${ask}`,
		other: 'case $line in *later*) exit 0 ;; esac',
	});
	await session.listModels();
	expect(await session.exited).toEqual({ exitCode: 0, signal: null });
	expect(log.messages().at(-1)).toMatchObject({ id: 'later', error: { code: -32601 } });
});

test('a session reads lines that end with CR LF, and characters in pieces', async () => {
	const name = 'ä€😀\u2028b';
	const line = `,"result":{"data":[{"id":"a","displayName":"${name}"}]}}`;
	const bytes = [...Buffer.from(line)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`);
	// The second piece begins and ends inside of a character.
	const start = Buffer.from(line.slice(0, line.indexOf('ä'))).length + 1;
	const pieces = [bytes.slice(0, start), bytes.slice(start, start + 3), bytes.slice(start + 3)];
	const { session } = startSession({
		initialize: `printf '{"id":%s,"result":{}}\\r\\n' "$id"`,
		list: `printf '{"id":%s' "$id"; ${pieces.map((piece) => `printf '${piece.join('')}'; sleep 0.01`).join('; ')}; echo`,
	});
	expect((await session.listModels()).models[0]?.displayName).toBe(name);
});

test('a warning of the configuration is told on one line, without its secrets', async () => {
	const warning = (params: object) => say(JSON.stringify({ method: 'configWarning', params }));
	const { session, warnings } = startSession({
		start: warning({
			summary: 'Invalid\nconfiguration; key sk-0123456789abcdef',
			details: 'token=0123456789abcdef01',
		}),
		list: `${warning({ summary: 's'.repeat(5_000), details: 7 })}; ${list('a')}`,
	});
	await session.listModels();
	expect(warnings).toEqual([
		['Invalid configuration; key [redacted]', 'token=[redacted]'],
		[expect.stringMatching(/^s{900,998} …$/), null],
	]);
});

test('a flood on stderr does not delay the list, and little of it is kept', async () => {
	const { session } = startSession({ list: `yes eeeeeeeee | head -c 8000000 >&2; ${list('a')}` });
	expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	expect(session.progress.stderr.length).toBeLessThanOrEqual(4096);
});

test('the result of initialize may be anything', async () => {
	for (const result of [{}, [], 'ok', 0, false, null]) {
		const { session } = startSession({ initialize: answer(result) });
		expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	}
});
