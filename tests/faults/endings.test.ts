import { expect } from 'vitest';
import { idsOf, isAlive, makeScriptedCatalog, type Step } from '../harness.js';
import { describeFaults } from './page.js';
import {
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
const deaf = { ignores: ['end', 'SIGTERM'] };

/** Behaviours at the end of the input, which alone does not end the app-server. */
const atTheEnd = (act: string, settings: object = {}) => misbehaves(act, 'while being ended', { ignores: ['end'], ...settings });

const endings: Fault[] = [
	{
		fault: 'the app-server exits with code 0 or 1, or panics',
		phases: [...early, 'after the answer'],
		cells: (phase) => [
			...[0, 1].map((n) => ({ step: misbehaves('exits', phase, { code: n }), gets: exited(phase, n), exit: code(n) })),
			{
				step: misbehaves('exits', phase, { code: 101, words: panic }),
				gets: exited(phase, 101, null, 'no reactor running'),
				exit: code(101),
			},
		],
	},
	{
		fault: 'the app-server exits in the middle of a line',
		phases: [...early, 'after the answer'],
		cells: (phase) =>
			[0, 1].map((n) => ({ step: misbehaves('exits', phase, { code: n, half }), gets: exited(phase, n), exit: code(n) })),
	},
	{
		fault: 'a signal ends the app-server (SIGTERM, SIGKILL, SIGSEGV)',
		phases: [...early, 'after the answer'],
		cells: (phase) =>
			(['SIGTERM', 'SIGKILL', 'SIGSEGV'] as const).map((signal) => ({
				step: misbehaves('endsBySignal', phase, { signal }),
				gets: exited(phase, null, signal, signal),
				exit: by(signal),
			})),
	},
	{
		fault: 'another signal ends the app-server (SIGHUP, SIGINT, SIGABRT, SIGPIPE)',
		phases: ['model/list'],
		cells: (phase) =>
			(['SIGHUP', 'SIGINT', 'SIGABRT', 'SIGPIPE'] as const).map((signal) => ({
				step: misbehaves('endsBySignal', phase, { signal }),
				gets: exited(phase, null, signal, signal),
				exit: by(signal),
			})),
	},
	{
		fault: 'the app-server exits with code 1, and its grandchild ignores SIGTERM, with or without its pipes',
		phases: ['initialize', 'model/list'],
		cells: (phase) =>
			[true, false].map((holdsPipes) => ({
				step: ['leavesAGrandchild', { holdsPipes, ignoresSigterm: true, at: phase as 'initialize' | 'model/list', code: 1 }],
				gets: exited(phase, 1),
				exit: code(1),
			})),
	},
	{
		fault: 'the app-server hangs, and obeys or ignores the end of its input and SIGTERM',
		phases: early,
		cells: (phase) => [
			{ step: misbehaves('hangs', phase), gets: timedOut(phase), exit: code(0) },
			{ step: misbehaves('hangs', phase, deaf), gets: timedOut(phase), exit: by('SIGKILL') },
		],
	},
	{
		fault: 'the app-server is stopped (SIGSTOP)',
		phases: early,
		cells: (phase) => [{ step: misbehaves('stops', phase), gets: timedOut(phase), exit: by('SIGKILL') }],
	},
	{
		fault: 'the app-server closes its output, and lives on',
		phases: [...early, 'after the answer'],
		cells: (phase) => {
			const step = misbehaves('closesItsOutput', phase, { ignores: ['end'] });
			const isLate = phase === 'after the answer';
			return [{ step, gets: exited(phase, null), ...(isLate ? { isEndedByClose: true } : { exit: by('SIGTERM') }) }];
		},
	},
	{
		fault: 'the app-server closes its input before it has read a request',
		phases: ['spawn'],
		cells: (phase) => [{ step: misbehaves('closesItsInput', phase), gets: timedOut(phase), exit: by('SIGTERM') }],
	},
	{
		fault: 'the app-server closes its input, answers the request that it has read, and another must follow',
		phases: ['initialize', 'model/list'],
		cells: (phase) => [{ step: misbehaves('closesItsInput', phase), gets: exited('model/list', null), exit: by('SIGTERM') }],
	},
	{
		fault: 'the app-server closes its input, and answers the last request',
		phases: ['model/list', 'between pages', 'after the answer'],
		cells: (phase) => {
			const isOnePage = phase === 'model/list';
			const step = misbehaves('closesItsInput', phase, isOnePage ? { pages: undefined, models: known } : {});
			return [{ step, gets: isOnePage ? { ids: knownIds } : listed, isEndedByClose: true }];
		},
	},
	{
		fault: 'the app-server writes a fatal `Error: …` and waits for a byte (0.66.0 to 0.115.0), or ignores all input',
		phases: ['initialize'],
		cells: (phase) => {
			const words = 'Error: no home\n';
			return [
				{ step: ['lingers', { words }], gets: exited(phase, 1, null, 'Error: no home'), exit: code(1) },
				{
					step: ['lingers', { words, isDeaf: true, ignores: ['end', 'SIGTERM'] }],
					gets: exited(phase, null, null, 'Error: no home'),
					exit: by('SIGKILL'),
				},
			];
		},
	},
	{
		fault: 'at the end of its input the app-server exits with code 1, panics, or breaks off in a line',
		phases: ['while being ended'],
		cells: () => [
			{ step: atTheEnd('exits', { code: 1 }), gets: listed, exit: code(1) },
			{ step: atTheEnd('exits', { code: 101, words: panic }), gets: listed, exit: code(101) },
			{ step: atTheEnd('exits', { code: 0, half }), gets: listed, exit: code(0) },
		],
	},
	{
		fault: 'at the end of its input a signal ends or stops the app-server (SIGTERM, SIGSEGV, SIGSTOP)',
		phases: ['while being ended'],
		cells: () => [
			...(['SIGTERM', 'SIGSEGV'] as const).map((signal) => ({
				step: atTheEnd('endsBySignal', { signal }),
				gets: listed,
				exit: by(signal),
			})),
			{ step: atTheEnd('stops'), gets: listed, exit: by('SIGKILL'), isEndedByClose: true },
		],
	},
	{
		fault: 'from the end of its input on, the app-server writes without end, or closes its output',
		phases: ['while being ended'],
		cells: () =>
			[
				atTheEnd('writes', { text: '{"id":3,"result":{"data":[{"id":"late"}]}}\n', isEndless: true }),
				atTheEnd('writes', { text: 'x', isEndless: true }),
				atTheEnd('closesItsOutput'),
			].map((step) => ({ step, gets: listed, exit: by('SIGTERM'), isEndedByClose: true })),
	},
	{
		fault: 'the app-server ignores the end of its input, SIGTERM, or both, or takes 3 s to end',
		phases: ['while being ended'],
		cells: () => {
			const gets = { ids: knownIds };
			const answers = (settings: object): Step => ['answers', { models: known, ...settings }];
			return [
				{ step: answers({ ignores: ['end'] }), gets, exit: by('SIGTERM'), isEndedByClose: true },
				{ step: answers({ ignores: ['SIGTERM'] }), gets, exit: code(0) },
				{ step: answers(deaf), gets, exit: by('SIGKILL'), isEndedByClose: true },
				{ step: answers({ endsAfterMs: 3_000 }), gets, exit: code(0) },
			];
		},
	},
	{
		fault: 'the app-server leaves a grandchild that ignores SIGTERM, with or without its pipes',
		phases: ['while being ended'],
		cells: () =>
			[true, false].map((holdsPipes) => ({
				step: ['leavesAGrandchild', { holdsPipes, ignoresSigterm: true, models: known }],
				gets: { ids: knownIds },
				exit: code(0),
			})),
	},
];

testFaults(testFault, endings);

const unclosed = 'the app-server ignores the end of its input and SIGTERM, and no call closes the catalog';
testFault(unclosed, 'while being ended', 'the list; SIGKILL ends the app-server', async () => {
	const { catalog, server, events } = makeScriptedCatalog([['answers', { models: known, ignores: ['end', 'SIGTERM'] }]]);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(knownIds);
	expect(await events.nth('exited')).toMatchObject(by('SIGKILL'));
	expect([server.find('end of input').length, server.find('SIGTERM').length]).toEqual([1, 1]);
	expect(server.pids.filter(isAlive)).toEqual([]);
});

const phase: Phase = 'model/list';
testFault(
	"one caller's `deadlineMs` ends before the fetch",
	phase,
	'`ERR_CODEX_TIMEOUT`; the list for the other callers',
	async () => {
		const step: Step = ['answers', { models: known, gates: { [phase]: 'open' } }];
		const { catalog, server, events } = makeScriptedCatalog([step], { deadlineMs: limitMs });
		const stays = catalog.list({ deadlineMs: Number.POSITIVE_INFINITY });
		await server.untilAsked(phase);
		await expect(catalog.list()).rejects.toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: limitMs, phase });
		server.open('open');
		expect(idsOf(await stays)).toEqual(['known-1']);
		await events.nth('exited');
		expect(server.starts).toBe(1);
	},
);
