import { beforeEach, expect, test, vi } from 'vitest';
import { failureOf, isAlive } from '../harness.js';
import {
	answer,
	answerWith,
	deaf,
	fill,
	list,
	refuse,
	setTimings,
	startSession,
} from './shell-server.js';

beforeEach(() => {
	setTimings();
	vi.spyOn(performance, 'now').mockReturnValue(7_777);
});

const failOnce = async (...[shell, spec]: Parameters<typeof startSession>) => {
	const { session, log } = startSession(shell, spec);
	return { error: await failureOf(session.listModels()), session, log };
};
const unreadable = (problem: string, phase: string) =>
	`Codex gave an answer that cannot be read: ${problem} (phase ${phase}, after 0 ms). Check that the program is the Codex CLI ("codex --version"), update it, then try again.`;
const noList = 'its result is no object, or has no array "data"';
const noCursor = 'its "nextCursor" is neither a string nor null';
const noAnswer = 'it has neither a result nor an error';
const noCode = 'its error has no code';

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
			expect(error.message).toContain(
				`Codex ended with exit code ${code} before it answered (phase ${phase}, after 0 ms): why. `,
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
	['no object', 7, noList],
	['null', null, noList],
	['an array', [], noList],
	['an object without data', {}, noList],
	['an object whose data is an object', { data: { 0: { id: 'a' } } }, noList],
	['a page whose cursor is a number', { data: [], nextCursor: 4 }, noCursor],
	['a page whose cursor is 0', { data: [], nextCursor: 0 }, noCursor],
	['a page whose cursor is false', { data: [], nextCursor: false }, noCursor],
])('a result that is %s is ERR_CODEX_PROTOCOL', async (_, result, problem) => {
	const { error } = await failOnce({ list: answer(result) });
	expect(error.message).toBe(unreadable(problem, 'model/list'));
	expect(error).toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'model/list',
		hint: 'Check that the options "command" and "args" start `codex app-server`.',
	});
});

test('an answer with neither a result nor a readable error is ERR_CODEX_PROTOCOL', async () => {
	for (const [members, problem] of [
		[{}, noAnswer],
		[{ error: 'no' }, noCode],
		[{ error: { message: 'no' } }, noCode],
		[{ error: { code: '-32001', message: 'no' } }, noCode],
	] as const) {
		for (const [moment, phase] of [
			['initialize', 'initialize'],
			['list', 'model/list'],
		] as const) {
			const { error } = await failOnce({ [moment]: answerWith(members) });
			expect(error.message).toBe(unreadable(problem, phase));
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
	expect(error.message).toBe(
		'Codex answered with error -32600 (phase model/list, after 0 ms): no configuration [redacted]. Check the network and the login ("codex login status"), then try again.',
	);
	const bare = await failOnce({ initialize: refuse({ code: 1 }) });
	expect(bare.error).toMatchObject({ rpcCode: 1, rpcData: undefined });
	expect(bare.error.message).toBe(
		'Codex answered with error 1 (phase initialize, after 0 ms). Try again in a while.',
	);
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
