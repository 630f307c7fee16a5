import { expect, test } from 'vitest';
import { failureOf, isAlive } from '../harness.js';
import { answer, answerWith, deaf, fill, list, refuse, startSession } from './shell-server.js';

const failOnce = async (...[shell, spec]: Parameters<typeof startSession>) => {
	const { session, log } = startSession(shell, spec);
	return { error: await failureOf(session.listModels()), session, log };
};

test.each([
	['start', 'initialize'],
	['initialize', 'initialize'],
	['list', 'model/list'],
] as const)(
	'an exit at %s fails the request at once, with its code and words',
	async (moment, phase) => {
		for (const [code, half] of [
			[0, ''],
			[7, `printf '{"id":3,"res'`],
		] as const) {
			const { error, session } = await failOnce({
				[moment]: `echo first >&2; echo why >&2; ${half || ':'}; exit ${code}`,
			});
			const facts = {
				code: 'ERR_CODEX_EXITED',
				exitCode: code,
				signal: null,
				stderr: 'first\nwhy',
				phase,
			};
			expect(error).toMatchObject(facts);
			expect(error.message).toMatch(
				new RegExp(`exit code ${code} .*phase ${phase}, after \\d+ ms.*: why\\.`),
			);
			expect(await session.exited).toEqual({ exitCode: code, signal: null });
			expect(session.isClosed).toBe(true);
			await expect(session.listModels()).rejects.toMatchObject({
				code: 'ERR_CODEX_EXITED',
				exitCode: code,
			});
		}
	},
);

test('an end by a signal fails the request at once, with the signal', async () => {
	for (const moment of ['start', 'initialize', 'list']) {
		const { error } = await failOnce({ [moment]: 'kill -KILL $$' });
		expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: null, signal: 'SIGKILL' });
	}
});

test('an answer that is still in the pipe at the exit is read', async () => {
	const line = `printf '{"id":%s,"result":{"data":[{"id":"a"}],"padding":"' "$id"; ${fill(4_000_000)}; echo '"}}'`;
	const { session } = startSession({ list: `${line}; exit 0` });
	expect((await session.listModels()).models).toHaveLength(1);
});

test.each(['start', 'initialize', 'list'])(
	'a closed output at %s fails the request at once, and the process is ended',
	async (moment) => {
		const { error, session } = await failOnce({ [moment]: `echo why >&2; exec >&-; ${deaf}` });
		expect(error).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode: null,
			signal: null,
			stderr: 'why',
		});
		expect(error.message).not.toContain('null');
		const pid = session.pid as number;
		session.shutDown('fastShutdown');
		await session.exited;
		expect(isAlive(pid)).toBe(false);
	},
);

test('a closed input fails the request at once, unless the answer comes all the same', async () => {
	const { error } = await failOnce({ initialize: `exec <&-; ${answer({})}; ${deaf}` });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: null,
		signal: null,
		phase: 'model/list',
	});
	const { session } = startSession({ list: `exec <&-; ${list('a')}; sleep 0.2; exit` });
	expect((await session.listModels()).models).toHaveLength(1);
});

test('a grandchild that holds the pipes does not delay the news of an exit', async () => {
	const { error } = await failOnce({ start: `echo why >&2; sleep 60 & exit 3` });
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 3, stderr: 'why' });
});

/** Waits for one more byte, also one that is no line: as 0.66.0 to 0.115.0 do when they cannot start. */
const untilByte = 'dd bs=1 count=1 >/dev/null 2>&1';

test.each([
	[
		'after its words',
		`read -r line; printf '\\033[31mError: \\033[0mno home\\n' >&2; ${untilByte}; exit 1`,
	],
	['before its words', `read -r line; ${untilByte}; echo 'Error: no home' >&2; exit 1`],
	[
		'with a backtrace',
		`read -r line; printf 'Error: no home\\n\\nStack backtrace:\\n   0: main\\n' >&2; ${untilByte}; exit 1`,
	],
])(
	'an app-server that failed and waits for one more byte gets it, and fails within a second: %s',
	async (_, start) => {
		const startedAt = performance.now();
		const { error } = await failOnce({ start });
		expect(performance.now() - startedAt).toBeLessThan(1_000);
		expect(error).toMatchObject({
			code: 'ERR_CODEX_EXITED',
			exitCode: 1,
			signal: null,
			phase: 'initialize',
		});
		expect(error.message).toContain(': Error: no home.');
		expect(error.stderr).toContain('Error: no home');
	},
);

test('an app-server that wrote a fatal line and ends at nothing fails within a second, with its words', async () => {
	const startedAt = performance.now();
	const { error } = await failOnce({ initialize: `echo 'Error: no home' >&2; ${deaf}` });
	expect(performance.now() - startedAt).toBeLessThan(1_000);
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: null,
		signal: null,
		phase: 'initialize',
	});
	expect(error.message).toContain('Error: no home');
});

test('an app-server that writes an error line and answers all the same is heard', async () => {
	const words = `echo 'Error: only a log line' >&2`;
	for (const shell of [
		{ initialize: `${words}; sleep 0.2; ${answer({})}` },
		{ list: `${words}; sleep 0.7; ${list('a')}` },
	]) {
		const { session } = startSession(shell);
		expect((await session.listModels()).models).toHaveLength(1);
	}
});

test('an app-server gets wake-up bytes only until it has answered initialize', async () => {
	const { session } = startSession({ config: `${answer({ config: {} })}; ${untilByte}; exit 5` });
	await session.listModels();
	await new Promise((resolve) => setTimeout(resolve, 400));
	expect(session.isClosed).toBe(false);
});

test.each([
	['no object', 7, 'no object'],
	['null', null, 'no object'],
	['an array', [], 'no object'],
	['an object without data', {}, '"data"'],
	['an object whose data is an object', { data: { 0: { id: 'a' } } }, '"data"'],
	['a page whose cursor is a number', { data: [], nextCursor: 4 }, '"nextCursor"'],
	['a page whose cursor is 0', { data: [], nextCursor: 0 }, '"nextCursor"'],
	['a page whose cursor is false', { data: [], nextCursor: false }, '"nextCursor"'],
])('a result that is %s is ERR_CODEX_PROTOCOL', async (_, result, problem) => {
	const { error } = await failOnce({ list: answer(result) });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'model/list',
		message: expect.stringContaining(problem),
	});
});

test('an answer with neither a result nor a readable error is ERR_CODEX_PROTOCOL', async () => {
	for (const members of [
		{},
		{ error: 'no' },
		{ error: { message: 'no' } },
		{ error: { code: '-32001', message: 'no' } },
	]) {
		for (const [moment, phase] of Object.entries({
			initialize: 'initialize',
			list: 'model/list',
		})) {
			const { error } = await failOnce({ [moment]: answerWith(members) });
			expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase });
		}
	}
	const { session } = startSession({
		list: answerWith({ result: { data: [{ id: 'a' }] }, error: null }),
	});
	expect((await session.listModels()).models).toHaveLength(1);
});

test('a JSON-RPC error keeps its code, its data and its words, without their secrets', async () => {
	const secret = 'sk-proj-0123456789abcdefghij';
	const data = {
		reason: 'cloudConfigBundle',
		attempts: [1, null],
		access_token: 'opaque',
		detail: secret,
	};
	const { error } = await failOnce({
		list: refuse({ code: -32600, message: `no\nconfiguration ${secret}`, data }),
	});
	expect(error).toMatchObject({
		code: 'ERR_CODEX_RPC',
		rpcCode: -32600,
		rpcData: {
			reason: 'cloudConfigBundle',
			attempts: [1, null],
			access_token: '[redacted]',
			detail: '[redacted]',
		},
		phase: 'model/list',
	});
	expect(error.message).toMatch(
		/-32600 .*model\/list, after \d+ ms.*: no configuration \[redacted\]\./,
	);
	expect((await failOnce({ initialize: refuse({ code: 1 }) })).error).toMatchObject({
		rpcCode: 1,
		rpcData: undefined,
	});
});

const placeholder = expect.stringMatching(/^\[omitted/);

test.each([
	['data of 17 KB', `printf '"'; ${fill(17_000)}; printf '"'`, placeholder],
	['data that nests 5,000 deep', `${fill(5_000, '[')}; ${fill(5_000, ']')}`, placeholder],
	[
		'data that nests 3,000,000 deep',
		`${fill(3_000_000, '[')}; ${fill(3_000_000, ']')}`,
		placeholder,
	],
	[
		'data of a million values',
		`printf '[0'; yes ',[]' | tr -d '\\n' | head -c 3999999; printf ',0]'`,
		placeholder,
	],
	[
		'data of 8,000 empty texts',
		`printf '[0'; yes ',""' | tr -d '\\n' | head -c 30000; printf ',0]'`,
		placeholder,
	],
	['data of 17 KB in one name', `printf '{"'; ${fill(17_000)}; printf '":1}'`, placeholder],
])('a JSON-RPC error with %s is told with a placeholder', async (_, data, rpcData) => {
	const { error } = await failOnce({
		list: `printf '{"id":%s,"error":{"code":-7,"message":"no","data":' "$id"; ${data}; echo '}}'`,
	});
	expect(error).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -7, rpcData });
	expect(error.message).toContain(': no.');
});

test('a JSON-RPC error with a long or strange message is told in 2,000 characters', async () => {
	const long = `printf '{"id":%s,"error":{"code":-7,"message":"sk-' "$id"; ${fill(6_000_000, 'a')}; echo '"}}'`;
	for (const shell of [long, refuse({ code: -7, message: { toString: 1 } })]) {
		const { error } = await failOnce({ list: shell });
		expect(error).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -7 });
		expect(error.message.length).toBeLessThanOrEqual(2_000);
		expect(error.message).not.toContain('aaaaaaaa');
	}
});

const line = (length: number) => {
	// A session's second request is its first list.
	const head = '{"id":2,"result":{"data":[{"id":"a"}],"padding":"';
	return `printf '${head}'; ${fill(length - head.length - 3)}; echo '"}}'`;
};

test('a line of 8 MiB is read, and one more byte fails the session', async () => {
	const { session } = startSession({ list: line(8 * 1024 * 1024) });
	expect((await session.listModels()).models).toHaveLength(1);
	const { error } = await failOnce({ list: line(8 * 1024 * 1024 + 1) });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	expect(error.message).toContain('longer than 8388608 bytes');
});

test('a line without an end fails the session, and its rest is not kept', async () => {
	const { error, session } = await failOnce({ initialize: `tr '\\0' x < /dev/zero` });
	expect(error).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'initialize' });
	expect(session.isClosed).toBe(true);
	await expect(session.listModels()).rejects.toMatchObject({ code: 'ERR_CODEX_PROTOCOL' });
});

test('a file that vanishes before the start, an interpreter that is missing, and arguments too long fail with their cause', async () => {
	const missing = await failOnce({}, { file: '/nowhere/codex', displayCommand: 'my-codex' });
	expect(missing.error).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'my-codex',
		cause: { code: 'ENOENT' },
	});
	expect(await missing.session.exited).toBeUndefined();
	expect(missing.session.pid).toBeUndefined();
	const { error } = await failOnce({}, { args: ['sk-0123456789abcdef', 'x'.repeat(4_000_000)] });
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		phase: 'spawn',
		exitCode: null,
		cause: { code: 'E2BIG' },
	});
	expect(JSON.stringify([error.message, error.cause])).not.toContain('0123456789');
});

test('every call on a session that could not start fails with the same facts', async () => {
	const { session } = await failOnce({}, { file: '/nowhere/codex' });
	const errors = await Promise.all([
		failureOf(session.listModels()),
		failureOf(session.listModels()),
	]);
	for (const error of errors)
		expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', cause: { code: 'ENOENT' } });
});
