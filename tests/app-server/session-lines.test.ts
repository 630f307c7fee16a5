import { beforeEach, expect, test } from 'vitest';
import { idsOf } from '../harness.js';
import { answer, fill, list, say, setTimings, startSession } from './shell-server.js';

beforeEach(() => setTimings());

test('a session skips what it did not ask for, and refuses requests, also those with its own ids', async () => {
	const noise = [
		'{"id":"$id","result":{"data":[{"id":"string-id"}]}}',
		'{"method":"configWarning"}',
		'{"method":"configWarning","params":{"summary":7}}',
		'{"method":"item/started","params":{"summary":"no warning"}}',
		'{"id":$id,"method":"item/tool/call","params":{}}',
	];
	const entries = answer({ data: [{ id: ' ' }, { id: 'a' }], nextCursor: null });
	const { session, log, warnings } = startSession({
		list: `${noise.map(say).join('; ')}; ${entries}`,
	});
	expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	await log.untilLines(5);
	const refusal = { id: expect.any(Number), error: { code: -32601, message: expect.any(String) } };
	expect(log.messages().filter(({ method }) => method === undefined)).toEqual([refusal]);
	expect(warnings).toEqual([]);
});

test('a session that has answered goes on to refuse requests, so that a kept app-server does not wait', async () => {
	const ask = say('{"id":"later","method":"x"}');
	const { session, log } = startSession({
		list: `${list('a')}; ${ask}`,
		other: 'case $line in *later*) exit 0 ;; esac',
	});
	await session.listModels();
	expect(await session.process.exited).toEqual({ exitCode: 0, signal: null });
	expect(log.messages().at(-1)).toMatchObject({ id: 'later', error: { code: -32601 } });
});

const maxLineBytes = 8 * 1024 * 1024;
const longLine = (head: string, length: number) =>
	`printf '%s' '${head}'; ${fill(length - head.length - 3)}; echo '"}}'`;

test('a line that is too long fails the session unless its beginning shows the id of another answer', async () => {
	for (const [head, fails] of [
		['{"method":"x","params":{"id":"', true],
		['xx', true],
		['{"a":{"id":4711},"b":{"c":"', true],
		['{"id":"2","result":{"a":"', true],
		['{"id":4711,"result":{"a":"', false],
		[' { "jsonrpc": "2.0", "id" : 4711, "result": {"a":"', false],
	] as const) {
		const { session } = startSession({ list: `${longLine(head, maxLineBytes + 1)}; ${list('a')}` });
		const outcome = await session.listModels().then(
			({ models }) => models.length,
			({ code }) => code,
		);
		expect([head, outcome]).toEqual([head, fails ? 'ERR_CODEX_PROTOCOL' : 1]);
	}
});

test('an answer may be 8 MiB long, and one byte more fails its request alone', async () => {
	// The first request of a session has the id 1, and each list takes two.
	const head = '{"id":10,"result":{"data":[{"id":"a"}],"padding":"';
	for (const extra of [0, 1]) {
		const { session } = startSession({
			list: `[ $n = 5 ] && { ${longLine(head, maxLineBytes + extra)}; } || { ${list('a')}; }`,
		});
		const outcomes: unknown[] = [];
		for (let count = 1; count <= 6; count++)
			outcomes.push(await session.listModels().catch(({ message }) => message));
		const tooLong = expect.stringContaining(`read: a line is longer than ${maxLineBytes} bytes (`);
		const isList = expect.objectContaining({ models: [expect.anything()] });
		const all = [isList, isList, isList, isList, extra === 0 ? isList : tooLong, isList];
		expect(outcomes).toEqual(all);
	}
});

test('lines end at the byte 0x0A and nowhere else, and a character may come in pieces', async () => {
	const name = 'ä€😀\u2028\u2029\u0085\u000b\u000cb';
	const line = `,"result":{"data":[{"id":"a","displayName":${JSON.stringify(name)}}]}}`;
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
