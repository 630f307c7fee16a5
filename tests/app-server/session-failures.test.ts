import { beforeEach, expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import { answerWith, fill, refuse, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

const failOnce = async (...[shell, spec]: Parameters<typeof startSession>) => {
	const { session, log } = startSession(shell, spec);
	return { error: await failureOf(session.listModels()), session, log };
};

test('an answer that is still in the pipe at the exit is read', async () => {
	const line = `printf '{"id":%s,"result":{"data":[{"id":"a"}],"padding":"' "$id"; ${fill(4_000_000)}; echo '"}}'`;
	const { session } = startSession({ list: `${line}; exit 0` });
	expect((await session.listModels()).models).toHaveLength(1);
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
