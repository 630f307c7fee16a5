import { expect, test } from 'vitest';
import { idsOf, isAlive, makeScriptedCatalog } from '../harness.js';
import { exited, limitMs, listed, misbehaves, type Row, testRows } from './cell.js';
import { openChapter } from './page.js';

const chapter = openChapter('afterwards');

const a = { models: [{ id: 'a' }] };
const lists = { ids: ['a'] };
const code = (exitCode: number) => ({ exitCode, signal: null });
const by = (signal: NodeJS.Signals) => ({ exitCode: null, signal });

const phase = 'while being ended';
const atTheEnd = (act: string, settings: object = {}) => misbehaves(act, phase, { ignores: ['end'], ...settings });

const endRows: Row[] = [
	{
		fault: 'exits with code 1 at the end of its input',
		phase,
		step: atTheEnd('exits', { code: 1 }),
		gets: listed,
		exit: code(1),
	},
	{
		fault: 'panics at the end of its input',
		phase,
		step: atTheEnd('exits', { code: 101, words: "thread 'main' panicked\n" }),
		gets: listed,
		exit: code(101),
	},
	{
		fault: 'breaks off in the middle of a line at the end of its input',
		phase,
		step: atTheEnd('exits', { code: 0, half: '{"id":2,"result":{"data":[' }),
		gets: listed,
		exit: code(0),
	},
	...(['SIGTERM', 'SIGKILL', 'SIGSEGV'] as const).map(
		(signal): Row => ({
			fault: `is ended by ${signal} at the end of its input`,
			phase,
			step: atTheEnd('endsBySignal', { signal }),
			gets: listed,
			exit: by(signal),
		}),
	),
	{
		fault: 'is stopped (SIGSTOP) at the end of its input',
		phase,
		step: atTheEnd('stops'),
		gets: listed,
		exit: by('SIGKILL'),
		isEndedByClose: true,
	},
	{
		fault: 'writes lines without end from the end of its input on',
		phase,
		step: atTheEnd('writes', { text: '{"id":3,"result":{"data":[{"id":"late"}]}}\n', isEndless: true }),
		gets: listed,
		exit: by('SIGTERM'),
		isEndedByClose: true,
	},
	{
		fault: 'writes a line without an end from the end of its input on',
		phase,
		step: atTheEnd('writes', { text: 'x', isEndless: true }),
		gets: listed,
		exit: by('SIGTERM'),
		isEndedByClose: true,
	},
	{
		fault: 'closes its output at the end of its input, and lives on',
		phase,
		step: atTheEnd('closesItsOutput'),
		gets: listed,
		exit: by('SIGTERM'),
		isEndedByClose: true,
	},
	{
		fault: 'ignores the end of its input',
		phase,
		step: ['answers', { ...a, ignores: ['end'] }],
		gets: lists,
		exit: by('SIGTERM'),
		isEndedByClose: true,
	},
	{
		fault: 'ignores SIGTERM',
		phase,
		step: ['answers', { ...a, ignores: ['SIGTERM'] }],
		gets: lists,
		exit: code(0),
	},
	{
		fault: 'ignores the end of its input and SIGTERM',
		phase,
		step: ['answers', { ...a, ignores: ['end', 'SIGTERM'] }],
		gets: lists,
		exit: by('SIGKILL'),
		isEndedByClose: true,
	},
	{
		fault: 'takes 3 s to end',
		phase,
		step: ['answers', { ...a, endsAfterMs: 3_000 }],
		gets: lists,
		exit: code(0),
	},
];

const grandchildRows: Row[] = [true, false].flatMap((holdsPipes): Row[] => {
	const settings = { holdsPipes, ignoresSigterm: true };
	const what = `leaves a grandchild that ${holdsPipes ? 'holds the pipes' : 'has pipes of its own'} and ignores SIGTERM`;
	const time = holdsPipes ? '< 1 s' : 'at once (< 0.1 s)';
	return [
		{
			fault: `exits with code 1 and ${what}`,
			phase: 'initialize',
			step: ['leavesAGrandchild', { ...settings, at: 'initialize', code: 1 }],
			gets: exited('initialize', 1),
			exit: code(1),
			time,
		},
		{
			fault: `exits with code 1 and ${what}`,
			phase: 'model/list',
			step: ['leavesAGrandchild', { ...settings, at: 'model/list', code: 1 }],
			gets: exited('model/list', 1),
			exit: code(1),
			time,
		},
		{
			fault: what,
			phase,
			step: ['leavesAGrandchild', { ...settings, ...a }],
			gets: lists,
			exit: code(0),
		},
	];
});

testRows(chapter, [...endRows, ...grandchildRows]);

// The steps that `close` has cut short above, each in its own time.
const slow = 'ignores the end of its input and SIGTERM, and nobody closes the catalog';
chapter.declare();
test(`${slow}: it is gone all the same`, async () => {
	const { catalog, server, events } = makeScriptedCatalog([['answers', { ...a, ignores: ['end', 'SIGTERM'] }]]);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.pids.filter(isAlive)).toHaveLength(1);
	expect(await events.nth('exited')).toMatchObject(by('SIGKILL'));
	expect(server.find('end of input')).toHaveLength(1);
	expect(server.find('SIGTERM')).toHaveLength(1);
	expect(server.pids.filter(isAlive)).toEqual([]);
	chapter.record({ fault: slow, phase, gets: 'the list', time: 'at once (< 0.1 s)' }, 0);
});

const deadline = "hangs, and the caller's `deadlineMs` comes before the fetch's limit";
chapter.declare();
test(`${deadline}: only that caller leaves`, async () => {
	const { catalog, server, events } = makeScriptedCatalog([['answers', { ...a, gates: { 'model/list': 'open' } }]], {
		deadlineMs: limitMs,
	});
	const stays = catalog.list({ deadlineMs: Number.POSITIVE_INFINITY });
	await server.untilAsked('model/list');
	await expect(catalog.list()).rejects.toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: limitMs,
		phase: 'model/list',
	});
	server.open('open');
	expect(idsOf(await stays)).toEqual(['a']);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	await events.nth('exited');
	expect(server.starts).toBe(1);
	const gets = '`ERR_CODEX_TIMEOUT` (phase "model/list"); whoever stays gets the list';
	chapter.record({ fault: deadline, phase: 'model/list', gets, time: 'at its limit' }, limitMs);
});
