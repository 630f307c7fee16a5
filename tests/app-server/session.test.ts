import { beforeEach, expect, test, vi } from 'vitest';
import * as timers from '../../src/system/timers.js';
import { idsOf } from '../harness.js';
import {
	answer,
	answerWith,
	fill,
	list,
	refuse,
	say,
	setTimings,
	startSession,
} from './shell-server.js';

beforeEach(() => setTimings());

/** Makes a complete list wait for config/read without end, because a busy machine may take more than 150 ms. */
function waitForConfig() {
	const sleep = vi.spyOn(timers, 'sleep').mockReturnValue(new Promise(() => {}));
	return () => sleep.mockRestore();
}

const noModel = { model: null, modelProvider: null, reasoningEffort: null };

test('a session initializes, asks for the models, hidden ones included, and then for the configuration', async () => {
	const { session, log } = startSession({}, { cwd: '/tmp' });
	expect(idsOf((await session.listModels()).models)).toEqual(['a']);
	const messages = log.messages();
	expect(log.methods()).toEqual(['initialize', 'initialized', 'model/list', 'config/read']);
	expect(messages[0].params).toEqual({ clientInfo: { name: 'tests', version: '1' } });
	expect(messages[1]).not.toHaveProperty('id');
	// A `limit` costs 5 s a page on a stalled network.
	expect(messages[2].params).toEqual({ includeHidden: true });
	expect(messages[3].params).toEqual({ includeLayers: true, cwd: '/tmp' });
	expect(new Set(messages.map(({ id }) => id)).size).toBe(4);
});

test('a session sends nothing before initialize is answered', async () => {
	const { session, log } = startSession({ initialize: ':' });
	const answered = session.listModels().catch(({ code }) => code);
	await log.untilLines(1);
	expect(session.progress.phase).toBe('initialize');
	// The shell logs all of its input before it meets the end of it.
	session.process.shutDown('gracefulShutdown');
	expect(await answered).toBe('ERR_CODEX_EXITED');
	expect(log.methods()).toEqual(['initialize']);
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
	expect(log.methods().filter((method) => method === 'config/read')).toHaveLength(1);
});

/** A page whose cursor is the shell's word. */
const turnTo = (cursor: string) =>
	`printf '{"id":%s,"result":{"data":[{"id":"p%s"}],"nextCursor":"%s"}}\\n' "$id" "$n" "${cursor}"`;

test('a session takes a hundred pages, and no more, and no cursor twice', async () => {
	const whole = startSession({
		list: `[ $n -lt 100 ] && { ${turnTo('$n')}; } || { ${list('last')}; }`,
	});
	expect((await whole.session.listModels()).models).toHaveLength(100);
	for (const [cursor, problem, count] of [
		['$n', 'there are more than 100 pages', 100],
		['0', 'the cursor "0" came twice', 2],
	] as const) {
		const endless = startSession({ list: turnTo(cursor) });
		await expect(endless.session.listModels()).rejects.toMatchObject({
			code: 'ERR_CODEX_PROTOCOL',
			phase: 'model/list',
			message: expect.stringContaining(`read: ${problem} (phase`),
		});
		expect(endless.log.methods().filter((method) => method === 'model/list')).toHaveLength(count);
	}
});

test('a second list of a session may pass the cursors of the first', async () => {
	const { session } = startSession({
		list: `[ $((n % 2)) = 1 ] && { ${turnTo('1')}; } || { ${list('last')}; }`,
	});
	for (let count = 0; count < 2; count++)
		expect((await session.listModels()).models).toHaveLength(2);
});

test('the configured model is that of config/read, whether its answer comes before the list or after it', async () => {
	const config = answer({
		config: { model: ' m ', model_provider: 'p', model_reasoning_effort: 'high', secret: 's' },
	});
	const configured = { model: 'm', modelProvider: 'p', reasoningEffort: 'high' };
	const isBefore = { list: 'listId=$id', config: `${config}; id=$listId; ${list('a')}` };
	for (const shell of [isBefore, { config: `sleep 0.02; ${config}` }]) {
		const { session } = startSession(shell);
		const restore = waitForConfig();
		expect(await session.listModels()).toMatchObject({ models: [{ id: 'a' }], configured });
		restore();
	}
});

/** Its id comes in two pieces. */
const longAnswer = `printf '{"i'; sleep 0.02; printf 'd":%s,"result":{"config":{"model":"m"},"a":"' "$id"; ${fill(9_000_000)}; echo '"}}'`;

test.each([
	['never answered', ':'],
	['refused', refuse({ code: -32601, message: 'unknown method' })],
	['answered by nothing that can be read', answer({ config: 'none', layers: 7 })],
	['answered by an array', answer([])],
	['answered without a result', answerWith({})],
	['answered by half a line', `printf '{"id":%s,"result"' "$id"`],
	['answered by garbage', say('{"id":$id,"result":{"config":')],
	['answered in a line longer than 8 MiB', longAnswer],
])(
	'the configured model is unknown, and the list is there, where config/read is %s',
	async (_, config) => {
		const { session } = startSession({ config });
		expect(await session.listModels()).toMatchObject({
			models: [{ id: 'a' }],
			configured: noModel,
			files: [],
		});
		expect(session.isClosed).toBe(false);
	},
);

test('a complete list waits for config/read for 150 ms', async () => {
	const sleep = vi.spyOn(timers, 'sleep');
	const { session } = startSession({ config: ':' });
	await session.listModels();
	expect(sleep.mock.calls).toEqual([[150]]);
});

test('an answer to config/read that is late stays without effect on the next list', async () => {
	const config = `[ $n = 1 ] && configId=$id || { ${answer({ config: { model: 'second' } })}; }`;
	const late = `id=$configId; ${answer({ config: { model: 'first' } })}`;
	const { session } = startSession({
		config,
		list: `[ $n = 2 ] && { listId=$id; ${late}; id=$listId; }; ${list('a')}`,
	});
	expect((await session.listModels()).configured).toEqual(noModel);
	const restore = waitForConfig();
	expect((await session.listModels()).configured.model).toBe('second');
	restore();
});

test('the files are those that the layers name, in the words of any release, and the catalogue', async () => {
	const layers = [
		{ name: { type: 'user', file: '/home/config.toml' } },
		{ name: { type: 'system', file: '/etc/codex/config.toml' } },
		{ name: { type: 'project', dotCodexFolder: '/project/.codex' } },
		{ name: 'user', source: '/old/config.toml' },
		{ name: { type: 'sessionFlags' } },
		{ name: { type: 'user', file: 'relative.toml' } },
		{ name: { type: 'user', file: 7 } },
		null,
		7,
	];
	const config = { model_catalog_json: '/catalogue.json' };
	const { session } = startSession({ config: answer({ config, layers }) });
	const restore = waitForConfig();
	expect((await session.listModels()).files).toEqual([
		'/home/config.toml',
		'/etc/codex/config.toml',
		'/project/.codex/config.toml',
		'/old/config.toml',
		'/catalogue.json',
	]);
	restore();
});
