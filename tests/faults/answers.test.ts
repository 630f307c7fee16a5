import { expect } from 'vitest';
import { afterTest, makeCatalog, neverMs, type Step } from '../harness.js';
import { runHost } from './host.js';
import { describeFaults } from './page.js';
import {
	cell,
	early,
	expectOutcome,
	type Fault,
	limitMs,
	listed,
	misbehaves,
	type Outcome,
	type Phase,
	testFaults,
	timedOut,
	unreadable,
} from './table.js';

const testFault = describeFaults('answers');
const mebibyte = 1024 * 1024;

const model = (id: string) => JSON.stringify({ data: [{ id }], nextCursor: null });

const isLines =
	'a banner, broken JSON, JSON that is no object, bytes that are no UTF-8, names of the prototype';
const isMessages =
	'500 notifications or requests, or answers under an unknown id, an id of another type, or no id';

/** Lines among the answers that the client skips; `$id` stands for an id that is in use. */
const noises: Record<string, string[]> = {
	[`the app-server writes ${isLines}`]: [
		'\u001b[32mWelcome!\u001b[0m\n\n  \n\r\n\0\n',
		`{"id":$id,"result":\n{"id":$id,"result":${model('broken')}\n`,
		'null\ntrue\n7\n"text"\n[]\n[{"id":$id,"result":{"data":[]}}]\n{}\n',
		'\udc00\ufffd{"id":\ud800}\n',
		'{"__proto__":{"id":$id},"constructor":1}\n',
	],
	[`the app-server writes ${isMessages}`]: [
		'{"method":"remoteControl/status/changed","params":{}}\n'.repeat(500),
		'{"id":$id,"method":"item/tool/call","params":{}}\n'.repeat(500),
		`{"id":4711,"result":${model('a')}}\n{"id":4711,"error":{"code":1}}\n`,
		`{"id":"$id","result":${model('a')}}\n{"id":[$id],"result":{}}\n`,
		`{"result":${model('a')}}\n{"id":null,"result":${model('b')}}\n`,
	],
};

const noiseFaults = Object.entries(noises).map(([fault, texts]): Fault => {
	// Before the first request no id is in use, and the second request gets 2.
	const adapt = (text: string, phase: Phase) =>
		phase === 'spawn' ? text.replaceAll('$id', '2') : text;
	const toCell = (text: string, phase: Phase) =>
		cell(misbehaves('writes', phase, { text: adapt(text, phase) }), listed, {
			exitCode: 0,
			signal: null,
		});
	return [fault, early, (phase) => texts.map((text) => toCell(text, phase))];
});

const spelled = '\u00e4\u20ac\u{1f600}\u2028e\u0301';
const spelledPages = [[{ id: `1-${spelled}` }], [{ id: `2-${spelled}` }]];

/** A fault whose steps have the same outcome. */
const all = (
	fault: string,
	phases: Phase[],
	gets: Outcome | ((phase: Phase) => Outcome),
	steps: (phase: Phase) => Step[],
): Fault => [
	fault,
	phases,
	(phase) =>
		steps(phase).map((step) => cell(step, typeof gets === 'function' ? gets(phase) : gets)),
];

const answers = (data: unknown): Step => ['answers', { result: { data, nextCursor: null } }];
const says = (words: string) => (phase: Phase) => unreadable(phase, words);

const lineFaults: Fault[] = [
	all(
		'the app-server writes each answer twice, with CR LF, among others in a chunk, in 1,000 pieces, or byte by byte',
		['any'],
		{ ids: spelledPages.flat().map(({ id }) => id) },
		() => [
			...['twice', 'with CR LF', 'in one chunk with others'].map((way) =>
				misbehaves('', 'any', { way, pages: spelledPages }),
			),
			...[1_000, 1_000_000].map((pieces) =>
				misbehaves('', 'any', { way: 'in pieces', pieces, pages: spelledPages }),
			),
		],
	),
	all('the app-server writes 1 MiB of a line, and no more', early, timedOut, (phase) => [
		misbehaves('writes', phase, { text: 'x'.repeat(1024), times: 1024, isFollowedByAnswer: false }),
	]),
	all('the app-server writes a line without end', early, says(String(8 * mebibyte)), (phase) => [
		misbehaves('writes', phase, { text: 'x', isEndless: true }),
	]),
	all('the app-server writes lines without end', ['model/list'], timedOut, (phase) => [
		misbehaves('writes', phase, { text: '{"method":"noise"}\n', isEndless: true }),
	]),
	all('the app-server writes 100,000 short lines', ['model/list'], listed, (phase) => [
		misbehaves('writes', phase, { text: 'x\n'.repeat(1_000), times: 100 }),
	]),
	all(
		'the app-server writes 32 MB on stderr, or an answer in a line of 8 MiB',
		['model/list'],
		{ ids: ['a'] },
		() => [
			['floodsStderr', { mebibytes: 32, models: [{ id: 'a' }] }],
			['answersInALineOfLength', { length: 8 * mebibyte, models: [{ id: 'a' }] }],
		],
	),
	all(
		'the app-server answers in a line of 8 MiB and a byte',
		['model/list'],
		says(String(8 * mebibyte)),
		() => [['answersInALineOfLength', { length: 8 * mebibyte + 1, models: [{ id: 'a' }] }]],
	),
];

const pageFaults: Fault[] = [
	all(
		'the cursor of a page leads back to that page, or an earlier one',
		['between pages'],
		says('" came twice'),
		() => [
			['turnsPages', { count: 3, lastCursor: '2' }],
			['turnsPages', { count: 3, lastCursor: '1' }],
		],
	),
	all(
		'the list has 100 pages',
		['between pages'],
		{ ids: Array.from({ length: 100 }, (_, index) => `page-${index + 1}`) },
		() => [['turnsPages', { count: 100 }]],
	),
	all('the cursors never end', ['between pages'], says('more than 100 pages'), () => [
		['turnsPages', { count: 1_000_000 }],
	]),
	all(
		'the cursors never end, and each page has 1 MiB',
		['between pages'],
		says('longer than'),
		() => [
			['answers', { pages: Array(100).fill([{ id: 'x', description: 'x'.repeat(mebibyte) }]) }],
		],
	),
	all('a page between others is empty', ['between pages'], { ids: ['a', 'b'] }, () => [
		['answers', { pages: [[{ id: 'a' }], [], [], [{ id: 'b' }]] }],
	]),
	all('the list is empty, on one page or three', ['model/list'], { ids: [] }, () => [
		['answers', {}],
		['answers', { pages: [[], [], []] }],
	]),
];

const refusals: [error: object, gets: object][] = [
	[
		{ code: -32600, message: 'no cloud', data: { a: 1 } },
		{ rpcCode: -32600, rpcData: { a: 1 }, says: 'no cloud' },
	],
	[
		{ code: -32001, message: 'overloaded' },
		{ rpcCode: -32001, says: 'overloaded' },
	],
];

const wrong = [null, true, 7, 'text', [], [[]], {}, { a: 1 }];
const properties = [
	...['displayName', 'description', 'hidden', 'isDefault', 'upgrade', 'supportedReasoningEfforts'],
	...['defaultReasoningEffort', 'serviceTiers', 'defaultServiceTier', 'inputModalities', 'model'],
];
const odd = properties.flatMap((property) =>
	wrong.map((value, index) => ({ id: `${property}-${index}`, [property]: value })),
);
const prototypeNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];

const pagesAsked: Phase[] = ['model/list', 'between pages'];
const results: [says: string, ...messages: object[]][] = [
	['neither a result nor an error', {}],
	['no object', { result: null }, { result: 'data' }, { result: 7 }, { result: [{ id: 'a' }] }],
	[
		'no array "data"',
		{ result: { models: [] } },
		{ result: { data: null } },
		{ result: { data: { 0: { id: 'a' } } } },
	],
	['nextCursor', { result: { data: [], nextCursor: 4 } }, { result: { data: [], nextCursor: {} } }],
];

const resultFaults: Fault[] = [
	[
		'the app-server answers with a JSON-RPC error, or that it is overloaded',
		['initialize', ...pagesAsked],
		(phase) =>
			refusals.map(([error, facts]) => {
				const gets = {
					code: 'ERR_CODEX_RPC',
					phase: phase === 'initialize' ? phase : 'model/list',
					...facts,
				};
				return cell(misbehaves('answersWith', phase, { message: { error } }), gets);
			}),
	],
	all(
		'the app-server answers with an error that is a string, or has no code',
		['initialize', ...pagesAsked],
		says('no code'),
		(phase) =>
			['no', { message: 'no' }].map((error) =>
				misbehaves('answersWith', phase, { message: { error } }),
			),
	),
	[
		'the app-server answers with no result, or a result, `data` or `nextCursor` of a wrong type',
		pagesAsked,
		(phase) =>
			results.flatMap(([words, ...messages]) =>
				messages.map((message) =>
					cell(misbehaves('answersWith', phase, { message }), unreadable(phase, words)),
				),
			),
	],
	// A string is a valid id.
	all(
		'the list holds entries of every wrong type',
		['model/list'],
		{ ids: ['text', 'right'] },
		() => [
			answers([
				...wrong,
				...wrong.map((id) => ({ id })),
				{ id: ' ', model: '\t' },
				{ id: 'right' },
			]),
		],
	),
	all(
		'every property of an entry has every wrong type',
		['model/list'],
		{ ids: odd.map(({ id }) => id) },
		() => [answers(odd)],
	),
	all('the list holds no entry of the right type', ['model/list'], { ids: [] }, () => [
		answers(wrong),
	]),
	all(
		'models are called `__proto__`, `constructor` and `toString`',
		['model/list'],
		{ ids: prototypeNames },
		() => [answers(prototypeNames.map((id) => ({ id })))],
	),
	all('entries have a property `__proto__`', ['model/list'], { ids: ['own'] }, () => [
		answers(
			JSON.parse('[{"__proto__":{"id":"inherited"}},{"id":"own","__proto__":{"hidden":true}}]'),
		),
	]),
];

testFaults(testFault, [...noiseFaults, ...lineFaults, ...pageFaults, ...resultFaults]);

/** The shell stays behind each of these programs, so that its output is open. */
const yes = (text: string) => `yes '${text}'`;
const requests = yes('{"id":1,"method":"x"}');

const floods: Record<string, string[]> = {
	'on stderr: empty lines, lines, bytes': [
		`${yes('')} >&2; :`,
		`${yes('some words of a log')} >&2; :`,
		'cat /dev/zero >&2; :',
	],
	'on stdout: empty lines, objects, notifications': [
		yes(''),
		yes('{}'),
		yes('{"method":"x","params":{}}'),
	],
	'on stdout: broken objects, requests': [yes('{x}'), requests],
};

for (const [what, programs] of Object.entries(floods)) {
	testFault(
		`the app-server writes without end ${what}`,
		'initialize',
		'`ERR_CODEX_TIMEOUT`',
		async () => {
			for (const program of programs) {
				const options = {
					command: '/bin/sh',
					args: ['-c', program],
					retries: 0,
					deadlineMs: neverMs,
					fetchTimeoutMs: limitMs,
				};
				const { catalog, events } = makeCatalog(options);
				let turns = 0;
				const timer = setInterval(() => turns++, 1);
				afterTest(() => clearInterval(timer));
				await expectOutcome(catalog.list(), timedOut('initialize'));
				clearInterval(timer);
				// 1,000 turns would fit. One or two happen where a flood is read without a pause.
				expect(turns).toBeGreaterThan(10);
				await events.nth('exited');
			}
		},
	);
}

testFault(
	'the host ends while the app-server asks without end',
	'initialize',
	'`ERR_CODEX_TIMEOUT`',
	async () => {
		const options = { command: '/bin/sh', args: ['-c', requests] };
		const [told] = await runHost('tell(await settle(make().list({ deadlineMs: 500 })));', {
			facts: { options },
		});
		expect(told.code).toBe('ERR_CODEX_TIMEOUT');
	},
);
