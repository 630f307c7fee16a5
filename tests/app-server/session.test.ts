import { expect, test } from 'vitest';
import {
	failureOf,
	idsOf,
	isAlive,
	makeCatalog,
	makeScriptedCatalog,
	neverMs,
	runHost,
	type Step,
	script,
} from './harness.js';

const a = { models: [{ id: 'a' }] };

/** What a single attempt ends with. */
async function listOnce(...step: Step) {
	const { catalog, server, events } = makeScriptedCatalog([step]);
	const models = await catalog.list({ includeHidden: true });
	return { ids: idsOf(models), models, server, events };
}

async function failOnce(...step: Step) {
	const { catalog, server, events } = makeScriptedCatalog([step]);
	return { error: await failureOf(catalog.list({ includeHidden: true })), server, events };
}

test('says initialize, initialized and model/list, in that order, and asks for the hidden models', async () => {
	const { catalog, server } = makeScriptedCatalog([['answers', a]]);
	await catalog.list();
	const requests = server.requests();
	expect(requests.map(({ method }) => method)).toEqual(['initialize', 'initialized', 'model/list']);
	expect(requests[0]?.params).toMatchObject({ clientInfo: { name: expect.any(String) } });
	expect(requests[1]).not.toHaveProperty('id');
	expect(requests[2]?.params).toEqual({ includeHidden: true });
	expect(new Set([requests[0]?.id, requests[2]?.id]).size).toBe(2);
});

test('waits for the answer to initialize before it says more', async () => {
	const { catalog, server } = makeScriptedCatalog([
		['answers', { ...a, gates: { initialize: 'open', 'model/list': 'closed' } }],
	]);
	const list = catalog.list();
	await server.untilLogged('waits');
	expect(server.requests().map(({ method }) => method)).toEqual(['initialize']);
	server.open('open');
	await server.untilAsked('model/list');
	server.open('closed');
	expect(idsOf(await list)).toEqual(['a']);
});

test('fetches every page on one connection, in order', async () => {
	const pages = [[{ id: 'a' }, { id: 'b' }], [], [{ id: 'c', hidden: true }], [{ id: 'd' }]];
	const { ids, server } = await listOnce('answers', { pages });
	expect(ids).toEqual(['a', 'b', 'c', 'd']);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list').map(({ params }) => params)).toEqual([
		{ includeHidden: true },
		{ includeHidden: true, cursor: '1' },
		{ includeHidden: true, cursor: '2' },
		{ includeHidden: true, cursor: '3' },
	]);
	expect(server.requests('initialize')).toHaveLength(1);
});

test('takes a hundred pages', async () => {
	const { ids } = await listOnce('turnsPages', { count: 100 });
	expect(ids).toHaveLength(100);
	expect(new Set(ids).size).toBe(100);
});

test('more than a hundred pages are an error', async () => {
	const { error, server } = await failOnce('turnsPages', { count: 101 });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(error.message).toMatch(/100/);
	expect(server.requests('model/list')).toHaveLength(100);
});

test.each([
	['the one before', '2'],
	['an earlier one', '1'],
])('a cursor seen before is an error: %s', async (_, lastCursor) => {
	const { error, server } = await failOnce('turnsPages', { count: 3, lastCursor });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(error.message).toContain(`"${lastCursor}"`);
	expect(server.requests('model/list')).toHaveLength(3);
	expect(server.starts).toBe(1);
});

test.each([
	['no object', 7],
	['null', null],
	['a string', 'data'],
	['an array', []],
	['without data', {}],
	['with data that is null', { data: null }],
	['with data that is an object', { data: { 0: { id: 'a' } } }],
	['with a cursor that is a number', { data: [], nextCursor: 4 }],
	['with a cursor that is an object', { data: [], nextCursor: {} }],
])('a result that cannot be read is ERR_CODEX_PROTOCOL, and not asked for again: %s', async (_, result) => {
	const { catalog, server } = makeScriptedCatalog([['answers', { result }]], { retries: 2 });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(server.starts).toBe(1);
});

test.each([
	['neither result nor error', {}],
	['an error that is a string', { error: 'no' }],
	['an error without a code', { error: { message: 'no' } }],
	['an error whose code is a string', { error: { code: '-32001', message: 'no' } }],
])('an answer that is none is ERR_CODEX_PROTOCOL: %s', async (_, message) => {
	for (const at of ['initialize', 'model/list'] as const) {
		const { error } = await failOnce('answersWith', { at, message });
		expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: at });
	}
});

test('an error that is null is none', async () => {
	const message = { result: { data: [{ id: 'a' }] }, error: null };
	expect((await listOnce('answersWith', { at: 'model/list', message })).ids).toEqual(['a']);
});

test.each(['', null, undefined])('the list ends with the cursor %j', async (nextCursor) => {
	const { ids, server } = await listOnce('answers', { result: { data: [{ id: 'a' }], nextCursor } });
	expect(ids).toEqual(['a']);
	expect(server.requests('model/list')).toHaveLength(1);
});

test('whatever initialize answers, and further properties of the result, fail nothing', async () => {
	for (const initializeResult of [{}, [], 'ok', 0, false]) {
		const result = { data: [{ id: 'a', never: 'heard of' }], nextCursor: null, total: 1 };
		expect((await listOnce('answers', { initializeResult, result })).ids).toEqual(['a']);
	}
});

test('skips what nobody asked for, and answers the requests of the server with -32601', async () => {
	const { ids, server, events } = await listOnce('isNoisy', a);
	expect(ids).toEqual(['a']);
	const [first, , last] = server.requests().filter(({ method }) => method !== undefined);
	const answers = server
		.find('message')
		.map(({ message }) => message)
		.filter(({ method }) => method === undefined);
	const refused = (id: unknown) => ({ id, error: { code: -32601, message: expect.any(String) } });
	// Those after the last answer come while the app-server is being ended.
	expect(answers.slice(0, 2)).toEqual([refused(first?.id), refused('call-1')]);
	for (const answer of answers.slice(2)) expect([last?.id, 'call-2']).toContain(answer.id);
	expect(events.count('config-warning')).toBe(0);
});

test('reads lines that end with CR LF', async () => {
	expect((await listOnce('writesCrLf', a)).ids).toEqual(['a']);
});

test('reads an answer that comes byte by byte', async () => {
	const models = [{ id: 'a', displayName: 'ä€😀\u2028' }];
	expect((await listOnce('writesBytewise', { models })).models[0]?.displayName).toBe('ä€😀');
});

test('reads names with line separators, and cuts none there', async () => {
	const displayName = 'a\u2028b\u2029c\u0085d\r\ne';
	const { models } = await listOnce('answers', { models: [{ id: 'a', displayName }] });
	expect(models[0]?.displayName).toBe(displayName);
});

test('takes a line of 8 MiB', async () => {
	expect((await listOnce('answersInALineOfLength', { ...a, length: 8 * 1024 * 1024 })).ids).toEqual(['a']);
});

test('a line of 8 MiB and a byte fails the attempt', async () => {
	const { error } = await failOnce('answersInALineOfLength', { ...a, length: 8 * 1024 * 1024 + 1 });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(error.message).toContain(String(8 * 1024 * 1024));
});

test.each([true, false])(
	'a longer line that nobody asked for fails the attempt, its end there: %s',
	async (isEnded) => {
		const { catalog, server } = makeScriptedCatalog(
			[['writesALongLine', { ...a, length: 9 * 1024 * 1024, isEnded }]],
			{ retries: 2 },
		);
		expect(await failureOf(catalog.list())).toMatchObject({
			code: 'ERR_CODEX_PROTOCOL',
			phase: 'model/list',
		});
		expect(server.starts).toBe(1);
	},
);

test('memory stays bounded with a line that has no end', async () => {
	// For ever, as long as it is read.
	const { command, args } = script(['writesALongLine', { length: 512 * 1024 * 1024 }]);
	const source = `
		const catalog = new CodexModelCatalog({ ...facts, retries: 0 });
		const before = process.resourceUsage().maxRSS;
		const error = await catalog.list().catch((error) => error);
		await catalog.close();
		console.log(JSON.stringify({ code: error.code, grownKiB: process.resourceUsage().maxRSS - before }));
	`;
	const { stdout, stderr } = await runHost(source, { command, args }).done;
	expect(stderr).toBe('');
	const { code, grownKiB } = JSON.parse(stdout);
	expect(code).toBe('ERR_CODEX_PROTOCOL');
	expect(grownKiB).toBeLessThan(150 * 1024);
});

test('memory stays bounded with pages that never end', async () => {
	const pages = Array.from({ length: 100 }, () => [{ id: 'a', description: 'x'.repeat(1024 * 1024) }]);
	const { error, server } = await failOnce('answers', { pages });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(server.requests('model/list').length).toBeLessThan(50);
});

test('32 MB on stderr hold up nothing', async () => {
	const { ids, server } = await listOnce('floodsStderr', { ...a, mebibytes: 32 });
	expect(ids).toEqual(['a']);
	expect(server.find('written')).toHaveLength(1);
});

test('tells of a warning of the configuration, without its secrets', async () => {
	const warning = {
		summary: 'Invalid configuration; key sk-0123456789abcdef',
		details: 'token=0123456789abcdef01',
	};
	const { ids, events } = await listOnce('warns', { ...a, warning });
	expect(ids).toEqual(['a']);
	expect(events.ofType('config-warning')).toMatchObject([
		{ summary: 'Invalid configuration; key [redacted]', details: 'token=[redacted]' },
	]);
});

test.each([undefined, null, 7])('the details of a warning may be %j', async (details) => {
	const { events } = await listOnce('warns', { ...a, warning: { summary: 'no details', details } });
	expect(events.ofType('config-warning')).toMatchObject([{ summary: 'no details', details: null }]);
});

test.each([
	['start', 'initialize'],
	['initialize', 'initialize'],
	['model/list', 'model/list'],
] as const)('an exit at %s fails the attempt at once, with its code', async (at, phase) => {
	for (const code of [0, 7]) {
		const { error } = await failOnce('exits', { at, code, stderr: 'why\n' });
		expect(error).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode: code,
			signal: null,
			stderr: 'why',
			phase,
		});
	}
});

test.each(['start', 'initialize', 'model/list'] as const)(
	'an end by a signal at %s fails the attempt at once, with the signal',
	async (at) => {
		const { error } = await failOnce('endsBySignal', { at, signal: 'SIGKILL' });
		expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: null, signal: 'SIGKILL' });
	},
);

test.each(['start', 'initialize', 'model/list'] as const)(
	'half a line and an exit at %s fail the attempt at once',
	async (at) => {
		const { error } = await failOnce('writesHalfALineAndExits', { at, code: 5 });
		expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 5 });
	},
);

test.each(['start', 'initialize', 'model/list'] as const)(
	'one that closes its output at %s and lives fails the attempt at once, and is ended',
	async (at) => {
		const { error, server, events } = await failOnce('closesItsOutput', {
			at,
			ignores: ['end'],
			stderr: 'why\n',
		});
		expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: null, signal: null, stderr: 'why' });
		expect(error.message).not.toContain('null');
		await events.nth('exited');
		expect(server.pids.filter(isAlive)).toEqual([]);
	},
);

test('one that closes its input before it was asked fails the attempt at once, and harms nothing', async () => {
	const { error } = await failOnce('closesItsInput', { at: 'initialize' });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: null,
		signal: null,
		phase: 'model/list',
	});
});

test('one that closes its input and answers all the same is heard', async () => {
	expect((await listOnce('closesItsInput', { ...a, at: 'model/list' })).ids).toEqual(['a']);
});

test.each([
	['coloured', '\u001b[31mError: \u001b[0mno home\n', 'Error: no home'],
	['plain', 'Error: no home\n', 'Error: no home'],
	['with a backtrace', 'Error: no home\n\nStack backtrace:\n   0: main\n', 'Error: no home'],
])(
	'one that has written a fatal error and lingers is made to end, and its words are told: %s',
	async (_, words, told) => {
		const { error } = await failOnce('lingers', { words });
		expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 1, signal: null, phase: 'initialize' });
		expect(error.message).toContain(told);
		expect(error.stderr).toContain(told);
	},
);

test('one that has written a fatal error and lingers whatever comes fails the attempt within a second', async () => {
	const { error, server } = await failOnce('lingers', {
		words: 'Error: no home\n',
		isDeaf: true,
		ignores: ['end', 'SIGTERM'],
	});
	const failedAt = Date.now();
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: null,
		signal: null,
		phase: 'initialize',
	});
	expect(error.message).toContain('Error: no home');
	// A second of the contract's, and one for a busy machine.
	expect(failedAt - (server.find('written')[0]?.at ?? 0)).toBeLessThan(2_000);
});

test('one that writes an error line and answers all the same is heard', async () => {
	const { ids, server } = await listOnce('survivesItsErrorLine', { ...a, words: 'Error: only a log line\n' });
	expect(ids).toEqual(['a']);
	expect(server.find('blank line').length).toBeGreaterThan(0);
});

test('an error line after the answer to initialize ends nothing that goes on to answer', async () => {
	const { catalog, server } = makeScriptedCatalog([
		['answers', { ...a, gates: { 'model/list': 'open' }, stderrAtList: 'Error: only a log line\n' }],
	]);
	const list = catalog.list();
	await server.untilLogged('blank line');
	// Longer than one that lingers is given.
	expect(await failureOf(catalog.list({ deadlineMs: 1_000 }))).toMatchObject({ phase: 'model/list' });
	server.open('open');
	expect(idsOf(await list)).toEqual(['a']);
});

test('output that is still in the pipe at the exit is read', async () => {
	// The answer, 4 MiB long, and the exit right behind it.
	const { ids } = await listOnce('answersAndExits', { ...a, length: 4 * 1024 * 1024 });
	expect(ids).toEqual(['a']);
});

test('a grandchild that holds the pipes does not hold up the news of an exit', async () => {
	const { error, server } = await failOnce('leavesAGrandchild', {
		at: 'initialize',
		code: 3,
		holdsPipes: true,
		stderr: 'why\n',
	});
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 3, stderr: 'why' });
	expect(server.find('grandchild')).toHaveLength(1);
});

test('one that cannot start, and says so only when one more byte comes, fails the attempt at once', async () => {
	// As the real 0.66.0 to 0.115.0 do with a bad configuration: not even the words come before.
	const lingering = `process.stdin.once('data', () => process.stdin.once('data', () => {
		process.stderr.write('Error: no such provider\\n', () => process.exit(1));
	}))`;
	const { catalog } = makeCatalog({
		command: process.execPath,
		args: ['-e', lingering],
		retries: 0,
		deadlineMs: neverMs,
		fetchTimeoutMs: neverMs,
	});
	expect(await failureOf(catalog.list())).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: 1,
		message: expect.stringContaining('Error: no such provider'),
	});
});

test('an error that cannot be handled fails the fetch, and not the host', async () => {
	for (const error of [
		// Parsed, but too deep to be written again.
		`'{"code":-1,"message":"deep","data":' + '['.repeat(5000) + ']'.repeat(5000) + '}'`,
		`'{"code":-1,"message":{"toString":1,"valueOf":1}}'`,
		// Too long for a regular expression.
		`'{"code":-1,"message":"sk-' + 'a'.repeat(6000000) + '"}'`,
	]) {
		const answer = `process.stdin.once('data', () => console.log('{"id":1,"error":' + ${error} + '}'))`;
		const { catalog } = makeCatalog({
			command: process.execPath,
			args: ['-e', answer],
			retries: 0,
			deadlineMs: neverMs,
			fetchTimeoutMs: neverMs,
		});
		const failure = await failureOf(catalog.list());
		expect(failure.code).toMatch(/^ERR_CODEX_(?:RPC|PROTOCOL)$/);
		expect(failure.message.length).toBeLessThan(2_000);
		await catalog.close();
	}
});
