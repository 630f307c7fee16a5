import { early, exited, known, limitMs, listed, misbehaves, type Outcome, type Row, testRows } from './cell.js';
import { openChapter } from './page.js';

const chapter = openChapter('silences');

const hang = { options: { fetchTimeoutMs: limitMs }, time: 'at its limit' } as const;
const timeout = (phase: string): Outcome => ({
	code: 'ERR_CODEX_TIMEOUT',
	timeoutMs: limitMs,
	phase,
	says: 'did not list its models within',
});

/** Nothing but the limit tells of these: what answers late looks the same. */
const silenceRows: Row[] = early.flatMap(([phase, named]): Row[] => [
	{
		fault: 'hangs',
		phase,
		step: misbehaves('hangs', phase),
		gets: timeout(named),
		exit: { exitCode: 0, signal: null },
		...hang,
	},
	{
		fault: 'hangs and heeds neither the end of its input nor SIGTERM',
		phase,
		step: misbehaves('hangs', phase, { ignores: ['end', 'SIGTERM'] }),
		gets: timeout(named),
		exit: { exitCode: null, signal: 'SIGKILL' },
		...hang,
	},
	{
		fault: 'is stopped (SIGSTOP)',
		phase,
		step: misbehaves('stops', phase),
		gets: timeout(named),
		exit: { exitCode: null, signal: 'SIGKILL' },
		...hang,
	},
]);

const pipeRows: Row[] = [
	...early.map(
		([phase, named]): Row => ({
			fault: 'closes its output and lives on',
			phase,
			step: misbehaves('closesItsOutput', phase, { ignores: ['end'] }),
			gets: exited(named, null),
			time: '< 1 s',
			exit: { exitCode: null, signal: 'SIGTERM' },
		}),
	),
	{
		fault: 'closes its output and lives on',
		phase: 'after the answer',
		step: misbehaves('closesItsOutput', 'after the answer', { ignores: ['end'] }),
		gets: listed,
		isEndedByClose: true,
	},
	{
		fault: 'closes its input and lives on',
		phase: 'spawn',
		step: misbehaves('closesItsInput', 'spawn'),
		gets: timeout('initialize'),
		exit: { exitCode: null, signal: 'SIGTERM' },
		...hang,
	},
	{
		fault: 'closes its input after it has read, and answers that',
		phase: 'initialize',
		step: misbehaves('closesItsInput', 'initialize'),
		gets: exited('model/list', null),
		time: '< 1 s',
		exit: { exitCode: null, signal: 'SIGTERM' },
	},
	{
		fault: 'closes its input after it has read, and answers that, the last page',
		phase: 'model/list',
		step: misbehaves('closesItsInput', 'model/list', { pages: undefined, models: known }),
		gets: { ids: ['known-1', 'known-2'] },
		isEndedByClose: true,
	},
	{
		fault: 'closes its input after it has read, and answers that, a page before the last',
		phase: 'model/list',
		step: misbehaves('closesItsInput', 'model/list'),
		gets: exited('model/list', null),
		time: '< 1 s',
		exit: { exitCode: null, signal: 'SIGTERM' },
	},
	{
		fault: 'closes its input after it has read, and answers that, the last page',
		phase: 'between pages',
		step: misbehaves('closesItsInput', 'between pages'),
		gets: listed,
		isEndedByClose: true,
	},
	{
		fault: 'closes its input',
		phase: 'after the answer',
		step: misbehaves('closesItsInput', 'after the answer'),
		gets: listed,
		isEndedByClose: true,
	},
];

const lingeringRows: Row[] = [
	{
		fault: 'writes a fatal `Error: …` and waits for one more byte (0.66.0 to 0.115.0)',
		phase: 'initialize',
		step: ['lingers', { words: 'Error: no home\n' }],
		gets: exited('initialize', 1, null, 'Error: no home'),
		exit: { exitCode: 1, signal: null },
	},
	{
		fault: 'writes a fatal `Error: …` and heeds nothing',
		phase: 'initialize',
		step: ['lingers', { words: 'Error: no home\n', isDeaf: true, ignores: ['end', 'SIGTERM'] }],
		gets: exited('initialize', null, null, 'Error: no home'),
		time: '< 1 s',
		exit: { exitCode: null, signal: 'SIGKILL' },
	},
];

testRows(chapter, [...silenceRows, ...pipeRows, ...lingeringRows]);
