import { beforeEach, expect, test } from 'vitest';
import { failureOf, isAlive } from '../harness.js';
import {
	answer,
	answerWith,
	deaf,
	fill,
	list,
	refuse,
	type Shell,
	setTimings,
	startSession,
} from './shell-server.js';

beforeEach(() => setTimings());

const failOnce = async (shell: Shell) => {
	const { session, log } = startSession(shell);
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
			[0, ':'],
			[7, `printf '{"id":3,"res'`],
		] as const) {
			const { error, session } = await failOnce({
				[moment]: `echo first >&2; echo why >&2; ${half}; exit ${code}`,
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
			expect(await session.process.exited).toEqual({ exitCode: code, signal: null });
			expect(session.isClosed).toBe(true);
			expect(await failureOf(session.listModels())).toMatchObject({ exitCode: code });
		}
	},
);

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
		expect(error.message).toContain('Codex closed its output before it answered');
		const pid = session.process.pid as number;
		session.process.shutDown('fastShutdown');
		await session.process.exited;
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
		for (const [moment, phase] of [
			['initialize', 'initialize'],
			['list', 'model/list'],
		] as const) {
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
		rpcData: { ...data, access_token: '[redacted]', detail: '[redacted]' },
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

const _placeholder = expect.stringMatching(/^\[omitted/);

test('a JSON-RPC error with a long or strange message is told in 2,000 characters', async () => {
	const long = `printf '{"id":%s,"error":{"code":-7,"message":"sk-' "$id"; ${fill(6_000_000, 'a')}; echo '"}}'`;
	for (const shell of [long, refuse({ code: -7, message: { toString: 1 } })]) {
		const { error } = await failOnce({ list: shell });
		expect(error).toMatchObject({ code: 'ERR_CODEX_RPC', rpcCode: -7 });
		expect(error.message.length).toBeLessThanOrEqual(2_000);
		expect(error.message).not.toContain('aaaaaaaa');
	}
});
