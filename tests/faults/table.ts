import { expect } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { idsOf, isAlive, makeScriptedCatalog, type Step } from '../harness.js';
import type { describeFaults } from './page.js';

/** The ids that a caller gets, or an error's code and facts, and some words of its message. */
export type Outcome =
	| { ids: readonly string[] }
	| { code: string; phase?: string; says?: string; [fact: string]: unknown };

type Exit = { exitCode: number | null; signal: NodeJS.Signals | null };

/** One behaviour of an app-server in one phase, and how the app-server ends: by itself, unless `close()` ends it. */
type Cell = { step: Step; gets: Outcome; exit?: Exit | undefined; isEndedByClose: boolean };

export const cell = (step: Step, gets: Outcome, exit?: Exit, end?: 'by close()'): Cell => ({
	...{ step, gets, exit },
	isEndedByClose: end !== undefined,
});

export type Phase =
	| 'spawn'
	| 'initialize'
	| 'model/list'
	| 'between pages'
	| 'after the answer'
	| 'while being ended'
	| 'any';

/** One row of the page: a fault, run in each phase with each of its cells. */
export type Fault = readonly [
	fault: string,
	phases: readonly Phase[],
	cells: (phase: Phase) => Cell[],
];

/** The phases in which an app-server can fail a fetch. */
export const early: Phase[] = ['spawn', 'initialize', 'model/list', 'between pages'];

/** The `fetchTimeoutMs` of cells that end in a timeout. */
export const limitMs = 1_200;

/** The longest wait for any other outcome, in milliseconds: a busy machine delays the processes of a cell. */
const boundMs = 10_000;

export const known = [{ id: 'known-1' }, { id: 'known-2', hidden: true }];
export const knownIds = idsOf(known);

const pages = [[{ id: 'page-1' }], [{ id: 'page-2' }]];
export const listed = { ids: ['page-1', 'page-2'] };

/** An app-server of two pages that does this in that phase. */
export const misbehaves = (act: string, phase: Phase, settings: object = {}): Step => [
	'misbehaves',
	{ act, phase, pages, ...settings },
];

/** The phase that an error names. */
const nameOf = (phase: Phase) =>
	phase === 'spawn' || phase === 'initialize' ? 'initialize' : 'model/list';

/** The list where the end of the app-server comes after it, else the error. */
export function exited(
	phase: Phase,
	exitCode: number | null,
	signal: NodeJS.Signals | null = null,
	says = '',
): Outcome {
	const isLate = phase === 'after the answer' || phase === 'while being ended';
	return isLate
		? listed
		: { code: 'ERR_CODEX_EXITED', exitCode, signal, phase: nameOf(phase), says };
}

export const unreadable = (phase: Phase, says = ''): Outcome => ({
	code: 'ERR_CODEX_PROTOCOL',
	phase: nameOf(phase),
	says,
});

export const timedOut = (phase: Phase): Outcome => ({
	code: 'ERR_CODEX_TIMEOUT',
	timeoutMs: limitMs,
	phase: nameOf(phase),
	says: 'did not list its models within',
});

const isList = (outcome: Outcome): outcome is { ids: readonly string[] } => 'ids' in outcome;

function describeOutcome(outcome: Outcome): string {
	if (!isList(outcome)) return `\`${outcome.code}\``;
	return outcome.ids.length > 0 ? 'the list' : 'an empty list';
}

/** Checks what a promise comes to. */
export async function expectOutcome(
	promise: Promise<{ id: string }[]>,
	outcome: Outcome,
): Promise<void> {
	if (isList(outcome)) {
		expect(idsOf(await promise)).toEqual(outcome.ids);
		return;
	}
	const { says = '', ...facts } = outcome;
	const error = await promise.then(
		(models) => new Error(`Expected ${outcome.code}, got ${JSON.stringify(models)}`),
		(reason) => reason,
	);
	expect(error).toMatchObject({ name: 'CodexModelsError', ...facts });
	expect(error.message).toContain(says);
	// The message leaves out what is unknown.
	expect(error.message).not.toMatch(/undefined|(?:code|by) null|NaN|\[object/);
}

const optionsOf = ({ gets }: Cell): CodexModelCatalogOptions =>
	'code' in gets && gets.code === 'ERR_CODEX_TIMEOUT' ? { fetchTimeoutMs: limitMs } : {};

function expectNothingLeft({ pids, find }: ReturnType<typeof makeScriptedCatalog>['server']): void {
	const grandchildren = find('grandchild').map(({ grandchild }) => grandchild);
	expect([...pids, ...grandchildren].filter(isAlive), 'processes left').toEqual([]);
}

/** Runs the cell with no list in memory, and then a call after it. */
async function runCold(cell: Cell): Promise<void> {
	const { step, gets, exit, isEndedByClose } = cell;
	const { catalog, server, events } = makeScriptedCatalog(
		[step, ['answers', { models: known }]],
		optionsOf(cell),
	);
	const calledAt = performance.now();
	await expectOutcome(catalog.list({ includeHidden: true }), gets);
	expect(performance.now() - calledAt).toBeLessThan(boundMs);

	const isRemembered = isList(gets) && gets.ids.length > 0;
	expect(catalog.peek({ includeHidden: true })?.models.map(({ id }) => id)).toEqual(
		isRemembered ? gets.ids : undefined,
	);
	if (!isEndedByClose) await events.nth('exited');
	if (!isRemembered) expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(knownIds);
	expect(server.starts).toBe(isRemembered ? 1 : 2);
	await catalog.close();
	if (exit) expect(events.ofType('exited')[0]).toMatchObject(exit);
	expectNothingLeft(server);
}

/** Runs the cell with a list in memory. */
async function runWarm(cell: Cell): Promise<void> {
	const { step, gets, isEndedByClose } = cell;
	const { catalog, server, events } = makeScriptedCatalog(
		[['answers', { models: known }], step],
		optionsOf(cell),
	);
	await catalog.list();
	const before = catalog.peek({ includeHidden: true });
	await expectOutcome(catalog.list({ includeHidden: true, refresh: true }), gets);

	const isReplaced = isList(gets) && gets.ids.length > 0;
	const after = catalog.peek({ includeHidden: true });
	if (!isReplaced) {
		expect({ ...after, refreshError: null }).toEqual(before);
		expect(after?.refreshError).toMatchObject({
			code: isList(gets) ? 'ERR_CODEX_PROTOCOL' : gets.code,
		});
	}
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(
		isReplaced ? gets.ids : knownIds,
	);
	if (!isEndedByClose) await events.nth('exited', 2);
	expect(server.starts).toBe(2);
	await catalog.close();
	expectNothingLeft(server);
}

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
			const outcome = [...new Set(cells(phase).map(({ gets }) => describeOutcome(gets)))].join(
				' or ',
			);
			groups.set(outcome, [...(groups.get(outcome) ?? []), phase]);
		}
		const shown = [...groups.values()].map((group) => group.join(', ')).join('; ');
		testFault(fault, shown, [...groups.keys()].join('; '), async () => {
			const all = phases.flatMap((phase) => cells(phase));
			for (let start = 0; start < all.length; start += cellsAtOnce) {
				const some = all.slice(start, start + cellsAtOnce);
				await Promise.all(some.flatMap((cell) => [runCold(cell), runWarm(cell)]));
			}
		});
	}
}
