import { expect } from 'vitest';
import {
	failureOf,
	idsOf,
	makeCatalog,
	makeScriptedCatalog,
	type Phase,
	type Step,
} from '../harness.js';
import { describeFaults } from './page.js';
import {
	type Cell,
	cell,
	early,
	expectOutcome,
	type Fault,
	fails,
	known,
	knownIds,
	listed,
	misbehaves,
	type Outcome,
	pages,
	testFaults,
} from './table.js';

const testFault = describeFaults('answers');
const limit = 8 * 1024 * 1024;

const model = (id: string) => JSON.stringify({ data: [{ id }], nextCursor: null });

/** Lines among the answers that the client skips; `$id` stands for an id that is in use. */
const noise = [
	'\u001b[32mWelcome!\u001b[0m\n\n  \n\r\n\0\n\udc00\ufffd{"id":\ud800}\n',
	`{"id":$id,"result":\n{"id":$id,"result":${model('broken')}\n`,
	'null\ntrue\n7\n"text"\n[]\n[{"id":$id,"result":{"data":[]}}]\n{}\n',
	'{"__proto__":{"id":$id},"constructor":1}\n',
	'{"method":"remoteControl/status/changed","params":{}}\n'.repeat(500),
	'{"method":"configWarning"}\n{"method":"configWarning","params":{"summary":7}}\n',
	'{"id":$id,"method":"item/tool/call","params":{}}\n'.repeat(500),
	`{"id":4711,"result":${model('a')}}\n{"id":4711,"error":{"code":1}}\n`,
	`{"id":"$id","result":${model('a')}}\n{"id":[$id],"result":{}}\n`,
	`{"result":${model('a')}}\n{"id":null,"result":${model('b')}}\n`,
].join('');

const cells = (gets: Outcome, ...steps: Step[]): Cell[] => steps.map((step) => cell(step, gets));
const answers = (data: unknown): Step => ['answers', { result: { data, nextCursor: null } }];
const answersWith = (phase: Phase, message: object, length = 0) =>
	misbehaves('answersWith', phase, { message, length });
const unreadable = (phase: Phase, says: string) => fails('PROTOCOL', phase, { says });

const toPages = (count: number) => Array.from({ length: count }, (_, page) => [{ id: `${page}` }]);
const wholeList = { data: pages.flat(), nextCursor: null };
const stderrLines = `${'e'.repeat(1023)}\n`.repeat(1024);

const wrong = [null, true, 7, 'text', [], [[]], {}, { a: 1 }, { id: ' ', model: '\t' }];

const results: [says: string, message: object][] = [
	['no code', { error: 'no' }],
	['no code', { error: { message: 'no' } }],
	['no code', { error: { code: '-32001', message: 'no' } }],
	['neither a result nor an error', {}],
	['no object', { result: null }],
	['no object', { result: [{ id: 'a' }] }],
	['no array "data"', { result: { data: { 0: { id: 'a' } } } }],
	['nextCursor', { result: { data: [], nextCursor: 4 } }],
	['nextCursor', { result: { data: [], nextCursor: false } }],
];

const requests: Phase[] = ['initialize', 'model/list', 'between pages'];

const faults: Fault[] = [
	[
		'the app-server writes banners, broken JSON, notifications, requests, or answers that were not asked for',
		[...early, 'while being ended'],
		// Before the first request no id is in use, and the second request gets 2.
		(phase) => {
			const text = phase === 'spawn' ? noise.replaceAll('$id', '2') : noise;
			return cells(listed, misbehaves('writes', phase, { text, endsAfterMs: 500 }));
		},
	],
	[
		'the app-server writes 100,000 short lines, 32 MB on stderr, or an answer in a line of 8 MiB',
		['model/list'],
		(phase) =>
			cells(
				listed,
				misbehaves('writes', phase, { text: 'x\n'.repeat(1_000), times: 100 }),
				misbehaves('writes', phase, { stream: 'stderr', text: stderrLines, times: 32 }),
				answersWith(phase, { result: wholeList }, limit),
			),
	],
	[
		'the app-server writes a line without end, or an answer in a line of 8 MiB and a byte',
		early,
		(phase) => {
			const tooLong = answersWith(phase, { result: wholeList }, limit + 1);
			return cells(
				unreadable(phase, String(limit)),
				misbehaves('writes', phase, { text: 'x'.repeat(65_536), times: null }),
				...(phase === 'model/list' ? [tooLong] : []),
			);
		},
	],
	[
		'the cursor of a page leads back to that page or an earlier one, or there is always one more',
		['between pages'],
		(phase) => [
			...cells(
				unreadable(phase, '" came twice'),
				['answers', { pages: toPages(3), lastCursor: '2' }],
				['answers', { pages: toPages(3), lastCursor: '1' }],
			),
			...cells(unreadable(phase, 'more than 100 pages'), ['answers', { pages: toPages(101) }]),
		],
	],
	[
		'the app-server answers with a JSON-RPC error, or that it is overloaded',
		requests,
		(phase) =>
			[-32600, -32001].map((rpcCode) => {
				const error = { code: rpcCode, message: 'no cloud', data: { a: 1 } };
				const facts = { rpcCode, rpcData: { a: 1 }, says: 'no cloud' };
				return cell(answersWith(phase, { error }), fails('RPC', phase, facts));
			}),
	],
	[
		'the app-server answers with an error without a code, or a result, `data` or `nextCursor` of a wrong type',
		requests,
		// Any result of `initialize` is one.
		(phase) =>
			(phase === 'initialize' ? results.slice(0, 4) : results).map(([says, message]) =>
				cell(answersWith(phase, message), unreadable(phase, says)),
			),
	],
	[
		'the list has entries of every wrong type',
		['model/list'],
		() => [
			// A string is a valid id.
			cell(answers([...wrong, ...wrong.map((id) => ({ id })), { id: '__proto__' }]), {
				ids: ['text', '__proto__'],
			}),
		],
	],
	[
		'the list is empty, on one page or three, or holds no entry of the right type',
		['model/list'],
		() => cells({ ids: [] }, ['answers', {}], ['answers', { pages: [[], [], []] }], answers(wrong)),
	],
	[
		'`config/read` hangs, or is answered with an error, a text, or more than 8 MiB',
		['config/read'],
		(phase) =>
			cells(
				listed,
				misbehaves('hangs', phase),
				answersWith(phase, { error: { code: -32601, message: 'no' } }),
				answersWith(phase, { result: 'text' }),
				answersWith(phase, { result: { config: {} } }, limit + 1),
			),
	],
];

testFaults(testFault, faults);

testFault(
	'Codex warns of its configuration 1,000 times',
	'any',
	'the list; 20 events',
	async () => {
		const warning = { method: 'configWarning', params: { summary: 'a'.repeat(5_000) } };
		const text = `${JSON.stringify(warning)}\n`;
		const step = misbehaves('writes', 'model/list', { text, times: 1_000 });
		const { catalog, events } = makeScriptedCatalog([step]);
		await expectOutcome(catalog.list(), listed);
		expect(events.count('config-warning')).toBe(20);
	},
);

testFault(
	'Codex answers with its built-in list, and a better one is known, in memory or in a store',
	'model/list',
	'`ERR_CODEX_FALLBACK`; the better list is served',
	async () => {
		const text = '2026-01-01T00:00:00Z ERROR failed to refresh available models: 503\n';
		const builtIn: Step = ['writes', { stream: 'stderr', text, models: [{ id: 'built-in' }] }];
		const store = new Map();
		const steps: Step[] = [['answers', { models: known }], builtIn];
		const { catalog, server } = makeScriptedCatalog(steps, { store });
		await catalog.list();
		const { command, args } = server;
		for (const each of [catalog, makeCatalog({ command, args, store }).catalog]) {
			const refreshError = await failureOf(each.list({ refresh: true }));
			expect(refreshError.code).toBe('ERR_CODEX_FALLBACK');
			expect(refreshError.stderr).toContain('503');
			const snapshot = await each.read({ includeHidden: true });
			expect(snapshot).toMatchObject({ warnings: [], refreshError });
			expect(idsOf(snapshot.models)).toEqual(knownIds);
		}
		expect(server.starts).toBe(3);

		// With nothing better it is a list, with a warning.
		const { models, warnings } = await makeScriptedCatalog([builtIn]).catalog.read();
		expect(idsOf(models)).toEqual(['built-in']);
		expect(warnings).toMatchObject([{ type: 'built-in-list' }]);
	},
);
