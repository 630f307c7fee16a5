import { beforeEach, expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import { answerWith, fill, refuse, type Shell, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

const fail = (shell: Shell) => failureOf(startSession(shell).session.listModels());

test('an answer that is still in the pipe at the exit is read', async () => {
	const line = `printf '{"id":%s,"result":{"data":[{"id":"a"}],"padding":"' "$id"; ${fill(4_000_000)}; echo '"}}'`;
	const { session } = startSession({ list: `${line}; exit 0` });
	expect((await session.listModels()).models).toHaveLength(1);
});

test('a result beside an error that is null is read', async () => {
	const members = { result: { data: [{ id: 'a' }] }, error: null };
	const { session } = startSession({ list: answerWith(members) });
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
	const error = await fail({
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
	expect(await fail({ initialize: refuse({ code: 1 }) })).toMatchObject({
		rpcCode: 1,
		rpcData: undefined,
	});
});
