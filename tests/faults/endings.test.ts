import { early, exited, listed, misbehaves, type Outcome, type Row, testRows } from './cell.js';
import { type FaultPhase, openChapter } from './page.js';

const chapter = openChapter('endings');

const panic = "thread 'main' panicked at core/src/main.rs:7:5:\nno reactor running\n";

type Ending = { fault: string; act: string; settings: object; exitCode: number | null; says?: string };

const exits: Ending[] = [
	{ fault: 'exits with code 0', act: 'exits', settings: { code: 0 }, exitCode: 0 },
	{ fault: 'exits with code 1', act: 'exits', settings: { code: 1 }, exitCode: 1 },
	{
		fault: 'panics and exits with code 101',
		act: 'exits',
		settings: { code: 101, words: panic },
		exitCode: 101,
		says: 'no reactor running',
	},
	{
		fault: 'breaks off in the middle of a line and exits with code 0',
		act: 'exits',
		settings: { code: 0, half: '{"id":2,"result":{"data":[{"id":"ha' },
		exitCode: 0,
	},
	{
		fault: 'breaks off in the middle of a line and exits with code 1',
		act: 'exits',
		settings: { code: 1, half: '{"id":2,"result":{"data":[{"id":"ha' },
		exitCode: 1,
	},
];

const exitRows: Row[] = exits.flatMap(({ fault, act, settings, exitCode, says }) => [
	...early.map(
		([phase, named]): Row => ({
			fault,
			phase,
			step: misbehaves(act, phase, settings),
			gets: {
				...(exited(named, exitCode, null, says) as Extract<Outcome, { code: 'ERR_CODEX_EXITED' }>),
				...(says && { stderr: panic.trim() }),
			},
			exit: { exitCode, signal: null },
		}),
	),
	{
		fault,
		phase: 'after the answer',
		step: misbehaves(act, 'after the answer', settings),
		gets: listed,
		exit: { exitCode, signal: null },
	},
]);

const everyPhase = [...early, ['after the answer', undefined]] as const;

/** Two that stand for all in each phase: one that can be caught, and one that cannot. */
const signalsEverywhere: NodeJS.Signals[] = ['SIGTERM', 'SIGKILL'];
const signalsOnce: NodeJS.Signals[] = [
	...(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE'] as const),
	...(['SIGUSR1', 'SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGXCPU', 'SIGXFSZ'] as const),
	...(['SIGVTALRM', 'SIGIO', 'SIGPWR', 'SIGSYS', 'SIGSTKFLT'] as const),
];

const signalRow = (signal: NodeJS.Signals, phase: FaultPhase, named: string | undefined): Row => ({
	fault: `is ended by ${signal}`,
	phase,
	step: misbehaves('endsBySignal', phase, { signal }),
	gets: named === undefined ? listed : exited(named, null, signal, signal),
	exit: { exitCode: null, signal },
});

const signalRows: Row[] = [
	...signalsEverywhere.flatMap((signal) => everyPhase.map(([phase, named]) => signalRow(signal, phase, named))),
	...signalsOnce.map((signal) => signalRow(signal, 'model/list', 'model/list')),
];

testRows(chapter, [...exitRows, ...signalRows]);
