import { expect, test } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/core/options.js';
import { idsOf, isAlive, makeScriptedCatalog, type Step } from '../harness.js';
import { bound, type FaultPhase, type openChapter, type Time } from './page.js';

/** What a caller gets: the ids of a list, or an error's code and facts, some words of it, and what none may hold. */
export type Outcome =
	| { ids: readonly string[] }
	| {
			code: 'ERR_CODEX_EXITED';
			exitCode: number | null;
			signal: NodeJS.Signals | null;
			phase: string;
			stderr?: string;
			says?: string;
	  }
	| { code: 'ERR_CODEX_TIMEOUT'; timeoutMs: number; phase: string; says?: string }
	| { code: 'ERR_CODEX_RPC'; rpcCode: number; rpcData?: unknown; phase: string; says?: string }
	| { code: 'ERR_CODEX_PROTOCOL'; phase: string; says?: string }
	| { code: 'ERR_CODEX_NOT_FOUND'; command?: string; says?: string };

/** One fault in one phase. */
export type Row = {
	fault: string;
	phase: FaultPhase;
	step: Step;
	gets: Outcome;
	time?: Time;
	/** How its app-server ends; by its own, unless `close` has to see to it. */
	exit?: { exitCode: number | null; signal: NodeJS.Signals | null };
	isEndedByClose?: boolean;
	options?: CodexModelCatalogOptions;
};

/** The `fetchTimeoutMs` of rows that hang. */
export const limitMs = 1_200;

export const known = [{ id: 'known-1' }, { id: 'known-2', hidden: true }];
const knownIds = idsOf(known);

const pages = [[{ id: 'page-1' }], [{ id: 'page-2' }]];
export const listed = { ids: ['page-1', 'page-2'] };

/** The phases in which an app-server can fail a fetch, and what the error then names. */
export const early = [
	['spawn', 'initialize'],
	['initialize', 'initialize'],
	['model/list', 'model/list'],
	['between pages', 'model/list'],
] as const;

/** An app-server of two pages that does this in that phase. */
export const misbehaves = (act: string, phase: FaultPhase, settings: object = {}): Step => [
	'misbehaves',
	{ act, phase, pages, ...settings },
];

export const exited = (phase: string, exitCode: number | null, signal: NodeJS.Signals | null = null, says = ''): Outcome => ({
	code: 'ERR_CODEX_EXITED',
	exitCode,
	signal,
	phase,
	...(says && { says }),
});

export const unreadable = (phase: string, says = ''): Outcome => ({
	code: 'ERR_CODEX_PROTOCOL',
	phase,
	...(says && { says }),
});

const isList = (outcome: Outcome): outcome is { ids: readonly string[] } => 'ids' in outcome;

export function describeOutcome(outcome: Outcome): string {
	if (isList(outcome)) return outcome.ids.length > 0 ? 'the list' : 'an empty list, which is not remembered';
	const { code, says: _, ...facts } = outcome;
	const told = Object.entries(facts).flatMap(([name, value]) => {
		if (value === null || name === 'command') return [];
		return name === 'stderr' ? ['its words on stderr'] : [`${name} ${JSON.stringify(value)}`];
	});
	return `\`${code}\`${told.length > 0 ? ` (${told.join(', ')})` : ''}`;
}

export type Settled = { models: { id: string }[] } | { error: Error & Record<string, unknown> };

/** What a promise came to, and when. */
export async function settle(promise: Promise<{ id: string }[]>): Promise<Settled & { at: number }> {
	return promise.then(
		(models) => ({ models, at: Date.now() }),
		(error) => ({ error, at: Date.now() }),
	);
}

export function expectOutcome(settled: Settled, outcome: Outcome): void {
	if (isList(outcome)) {
		if ('error' in settled) throw settled.error;
		expect(idsOf(settled.models)).toEqual(outcome.ids);
		return;
	}
	if ('models' in settled) throw new Error(`Expected ${outcome.code}, got ${JSON.stringify(settled.models)}`);
	const { says = '', ...facts } = outcome;
	expect(settled.error).toMatchObject({ name: 'CodexModelsError', ...facts });
	expect(settled.error.message).toContain(says);
	// What did not happen is not told as if it had.
	expect(settled.error.message).not.toMatch(/undefined|(?:code|by) null|NaN|\[object/);
}

/** Starts the row's app-server with nothing known; then once more, for whoever comes next. */
async function runCold({ step, gets, options, exit, isEndedByClose }: Row): Promise<number> {
	const { catalog, server, events } = makeScriptedCatalog([step, ['answers', { models: known }]], options);
	const calledAt = Date.now();
	const settled = await settle(catalog.list({ includeHidden: true }));
	const lastAct = server
		.find('start')
		.concat(server.find('message'), server.find('written'))
		.map(({ at }) => at)
		.filter((at) => at <= settled.at);
	expectOutcome(settled, gets);

	const isRemembered = isList(gets) && gets.ids.length > 0;
	expect(catalog.peek({ includeHidden: true })?.models.map(({ id }) => id)).toEqual(isRemembered ? gets.ids : undefined);
	if (!isEndedByClose) await events.nth('exited');
	if (!isRemembered) expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(knownIds);
	expect(server.starts).toBe(isRemembered ? 1 : 2);
	await catalog.close();
	if (exit) expect(events.ofType('exited')[0]).toMatchObject(exit);
	expectNothingLeft(server);
	return settled.at - Math.max(calledAt, ...lastAct);
}

/** The same behind a list that is there. */
async function runBehindAList({ step, gets, options, isEndedByClose }: Row): Promise<void> {
	const { catalog, server, events } = makeScriptedCatalog([['answers', { models: known }], step], options);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(knownIds);
	const before = catalog.peek({ includeHidden: true });
	const settled = await settle(catalog.list({ includeHidden: true, refresh: true }));
	expectOutcome(settled, gets);

	const isReplaced = isList(gets) && gets.ids.length > 0;
	const after = catalog.peek({ includeHidden: true });
	if (!isReplaced) {
		expect({ ...after, refreshError: null }).toEqual(before);
		expect(after?.refreshError).toMatchObject({ code: isList(gets) ? 'ERR_CODEX_PROTOCOL' : gets.code });
	}
	const expectedIds = isReplaced ? gets.ids : knownIds;
	expect(after?.models.map(({ id }) => id)).toEqual(expectedIds);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(expectedIds);
	expect(events.count('hit')).toBe(1);
	if (!isEndedByClose) await events.nth('exited', 2);
	expect(server.starts).toBe(2);
	await catalog.close();
	expectNothingLeft(server);
}

type Server = ReturnType<typeof makeScriptedCatalog>['server'];

function expectNothingLeft(server: Server): void {
	const grandchildren = server.find('grandchild').map(({ grandchild }) => grandchild);
	expect([...server.pids, ...grandchildren].filter(isAlive), 'processes left').toEqual([]);
}

/** A test of each row, and a row of the page of each test. */
export function testRows(chapter: ReturnType<typeof openChapter>, rows: readonly Row[]): void {
	for (const row of rows) {
		const { fault, phase, gets, time = 'at once (< 0.1 s)' } = row;
		const shown = describeOutcome(gets);
		chapter.declare();
		test(`${fault} (${phase}): ${shown.replaceAll('`', '')}`, async () => {
			const [ms] = await Promise.all([runCold(row), runBehindAList(row)]);
			expect(ms).toBeLessThan(bound(time));
			chapter.record({ fault, phase, gets: shown, time }, ms);
		});
	}
}
