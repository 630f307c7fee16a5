import type { Phase, Step } from '../harness.js';
import { deaf } from '../host.js';
import { describeFaults } from './page.js';
import {
	type Cell,
	cell,
	early,
	exited,
	type Fault,
	known,
	knownIds,
	listed,
	misbehaves,
	testFaults,
	timedOut,
} from './table.js';

const code = (exitCode: number) => ({ exitCode, signal: null });
const by = (signal: NodeJS.Signals) => ({ exitCode: null, signal });
const words = "thread 'main' panicked at core/src/main.rs:7:5:\nno reactor running\n";
const half = '{"id":2,"result":{"data":[{"id":"ha';
const afterAnswer: Phase = 'after the answer';
const atTheEnd: Phase = 'while being ended';

const exits = (phase: Phase, exitCode: number, settings: object = {}, says = ''): Cell =>
	cell(
		misbehaves('exits', phase, { code: exitCode, ...settings }),
		exited(phase, exitCode, { says }),
		code(exitCode),
	);

const isSignalled = (phase: Phase, signal: NodeJS.Signals): Cell =>
	cell(
		misbehaves('endsBySignal', phase, { signal }),
		exited(phase, null, { signal, says: signal }),
		by(signal),
	);

/** The grandchild holds the pipes, or not. */
const leavesAGrandchild = (phase: Phase): Cell[] =>
	[true, false].map((holdsPipes) => {
		const grandchild = { holdsPipes, ignoresSigterm: true };
		return phase === atTheEnd ? answers({ grandchild }, code(0)) : exits(phase, 1, { grandchild });
	});

function closesItsOutput(phase: Phase): Cell {
	const step = misbehaves('closesItsOutput', phase, { ignores: ['end'] });
	if (phase === afterAnswer) return cell(step, listed, undefined, 'by close()');
	return cell(step, exited(phase, null), by('SIGTERM'));
}

/** Another request follows those that it has read before the second page. */
function closesItsInput(phase: Phase): Cell {
	const step = misbehaves('closesItsInput', phase);
	if (phase === 'spawn') return cell(step, timedOut(phase), by('SIGTERM'));
	const isLast = phase === 'between pages' || phase === afterAnswer;
	return isLast
		? cell(step, listed, undefined, 'by close()')
		: cell(step, exited('model/list', null), by('SIGTERM'));
}

/** A behaviour from the end of the input on, which alone does not end the app-server. */
function ends(act: string, exit: Cell['exit'], settings: object = {}): Cell {
	const step = misbehaves(act, atTheEnd, { ignores: ['end'], ...settings });
	const isSlow = exit?.signal === 'SIGTERM' || exit?.signal === 'SIGKILL';
	return cell(step, listed, exit, isSlow ? 'by close()' : undefined);
}

/** Without misbehaviour but at the end. */
const answers = (settings: object, ...rest: [Cell['exit'], 'by close()'?]): Cell =>
	cell(['answers', { models: known, ...settings }] as Step, { ids: knownIds }, ...rest);

const endings: Fault[] = [
	[
		'the app-server exits with code 0 or 1, between lines or in a line, or panics',
		[...early, afterAnswer],
		(phase) => [
			...[0, 1].flatMap((each) => [exits(phase, each), exits(phase, each, { half })]),
			exits(phase, 101, { words }, 'no reactor running'),
		],
	],
	[
		'SIGTERM, SIGKILL or SIGSEGV ends the app-server',
		[...early, afterAnswer],
		(phase) =>
			(['SIGTERM', 'SIGKILL', 'SIGSEGV'] as const).map((signal) => isSignalled(phase, signal)),
	],
	[
		'the app-server ends and leaves a process that ignores SIGTERM, with or without its pipes',
		['initialize', 'model/list', atTheEnd],
		leavesAGrandchild,
	],
	[
		'the app-server hangs, also deaf to the end of its input and to SIGTERM, or is stopped (SIGSTOP)',
		early,
		(phase) => [
			cell(misbehaves('hangs', phase), timedOut(phase), code(0)),
			cell(misbehaves('hangs', phase, deaf), timedOut(phase), by('SIGKILL')),
			{ ...isSignalled(phase, 'SIGSTOP'), gets: timedOut(phase), exit: by('SIGKILL') },
		],
	],
	[
		'the app-server writes a fatal `Error: …` and lingers (0.66.0 to 0.115.0)',
		['initialize'],
		(phase) => [
			cell(misbehaves('hangs', phase, { stderr: 'Error: no home\n' }), timedOut(phase, 'no home')),
		],
	],
	[
		'the app-server closes its output, and lives on',
		[...early, afterAnswer],
		(phase) => [closesItsOutput(phase)],
	],
	[
		'the app-server closes its input, answers what it has read, and lives on',
		[...early, afterAnswer],
		(phase) => [closesItsInput(phase)],
	],
	[
		'the app-server exits with an error, panics, breaks off in a line, or gets SIGSEGV or SIGSTOP',
		[atTheEnd],
		() => [
			ends('exits', code(1), { code: 1 }),
			ends('exits', code(101), { code: 101, words }),
			ends('exits', code(0), { code: 0, half }),
			ends('endsBySignal', by('SIGSEGV'), { signal: 'SIGSEGV' }),
			ends('endsBySignal', by('SIGKILL'), { signal: 'SIGSTOP' }),
		],
	],
	[
		'the app-server ignores the end of its input, SIGTERM, or both, takes 3 s, or writes without end',
		[atTheEnd],
		() => [
			answers({ ignores: ['end'] }, by('SIGTERM'), 'by close()'),
			answers({ ignores: ['SIGTERM'] }, code(0)),
			answers(deaf, by('SIGKILL'), 'by close()'),
			answers({ endsAfterMs: 3_000 }, code(0)),
			ends('writes', by('SIGTERM'), { text: `${half}"}]}}\n`.repeat(1_000), times: null }),
			ends('writes', by('SIGTERM'), { text: 'x'.repeat(10_000), times: null }),
		],
	],
];

testFaults(describeFaults('endings'), endings);
