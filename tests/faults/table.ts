import { expect } from 'vitest';
import { timings } from '../../src/app-server/child-process.js';
import { idsOf, isAlive, makeScriptedCatalog, type Phase, type Step } from '../harness.js';
import type { describeFaults } from './page.js';

/** The ids that a caller gets, or an error's code and facts, and some words of its message. */
export type Outcome =
	| { ids: readonly string[] }
	| { code: string; says?: string; [fact: string]: unknown };

type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** One behaviour of an app-server in one phase, and how the app-server ends: by itself, unless `close()` ends it. */
export type Cell = { step: Step; gets: Outcome; exit?: Exit | undefined; isEndedByClose: boolean };

export const cell = (step: Step, gets: Outcome, exit?: Exit, end?: 'by close()'): Cell => ({
	...{ step, gets, exit },
	isEndedByClose: end !== undefined,
});

/** One row of the page: a fault, run in each phase with each of its cells. */
export type Fault = readonly [
	fault: string,
	phases: readonly Phase[],
	cells: (phase: Phase) => Cell[],
];

/** The phases in which an app-server can fail a fetch. */
export const early: Phase[] = ['spawn', 'initialize', 'model/list', 'between pages'];

/** The `fetchTimeoutMs` of cells that end in a timeout: a busy machine needs most of it for the call after that. */
const limitMs = 3_000;

// A busy machine takes longer than 100 ms from the end of the output to the exit.
timings.outputToExitMs = 1_000;

export const known = [{ id: 'known-1' }, { id: 'known-2', hidden: true }];
export const knownIds = idsOf(known);

export const pages = [[{ id: 'page-1' }], [{ id: 'page-2' }]];
export const listed = { ids: ['page-1', 'page-2'] };

/** An app-server of two pages that does this in that phase. */
export const misbehaves = (act: string, phase: Phase, settings: object = {}): Step => [
	act,
	{ at: phase, pages, ...settings },
];

/** The phase that an error names. */
const nameOf = (phase: Phase) =>
	phase === 'spawn' || phase === 'initialize' ? 'initialize' : 'model/list';

/** The list where the end of the app-server comes after it, else the error. */
export const exited = (phase: Phase, exitCode: number | null, facts: object = {}): Outcome =>
	phase === 'after the answer' || phase === 'while being ended'
		? listed
		: { code: 'ERR_CODEX_EXITED', exitCode, signal: null, phase: nameOf(phase), ...facts };

export const fails = (code: string, phase: Phase, facts: object): Outcome => ({
	...{ code: `ERR_CODEX_${code}`, phase: nameOf(phase) },
	...facts,
});

export const timedOut = (phase: Phase, says = 'did not list its models within'): Outcome =>
	fails('TIMEOUT', phase, { timeoutMs: limitMs, says });

const isList = (outcome: Outcome): outcome is { ids: readonly string[] } => 'ids' in outcome;

function describeOutcome(outcome: Outcome): string {
	if (!isList(outcome)) return `\`${outcome.code}\``;
	return outcome.ids.length > 0 ? 'the list' : 'an empty list';
}

/** Checks what a promise comes to. */
export async function expectOutcome(
	promise: Promise<readonly { id: string }[]>,
	outcome: Outcome,
): Promise<void> {
	const [result] = await Promise.allSettled([promise.then(idsOf)]);
	if (isList(outcome)) return expect(result).toEqual({ status: 'fulfilled', value: outcome.ids });
	const { says = '', ...facts } = outcome;
	expect(result).toMatchObject({
		status: 'rejected',
		reason: { name: 'CodexModelsError', ...facts },
	});
	const { message } = (result as PromiseRejectedResult).reason;
	expect(message).toContain(says);
	// The message leaves out what is unknown.
	expect(message).not.toMatch(/undefined|(?:code|by) null|NaN|\[object/);
}

const hidden = { includeHidden: true };

/** Runs the cell with a list in memory or without one, and then another call. */
async function runCell({ step, gets, exit, isEndedByClose }: Cell, isWarm: boolean): Promise<void> {
	const well: Step = ['answers', { models: known }];
	const { catalog, server, events } = makeScriptedCatalog(
		isWarm ? [well, step] : [step, well],
		'timeoutMs' in gets ? { fetchTimeoutMs: limitMs } : {},
	);
	if (isWarm) await catalog.list();
	const before = catalog.peek(hidden);
	await expectOutcome(catalog.list({ ...hidden, refresh: isWarm }), gets);

	const isRemembered = isList(gets) && gets.ids.length > 0;
	const after = catalog.peek(hidden);
	if (!isRemembered) expect(after && { ...after, refreshError: null }).toEqual(before);
	if (!isRemembered && isWarm) {
		const code = isList(gets) ? 'ERR_CODEX_PROTOCOL' : gets.code;
		expect(after?.refreshError).toMatchObject({ code });
	}
	if (!isEndedByClose) await events.nth('exited', isWarm ? 2 : 1);
	await expectOutcome(catalog.list(hidden), { ids: isRemembered ? gets.ids : knownIds });
	expect(server.starts).toBe(isRemembered && !isWarm ? 1 : 2);
	await catalog.close();
	if (exit && !isWarm) expect(events.ofType('exited')[0]).toMatchObject(exit);
	expect([...server.pids, ...server.grandchildren].filter(isAlive), 'processes left').toEqual([]);
}

/** Such as that of too many listeners. */
const warnings: string[] = [];
process.on('warning', ({ message }) => warnings.push(message));

/** The most cells that run side by side, with two or three processes each. */
const cellsAtOnce = 4;

/** Makes a test and a row of the page of each fault. */
export function testFaults(
	testFault: ReturnType<typeof describeFaults>,
	faults: readonly Fault[],
): void {
	for (const [fault, phases, cells] of faults) {
		const groups = new Map<string, Phase[]>();
		for (const phase of phases) {
			const outcomes = new Set(cells(phase).map(({ gets }) => describeOutcome(gets)));
			const outcome = [...outcomes].join(' or ');
			groups.set(outcome, [...(groups.get(outcome) ?? []), phase]);
		}
		const shown = [...groups.values()].map((group) => group.join(', ')).join('; ');
		testFault(fault, shown, [...groups.keys()].join('; '), async () => {
			const all = phases.flatMap((phase) => cells(phase));
			for (let start = 0; start < all.length; start += cellsAtOnce) {
				const some = all.slice(start, start + cellsAtOnce);
				await Promise.all(some.flatMap((each) => [runCell(each, false), runCell(each, true)]));
			}
			expect(warnings).toEqual([]);
		});
	}
}
