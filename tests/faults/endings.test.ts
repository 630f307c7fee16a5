import { expect } from 'vitest';
import { idsOf, isAlive, makeScriptedCatalog, type Step } from '../harness.js';
import { describeFaults } from './page.js';
import {
	cell,
	early,
	exited,
	type Fault,
	known,
	knownIds,
	limitMs,
	listed,
	misbehaves,
	type Phase,
	testFaults,
	timedOut,
} from './table.js';

const testFault = describeFaults('endings');

const code = (exitCode: number) => ({ exitCode, signal: null });
const by = (signal: NodeJS.Signals) => ({ exitCode: null, signal });
const panic = "thread 'main' panicked at core/src/main.rs:7:5:\nno reactor running\n";
const half = '{"id":2,"result":{"data":[{"id":"ha';
const deaf: { ignores: ('end' | 'SIGTERM')[] } = { ignores: ['end', 'SIGTERM'] };

/** Behaviours at the end of the input, which alone does not end the app-server. */
const atTheEnd = (act: string, settings: object = {}) =>
	misbehaves(act, 'while being ended', { ignores: ['end'], ...settings });

const late: Phase[] = ['while being ended'];
const answers = (settings: object): Step => ['answers', { models: known, ...settings }];
const lingers = (settings: object = {}): Step => [
	'lingers',
	{ words: 'Error: no home\n', ...settings },
];
const grandchild = (settings: object): Step[] =>
	[true, false].map((holdsPipes) => [
		'leavesAGrandchild',
		{ holdsPipes, ignoresSigterm: true, ...settings },
	]);
const isEndedBy = (phase: Phase, ...signals: NodeJS.Signals[]) =>
	signals.map((signal) =>
		cell(
			misbehaves('endsBySignal', phase, { signal }),
			exited(phase, null, signal, signal),
			by(signal),
		),
	);

const endings: Fault[] = [
	[
		'the app-server exits with code 0 or 1, between lines or in a line, or panics',
		[...early, 'after the answer'],
		(phase) => [
			cell(misbehaves('exits', phase, { code: 0 }), exited(phase, 0), code(0)),
			cell(misbehaves('exits', phase, { code: 1 }), exited(phase, 1), code(1)),
			cell(misbehaves('exits', phase, { code: 0, half }), exited(phase, 0), code(0)),
			cell(misbehaves('exits', phase, { code: 1, half }), exited(phase, 1), code(1)),
			cell(
				misbehaves('exits', phase, { code: 101, words: panic }),
				exited(phase, 101, null, 'no reactor running'),
				code(101),
			),
		],
	],
	[
		'a signal ends the app-server (SIGTERM, SIGKILL, SIGSEGV)',
		[...early, 'after the answer'],
		(phase) => isEndedBy(phase, 'SIGTERM', 'SIGKILL', 'SIGSEGV'),
	],
	[
		'another signal ends the app-server (SIGHUP, SIGINT, SIGABRT, SIGPIPE)',
		['model/list'],
		(phase) => isEndedBy(phase, 'SIGHUP', 'SIGINT', 'SIGABRT', 'SIGPIPE'),
	],
	[
		'the app-server exits with code 1, and its grandchild ignores SIGTERM, with or without its pipes',
		['initialize', 'model/list'],
		(phase) =>
			grandchild({ at: phase, code: 1 }).map((step) => cell(step, exited(phase, 1), code(1))),
	],
	[
		'the app-server hangs, and obeys or ignores the end of its input and SIGTERM',
		early,
		(phase) => [
			cell(misbehaves('hangs', phase), timedOut(phase), code(0)),
			cell(misbehaves('hangs', phase, deaf), timedOut(phase), by('SIGKILL')),
		],
	],
	[
		'the app-server is stopped (SIGSTOP)',
		early,
		(phase) => [cell(misbehaves('stops', phase), timedOut(phase), by('SIGKILL'))],
	],
	[
		'the app-server closes its output, and lives on',
		early,
		(phase) => [
			cell(
				misbehaves('closesItsOutput', phase, { ignores: ['end'] }),
				exited(phase, null),
				by('SIGTERM'),
			),
		],
	],
	[
		'the app-server closes its output or its input, and lives on',
		['after the answer'],
		(phase) => [
			cell(
				misbehaves('closesItsOutput', phase, { ignores: ['end'] }),
				listed,
				undefined,
				'by close()',
			),
			cell(misbehaves('closesItsInput', phase), listed, undefined, 'by close()'),
		],
	],
	[
		'the app-server closes its input before it has read a request',
		['spawn'],
		(phase) => [cell(misbehaves('closesItsInput', phase), timedOut(phase), by('SIGTERM'))],
	],
	[
		'the app-server closes its input, answers the request that it has read, and another must follow',
		['initialize', 'model/list'],
		(phase) => [
			cell(misbehaves('closesItsInput', phase), exited('model/list', null), by('SIGTERM')),
		],
	],
	[
		'the app-server closes its input, and answers the last request',
		['between pages'],
		(phase) => [cell(misbehaves('closesItsInput', phase), listed, undefined, 'by close()')],
	],
	[
		'the app-server writes a fatal `Error: …` and waits for a byte (0.66.0 to 0.115.0), or ignores all input',
		['initialize'],
		(phase) => [
			cell(lingers(), exited(phase, 1, null, 'Error: no home'), code(1)),
			cell(
				lingers({ isDeaf: true, ...deaf }),
				exited(phase, null, null, 'Error: no home'),
				by('SIGKILL'),
			),
		],
	],
	[
		'at the end of its input the app-server exits, panics, breaks off in a line, or gets SIGTERM, SIGSEGV or SIGSTOP',
		late,
		() => [
			cell(atTheEnd('exits', { code: 1 }), listed, code(1)),
			cell(atTheEnd('exits', { code: 101, words: panic }), listed, code(101)),
			cell(atTheEnd('exits', { code: 0, half }), listed, code(0)),
			cell(atTheEnd('endsBySignal', { signal: 'SIGTERM' }), listed, by('SIGTERM')),
			cell(atTheEnd('endsBySignal', { signal: 'SIGSEGV' }), listed, by('SIGSEGV')),
			cell(atTheEnd('stops'), listed, by('SIGKILL'), 'by close()'),
		],
	],
	[
		'from the end of its input on, the app-server writes without end, or closes its output',
		late,
		() =>
			[
				atTheEnd('writes', {
					text: '{"id":3,"result":{"data":[{"id":"late"}]}}\n',
					isEndless: true,
				}),
				atTheEnd('writes', { text: 'x', isEndless: true }),
				atTheEnd('closesItsOutput'),
			].map((step) => cell(step, listed, by('SIGTERM'), 'by close()')),
	],
	[
		'the app-server ignores the end of its input, SIGTERM, or both, or takes 3 s to end',
		late,
		() => [
			cell(answers({ ignores: ['end'] }), { ids: knownIds }, by('SIGTERM'), 'by close()'),
			cell(answers({ ignores: ['SIGTERM'] }), { ids: knownIds }, code(0)),
			cell(answers(deaf), { ids: knownIds }, by('SIGKILL'), 'by close()'),
			cell(answers({ endsAfterMs: 3_000 }), { ids: knownIds }, code(0)),
		],
	],
	[
		'the app-server leaves a grandchild that ignores SIGTERM, with or without its pipes',
		late,
		() => grandchild({ models: known }).map((step) => cell(step, { ids: knownIds }, code(0))),
	],
];

testFaults(testFault, endings);

const unclosed =
	'the app-server ignores the end of its input and SIGTERM, and no call closes the catalog';
testFault(unclosed, 'while being ended', 'the list; SIGKILL ends the app-server', async () => {
	const { catalog, server, events } = makeScriptedCatalog([answers(deaf)]);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(knownIds);
	expect(await events.nth('exited')).toMatchObject(by('SIGKILL'));
	expect([server.find('end of input').length, server.find('SIGTERM').length]).toEqual([1, 1]);
	expect(server.pids.filter(isAlive)).toEqual([]);
});

const phase: Phase = 'model/list';
testFault(
	"one caller's `deadlineMs` ends before the fetch",
	phase,
	'`ERR_CODEX_TIMEOUT` for that caller',
	async () => {
		const { catalog, server, events } = makeScriptedCatalog(
			[answers({ gates: { [phase]: 'open' } })],
			{ deadlineMs: limitMs },
		);
		const stays = catalog.list({ deadlineMs: Number.POSITIVE_INFINITY });
		await server.untilAsked(phase);
		await expect(catalog.list()).rejects.toMatchObject({
			code: 'ERR_CODEX_TIMEOUT',
			timeoutMs: limitMs,
			phase,
		});
		server.open('open');
		expect(idsOf(await stays)).toEqual(['known-1']);
		await events.nth('exited');
		expect(server.starts).toBe(1);
	},
);
