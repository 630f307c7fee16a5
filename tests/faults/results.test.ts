import type { Step } from '../harness.js';
import { early, misbehaves, type Outcome, type Row, testRows, unreadable } from './cell.js';
import { type FaultPhase, openChapter } from './page.js';

const chapter = openChapter('results');

const mebibyte = 1024 * 1024;
const turned = (count: number) => Array.from({ length: count }, (_, index) => `page-${index + 1}`);

const pageRows: Row[] = [
	{
		fault: 'the cursor of a page leads back to itself',
		phase: 'between pages',
		step: ['turnsPages', { count: 3, lastCursor: '2' }],
		gets: unreadable('model/list', 'the cursor "2" came twice'),
	},
	{
		fault: 'the cursor of a page leads back to an earlier one',
		phase: 'between pages',
		step: ['turnsPages', { count: 3, lastCursor: '1' }],
		gets: unreadable('model/list', 'the cursor "1" came twice'),
	},
	{
		fault: 'there are 100 pages',
		phase: 'between pages',
		step: ['turnsPages', { count: 100 }],
		gets: { ids: turned(100) },
		time: 'when it is written',
	},
	{
		fault: 'the cursors never end',
		phase: 'between pages',
		step: ['turnsPages', { count: 1_000_000 }],
		gets: unreadable('model/list', 'more than 100 pages'),
	},
	{
		fault: 'the cursors never end, and the pages are large',
		phase: 'between pages',
		step: ['answers', { pages: Array(100).fill([{ id: 'x', description: 'x'.repeat(mebibyte) }]) }],
		gets: unreadable('model/list', 'longer than'),
		time: 'when it is written',
	},
	{
		fault: 'a page is empty and has a cursor',
		phase: 'between pages',
		step: ['answers', { pages: [[{ id: 'a' }], [], [], [{ id: 'b' }]] }],
		gets: { ids: ['a', 'b'] },
	},
	{
		fault: 'every page is empty',
		phase: 'between pages',
		step: ['answers', { pages: [[], [], []] }],
		gets: { ids: [] },
	},
	{
		fault: 'the list is empty',
		phase: 'model/list',
		step: ['answers', {}],
		gets: { ids: [] },
	},
];

const errors: [fault: string, error: unknown, gets: (phase: string) => Outcome][] = [
	[
		'answers with a JSON-RPC error',
		{ code: -32600, message: 'cloud config timed out', data: { reason: 'cloudConfigBundle' } },
		(phase) => ({
			code: 'ERR_CODEX_RPC',
			rpcCode: -32600,
			rpcData: { reason: 'cloudConfigBundle' },
			phase,
			says: 'cloud config timed out',
		}),
	],
	[
		'answers that it is overloaded',
		{ code: -32001, message: 'Server overloaded; retry later.' },
		(phase) => ({ code: 'ERR_CODEX_RPC', rpcCode: -32001, phase, says: 'Server overloaded; retry later.' }),
	],
	['answers with an error that is a string', 'no', (phase) => unreadable(phase, 'no code')],
	['answers with an error without a code', { message: 'no' }, (phase) => unreadable(phase, 'no code')],
];

const asked = early.filter(([phase]) => phase !== 'spawn');

const errorRows: Row[] = errors.flatMap(([fault, error, gets]) =>
	asked.map(
		([phase, named]): Row => ({
			fault,
			phase,
			step: misbehaves('answersWith', phase, { message: { error } }),
			gets: gets(named),
		}),
	),
);

const resultPhases: FaultPhase[] = ['model/list', 'between pages'];

const results: [fault: string, message: object, says: string][] = [
	['answers with neither a result nor an error', {}, 'neither a result nor an error'],
	['answers with a result that is null', { result: null }, 'no object'],
	['answers with a result that is a string', { result: 'data' }, 'no object'],
	['answers with a result that is a number', { result: 7 }, 'no object'],
	['answers with a result that is an array', { result: [{ id: 'a' }] }, 'no object'],
	['answers with a result without data', { result: { models: [] } }, 'no array "data"'],
	['answers with data that is null', { result: { data: null } }, 'no array "data"'],
	['answers with data that is an object', { result: { data: { 0: { id: 'a' } } } }, 'no array "data"'],
	['answers with a cursor that is a number', { result: { data: [], nextCursor: 4 } }, 'nextCursor'],
	['answers with a cursor that is an object', { result: { data: [], nextCursor: {} } }, 'nextCursor'],
];

const resultRows: Row[] = results.flatMap(([fault, message, says]) =>
	resultPhases.map(
		(phase): Row => ({
			fault,
			phase,
			step: misbehaves('answersWith', phase, { message }),
			gets: unreadable('model/list', says),
		}),
	),
);

const wrong = [null, true, 7, 'text', [], [[]], {}, { a: 1 }];
const properties = [
	...['displayName', 'description', 'hidden', 'isDefault', 'upgrade', 'supportedReasoningEfforts'],
	...['defaultReasoningEffort', 'serviceTiers', 'defaultServiceTier', 'inputModalities', 'model'],
];
const spoilt = properties.flatMap((property) => wrong.map((value, index) => ({ id: `${property}-${index}`, [property]: value })));

const answers = (data: unknown): Step => ['answers', { result: { data, nextCursor: null } }];

const entryRows: Row[] = [
	{
		fault: 'lists entries of every wrong type among one that is right',
		phase: 'model/list',
		step: answers([...wrong, ...wrong.map((id) => ({ id })), { id: ' ', model: '\t' }, { id: 'right' }]),
		// An id that is a string is one.
		gets: { ids: ['text', 'right'] },
	},
	{
		fault: 'lists entries with every property of every wrong type',
		phase: 'model/list',
		step: answers(spoilt),
		gets: { ids: spoilt.map(({ id }) => id) },
	},
	{
		fault: 'lists nothing but entries of wrong types',
		phase: 'model/list',
		step: answers(wrong),
		gets: { ids: [] },
	},
	{
		fault: 'lists models called `__proto__`, `constructor` and `toString`',
		phase: 'model/list',
		step: answers(['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map((id) => ({ id }))),
		gets: { ids: ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] },
	},
	{
		fault: 'lists entries with a property `__proto__`',
		phase: 'model/list',
		step: answers(JSON.parse('[{"__proto__":{"id":"inherited"}},{"id":"own","__proto__":{"hidden":true}}]')),
		gets: { ids: ['own'] },
	},
];

testRows(chapter, [...pageRows, ...errorRows, ...resultRows, ...entryRows]);
