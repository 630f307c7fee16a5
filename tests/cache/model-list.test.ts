import { expect, test } from 'vitest';
import type { CodexModel } from '../../src/api/codex-model.js';
import { resolveSettings } from '../../src/api/settings.js';
import { answer, makeCache } from './cache-harness.js';
import { exitError, firstFingerprint, idsOf, makeList, makeModel, start } from './fakes.js';

const infinity = Number.POSITIVE_INFINITY;
const settings = resolveSettings({ maxAgeMs: 100, staleWhileRevalidateMs: 1_000, cooldownMs: 50 });

const richModel = () =>
	makeModel('a', {
		supportedReasoningEfforts: [{ effort: 'low', description: 'l' }],
		serviceTiers: [{ id: 'fast', name: 'Fast', description: 'f' }],
		inputModalities: ['text'],
	});

function spoil(models: CodexModel[]): void {
	for (const model of models) {
		for (const list of [model.supportedReasoningEfforts, model.serviceTiers]) {
			for (const item of list) {
				for (const key of Object.keys(item)) Object.assign(item, { [key]: 'spoilt' });
			}
			list.push({} as never);
		}
		model.inputModalities.length = 0;
		for (const key of Object.keys(model)) Object.assign(model, { [key]: 'spoilt' });
	}
	models.reverse().pop();
}

test('every caller has a copy, and may change all of it', async () => {
	const made = makeCache();
	const expected = [richModel(), makeModel('b')];
	const calls = Promise.all([made.list(), made.list()]);
	await answer(made, 1, richModel(), 'b');
	const [first, second] = await calls;
	spoil(first);
	expect(second).toEqual(expected);
	const third = await made.list();
	expect(third).toEqual(expected);
	spoil(third);
	const snapshot = made.peek();
	expect(snapshot?.models).toEqual(expected);
	spoil(snapshot?.models ?? []);
	expect(await made.list({ includeHidden: true })).toEqual(expected);
	expect(made.peek()?.models).toEqual(expected);
	expect((await made.read()).models).toEqual(expected);
});

test('summaries are copies, too, of the visible models or of all', () => {
	const list = makeList([richModel(), makeModel('b', { hidden: true })]);
	const [first] = list.copySummaries(false);
	expect(first).toMatchObject({
		id: 'a',
		supportedReasoningEfforts: ['low'],
		serviceTiers: ['fast'],
	});
	first?.serviceTiers?.push('spoilt');
	first?.supportedReasoningEfforts?.push('spoilt');
	expect(list.copySummaries(false)).toMatchObject([
		{ supportedReasoningEfforts: ['low'], serviceTiers: ['fast'] },
	]);
	expect(idsOf(list.copySummaries(true))).toEqual(['a', 'b']);
	expect(list.size).toBe(2);
});

test('a list is fresh at an age from 0 to less than maxAgeMs', () => {
	const list = makeList(['a']);
	const isFresh = (ageMs: number) => list.isFresh(firstFingerprint, start + ageMs, settings);
	expect([-1, 0, 99, 100].map(isFresh)).toEqual([false, true, true, false]);
});

test('a list is servable for staleWhileRevalidateMs after maxAgeMs', () => {
	const isServable = (ageMs: number, given = settings) =>
		makeList(['a']).isServable(start + ageMs, given);
	expect([-1e9, 0, 1_099, 1_100].map((ageMs) => isServable(ageMs))).toEqual([
		true,
		true,
		true,
		false,
	]);
	for (const limits of [{ maxAgeMs: infinity }, { staleWhileRevalidateMs: infinity }]) {
		expect(isServable(1e15, resolveSettings(limits))).toBe(true);
	}
	expect(isServable(0, resolveSettings({ maxAgeMs: 0, staleWhileRevalidateMs: 0 }))).toBe(false);
});

test('a list is fresh for its own configuration and command only', () => {
	const list = makeList(['a']);
	const isFresh = (change: object) =>
		list.isFresh({ ...firstFingerprint, ...change }, start, settings);
	expect(isFresh({})).toBe(true);
	expect(isFresh({ configuration: 'second' })).toBe(false);
	expect(isFresh({ command: 'second' })).toBe(false);
	// A command function that this process did not call yet says nothing against the list.
	expect(isFresh({ command: null })).toBe(true);
	const ofUnknownCommand = makeList(['a'], { fingerprint: { ...firstFingerprint, command: null } });
	expect(ofUnknownCommand.isFresh(firstFingerprint, start, settings)).toBe(false);
});

test('a list cools down for cooldownMs after a failed refresh', () => {
	const list = makeList(['a']);
	const isCooling = (ms: number, given = settings) => list.isCoolingDown(start + ms, given);
	expect(isCooling(0)).toBe(false);
	list.failure = { error: exitError(), at: start };
	expect([-1, 0, 49, 50].map((ms) => isCooling(ms))).toEqual([false, true, true, false]);
	expect(isCooling(0, resolveSettings({ cooldownMs: 0 }))).toBe(false);
});
