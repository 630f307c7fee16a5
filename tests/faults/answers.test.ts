import { early, limitMs, listed, misbehaves, type Outcome, type Row, testRows, unreadable } from './cell.js';
import { openChapter } from './page.js';

const chapter = openChapter('answers');

const model = (id: string) => JSON.stringify({ data: [{ id }], nextCursor: null });

const noises: [fault: string, text: string, times?: number][] = [
	['writes a banner, terminal codes and blank lines', '\u001b[32mWelcome!\u001b[0m\n\n  \n\r\n\0\n'],
	['writes JSON that is no object', 'null\ntrue\n7\n"text"\n[]\n[{"id":$id,"result":{"data":[]}}]\n{}\n'],
	['writes spoilt JSON', `{"id":$id,"result":\n{"id":$id,"result":${model('spoilt')}\n`],
	['writes notifications, 500 of them', '{"method":"remoteControl/status/changed","params":{}}\n', 500],
	['asks the client, 500 times', '{"id":$id,"method":"item/tool/call","params":{}}\n', 500],
	['answers what nobody asked', `{"id":4711,"result":${model('unasked')}}\n{"id":4711,"error":{"code":1}}\n`],
	['answers under an id of another type', `{"id":"$id","result":${model('string')}}\n{"id":[$id],"result":{}}\n`],
	['answers under no id, and under null', `{"result":${model('none')}}\n{"id":null,"result":${model('null')}}\n`],
	['writes bytes that are no UTF-8', '\udc00\ufffd{"id":\ud800}\n'],
	['writes names of the prototype', '{"__proto__":{"id":$id},"constructor":1}\n'],
];

const noiseRows: Row[] = noises.flatMap(([fault, text, times = 1]) =>
	early.map(
		([phase]): Row => ({
			fault,
			phase,
			// Before it was asked, it has no id to misuse but the first one.
			step: misbehaves('writes', phase, {
				text: phase === 'spawn' ? text.replaceAll('$id', '2') : text,
				times,
			}),
			gets: listed,
			exit: { exitCode: 0, signal: null },
		}),
	),
);

const spelled = '\u00e4\u20ac\u{1f600}\u2028e\u0301';
const spelledPages = [[{ id: `1-${spelled}` }], [{ id: `2-${spelled}` }]];

const ways: [fault: string, way: string, settings?: object][] = [
	['answers everything twice', 'twice'],
	['ends its lines with CR LF', 'with CR LF'],
	['writes an answer in one chunk with other messages', 'in one chunk with others'],
	['writes each message in a thousand chunks', 'in pieces', { pieces: 1_000 }],
	['writes byte by byte, so that each character of UTF-8 is split', 'in pieces', { pieces: 1_000_000 }],
];

const wayRows: Row[] = ways.map(([fault, way, settings]) => ({
	fault,
	phase: 'any',
	step: misbehaves('', 'any', { way, ...settings, pages: spelledPages }),
	gets: { ids: spelledPages.flat().map(({ id }) => id) },
	time: 'when it is written',
}));

const mebibyte = 1024 * 1024;
const stall = { options: { fetchTimeoutMs: limitMs }, time: 'at its limit' } as const;
const timeout = (phase: string): Outcome => ({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: limitMs, phase });

const longRows: Row[] = early.flatMap(([phase, named]): Row[] => [
	{
		fault: 'writes a line without an end, of 1 MiB, and no more',
		phase,
		step: misbehaves('writes', phase, { text: 'x'.repeat(1024), times: 1024, isFollowedByAnswer: false }),
		gets: timeout(named),
		...stall,
	},
	{
		fault: 'writes a line without an end, on and on',
		phase,
		step: misbehaves('writes', phase, { text: 'x', isEndless: true }),
		gets: unreadable(named, String(8 * mebibyte)),
		time: 'when it is written',
	},
]);

const longRowsOnce: Row[] = [
	{
		fault: 'writes 100 000 short lines',
		phase: 'model/list',
		step: misbehaves('writes', 'model/list', { text: 'x\n'.repeat(1_000), times: 100 }),
		gets: listed,
		time: 'when it is written',
	},
	{
		fault: 'writes lines without end',
		phase: 'model/list',
		step: misbehaves('writes', 'model/list', { text: '{"method":"noise"}\n', isEndless: true }),
		gets: timeout('model/list'),
		...stall,
	},
	{
		fault: 'writes 32 MB on stderr before the answer',
		phase: 'model/list',
		step: ['floodsStderr', { mebibytes: 32, models: [{ id: 'a' }] }],
		gets: { ids: ['a'] },
		time: 'when it is written',
	},
	{
		fault: 'answers in a line of 8 MiB',
		phase: 'model/list',
		step: ['answersInALineOfLength', { length: 8 * mebibyte, models: [{ id: 'a' }] }],
		gets: { ids: ['a'] },
		time: 'when it is written',
	},
	{
		fault: 'answers in a line of 8 MiB and a byte',
		phase: 'model/list',
		step: ['answersInALineOfLength', { length: 8 * mebibyte + 1, models: [{ id: 'a' }] }],
		gets: unreadable('model/list', String(8 * mebibyte)),
		time: 'when it is written',
	},
];

testRows(chapter, [...noiseRows, ...wayRows, ...longRows, ...longRowsOnce]);
