import { expect, test, vi } from 'vitest';
import { CodexModelCatalog } from '../src/catalog.js';
import type { CodexModelCatalogOptions } from '../src/options.js';
import {
	failureOf,
	idsOf,
	isAlive,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	plainModel,
	type Step,
	script,
} from './harness.js';

const lists = (...ids: string[]): Step => ['answers', { models: ids.map((id) => ({ id })) }];
const gatedLists = (gate: string, ...ids: string[]): Step => [
	'answers',
	{ models: ids.map((id) => ({ id })), gates: { 'model/list': gate } },
];
const exits: Step = ['exits', { at: 'initialize', code: 1 }];

const start = Date.UTC(2026, 0, 1);
const freshMs = 300_000;
const staleMs = 86_400_000;
const cooldownMs = 30_000;

/** The clock is the cache's alone: timers run as ever. */
function setAge(ms: number): void {
	vi.setSystemTime(start + ms);
}

/** A catalog that has fetched its first step's list, at the age of 0. */
async function makeFilledCatalog(steps: Step[], options: CodexModelCatalogOptions = {}) {
	vi.useFakeTimers({ toFake: ['Date'] });
	setAge(0);
	const made = makeScriptedCatalog(steps, options);
	await made.catalog.list();
	await made.events.nth('exited');
	return made;
}

type Made = Pick<ReturnType<typeof makeScriptedCatalog>, 'catalog' | 'events'>;

/**
 * How many app-servers were started by what was done before this. That one was not is not to be seen at once: by the
 * time that another list has been fetched, it would have been.
 */
async function countSpawns({ catalog, events }: Made): Promise<number> {
	await catalog.list({ cwd: makeDirectory() });
	return events.count('spawned') - 1;
}

// One fetch, two views

test('one fetch serves both views, in their order', async () => {
	const models = [
		{ id: 'a' },
		{ id: 'b', hidden: true },
		{ id: 'c', isDefault: true },
		{ id: 'd', hidden: false },
	];
	const { catalog, server } = makeScriptedCatalog([['answers', { models }]]);
	const [visible, all] = await Promise.all([catalog.list(), catalog.list({ includeHidden: true })]);
	expect(idsOf(visible)).toEqual(['a', 'c', 'd']);
	expect(idsOf(all)).toEqual(['a', 'b', 'c', 'd']);
	expect(idsOf(await catalog.list({ includeHidden: false }))).toEqual(['a', 'c', 'd']);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list').map(({ params }) => params)).toEqual([{ includeHidden: true }]);
});

test('a list is hidden only where hidden is exactly true', async () => {
	const models = [
		{ id: 'a', hidden: 'true' },
		{ id: 'b', hidden: 1 },
		{ id: 'c', hidden: null },
		{ id: 'd' },
	];
	const { catalog } = makeScriptedCatalog([['answers', { models }]]);
	expect(idsOf(await catalog.list())).toEqual(['a', 'b', 'c', 'd']);
});

test('the visible list may be empty while the other is not', async () => {
	const { catalog, server } = makeScriptedCatalog([['answers', { models: [{ id: 'a', hidden: true }] }]]);
	expect(await catalog.list()).toEqual([]);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(['a']);
	expect(catalog.peek()?.models).toEqual([]);
	expect(server.starts).toBe(1);
});

// Fresh

test('making a catalog, and a peek, start nothing', async () => {
	const made = makeScriptedCatalog([lists('a')]);
	expect(made.catalog.peek()).toBeUndefined();
	expect(await countSpawns(made)).toBe(0);
});

test('a fresh list is served without a process, a timer or a listener', async () => {
	const { catalog, server, events } = makeScriptedCatalog([lists('a')]);
	await catalog.list();
	// The end of the app-server has timers of its own.
	await events.nth('exited');
	const timers = (['setTimeout', 'setInterval', 'setImmediate'] as const).map((name) =>
		vi.spyOn(globalThis, name),
	);
	const processListeners = vi.spyOn(process, 'on');
	const controller = new AbortController();
	const signalListeners = vi.spyOn(controller.signal, 'addEventListener');
	for (let count = 0; count < 10; count++) {
		expect(idsOf(await catalog.list({ signal: controller.signal, deadlineMs: 5 }))).toEqual(['a']);
	}
	for (const spy of [...timers, processListeners, signalListeners]) expect(spy).not.toHaveBeenCalled();
	expect(server.starts).toBe(1);
});

test('a list is fresh up to freshMs, and stale from then on', async () => {
	const made = await makeFilledCatalog([lists('old'), lists('new')]);
	const { catalog, events } = made;
	setAge(freshMs - 1);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: start });
	expect(events.ofType('served-fresh')).toMatchObject([{ ageMs: freshMs - 1 }]);
	expect(await countSpawns(made)).toBe(1);
	setAge(freshMs);
	expect(catalog.peek()).toMatchObject({ isFresh: false, fetchedAt: start });
	expect(await countSpawns(made)).toBe(2);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(events.ofType('served-stale')).toMatchObject([{ ageMs: freshMs }]);
	await events.nth('refreshed', 4);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test.each([0, 1_000, Number.POSITIVE_INFINITY])('freshMs may be %d', async (freshMs) => {
	const { catalog } = await makeFilledCatalog([lists('a')], { freshMs, staleMs: Number.POSITIVE_INFINITY });
	setAge(Math.min(freshMs, 1e12));
	expect(catalog.peek()?.isFresh).toBe(freshMs === Number.POSITIVE_INFINITY);
	setAge(Math.min(freshMs, 1e12) - 1);
	expect(catalog.peek()?.isFresh).toBe(freshMs > 0);
});

// Stale

test('a stale list is served at once, while one refresh runs behind it, whoever asks and however often', async () => {
	const { catalog, server, events } = await makeFilledCatalog([lists('old'), gatedLists('open', 'new')]);
	setAge(freshMs);
	for (let count = 0; count < 20; count++) {
		expect(idsOf(await catalog.list({ includeHidden: count % 2 === 0 }))).toEqual(['old']);
	}
	await server.untilAsked('model/list', 2);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	server.open('open');
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: start + freshMs });
	expect(server.starts).toBe(2);
	expect(events.count('served-stale')).toBe(21);
});

test('a list is served up to staleMs, and waited for from then on', async () => {
	const { catalog, server } = await makeFilledCatalog([lists('old'), gatedLists('open', 'new')]);
	setAge(staleMs - 1);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['old']);
	setAge(staleMs);
	expect(catalog.peek()).toBeUndefined();
	const list = catalog.list();
	await server.untilAsked('model/list', 2);
	server.open('open');
	expect(idsOf(await list)).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('with a staleMs of 0 a list is waited for as soon as it is not fresh', async () => {
	const { catalog, server } = await makeFilledCatalog([lists('old'), lists('new')], { staleMs: 0 });
	expect(idsOf(await catalog.list())).toEqual(['old']);
	setAge(freshMs);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('with a staleMs of Infinity a list is served however old it is', async () => {
	const { catalog } = await makeFilledCatalog([lists('old'), exits], { staleMs: Number.POSITIVE_INFINITY });
	setAge(1e12);
	expect(idsOf(await catalog.list())).toEqual(['old']);
});

test('a clock that was set back makes a list stale, not fresh for as long', async () => {
	const { catalog, server, events } = await makeFilledCatalog([lists('old'), lists('new')]);
	setAge(-1);
	expect(catalog.peek()?.isFresh).toBe(false);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: start - 1 });
	expect(server.starts).toBe(2);
});

test('a clock that was set back does not prolong a cooldown', async () => {
	const { catalog, events } = await makeFilledCatalog([lists('old'), exits, lists('new')]);
	setAge(freshMs);
	await catalog.list();
	await events.nth('failed');
	setAge(-neverMs);
	await catalog.list();
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

// Nothing to serve

test('fifty who call at once share one fetch', async () => {
	const { catalog, server, events } = makeScriptedCatalog([gatedLists('open', 'a')]);
	const calls = Array.from({ length: 50 }, (_, index) => catalog.list({ includeHidden: index % 2 === 0 }));
	await server.untilAsked('model/list');
	calls.push(catalog.list(), catalog.list({ refresh: true }));
	server.open('open');
	for (const models of await Promise.all(calls)) expect(idsOf(models)).toEqual(['a']);
	expect(server.starts).toBe(1);
	expect(server.requests('model/list')).toHaveLength(1);
	expect(events.count('waited')).toBe(52);
});

test('all who wait share its failure, and the next call tries anew', async () => {
	const { catalog, server } = makeScriptedCatalog([
		['exits', { at: 'model/list', code: 4, gates: { 'model/list': 'open' } }],
		lists('a'),
	]);
	const failures = Array.from({ length: 10 }, () => failureOf(catalog.list()));
	await server.untilAsked('model/list');
	server.open('open');
	for (const error of await Promise.all(failures)) expect(error).toMatchObject({ exitCode: 4 });
	expect(server.starts).toBe(1);
	expect(catalog.peek()).toBeUndefined();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(2);
});

test('with nothing to serve an empty answer is returned and not remembered', async () => {
	const { catalog, server } = makeScriptedCatalog([lists(), lists('a')]);
	expect(await catalog.list()).toEqual([]);
	expect(catalog.peek()).toBeUndefined();
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(2);
});

test('an answer of which no entry is a model is an empty one', async () => {
	const { catalog, server } = makeScriptedCatalog([['answers', { models: [{}, null, 7] }], lists('a')]);
	expect(await catalog.list()).toEqual([]);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(2);
});

test('lists are apart by cwd and by CODEX_HOME', async () => {
	const [one, two] = [makeDirectory(), makeDirectory()];
	const { catalog, server } = makeScriptedCatalog(
		[lists('first'), lists('second'), lists('third'), lists('fourth')],
		{ cwd: one },
	);
	const places = [{}, { cwd: two }, { codexHome: one }, { cwd: two, codexHome: two }];
	const ids: string[][] = [];
	for (const place of places) ids.push(idsOf(await catalog.list(place)));
	expect(ids).toEqual([['first'], ['second'], ['third'], ['fourth']]);
	for (const [index, place] of places.entries()) {
		expect(idsOf(await catalog.list(place))).toEqual(ids[index]);
		expect(idsOf(catalog.peek(place)?.models ?? [])).toEqual(ids[index]);
	}
	expect(idsOf(await catalog.list({ cwd: one }))).toEqual(['first']);
	expect(server.starts).toBe(4);
	expect(server.find('start').map(({ cwd, env }) => [cwd, env.CODEX_HOME])).toEqual([
		[one, process.env.CODEX_HOME],
		[two, process.env.CODEX_HOME],
		[one, one],
		[two, two],
	]);
});

test("a list belongs to the host's CODEX_HOME of the moment", async () => {
	const { catalog } = makeScriptedCatalog([lists('first'), lists('second')]);
	vi.stubEnv('CODEX_HOME', '/first');
	expect(idsOf(await catalog.list())).toEqual(['first']);
	vi.stubEnv('CODEX_HOME', '/second');
	expect(catalog.peek()).toBeUndefined();
	expect(idsOf(await catalog.list())).toEqual(['second']);
	vi.stubEnv('CODEX_HOME', '/first');
	expect(idsOf(await catalog.list())).toEqual(['first']);
});

test('two catalogs know nothing of each other', async () => {
	const { command, args, ...server } = script(lists('first'), lists('second'));
	await using one = new CodexModelCatalog({ command, args });
	await using two = new CodexModelCatalog({ command, args });
	expect(idsOf(await one.list())).toEqual(['first']);
	expect(two.peek()).toBeUndefined();
	expect(idsOf(await two.list())).toEqual(['second']);
	expect(server.find('start')).toHaveLength(2);
});

test('of more lists than maxEntries the one that nobody has asked for longest is forgotten', async () => {
	const [one, two, three] = [makeDirectory(), makeDirectory(), makeDirectory()];
	const { catalog, server } = makeScriptedCatalog([lists('a')], { maxEntries: 2 });
	await catalog.list({ cwd: one });
	await catalog.list({ cwd: two });
	await catalog.list({ cwd: one });
	await catalog.list({ cwd: three });
	const isKnown = (cwd: string) => catalog.peek({ cwd }) !== undefined;
	expect([one, two, three].map(isKnown)).toEqual([true, false, true]);
	expect(server.starts).toBe(3);
	for (const cwd of [one, two, three, one, two, three]) {
		await catalog.list({ cwd });
		expect([one, two, three].filter(isKnown)).toHaveLength(2);
	}
});

test('with a maxEntries of 1 the last list is remembered', async () => {
	const [one, two] = [makeDirectory(), makeDirectory()];
	const { catalog } = makeScriptedCatalog([lists('a')], { maxEntries: 1 });
	for (const cwd of [one, two, one]) {
		await catalog.list({ cwd });
		expect([one, two].filter((other) => catalog.peek({ cwd: other }))).toEqual([cwd]);
	}
});

// Failures and what there is

test('a failed refresh takes no list away, and the next one waits for cooldownMs', async () => {
	const made = await makeFilledCatalog([lists('old'), exits, lists('elsewhere'), lists('new')]);
	const { catalog, server, events } = made;
	setAge(freshMs);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('failed');
	setAge(freshMs + cooldownMs - 1);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(idsOf(await catalog.list({ includeHidden: true }))).toEqual(['old']);
	expect(await countSpawns(made)).toBe(2);
	expect(catalog.peek()).toMatchObject({ isFresh: false, fetchedAt: start });
	setAge(freshMs + cooldownMs);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed', 3);
	expect(server.starts).toBe(4);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('with a cooldownMs of 0 the next call starts the next refresh', async () => {
	const { catalog, events } = await makeFilledCatalog([lists('old'), exits, lists('new')], { cooldownMs: 0 });
	setAge(freshMs);
	await catalog.list();
	await events.nth('failed');
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('an empty answer takes no list away, and counts as a failed refresh', async () => {
	const made = await makeFilledCatalog([lists('old'), lists(), lists('elsewhere'), lists('new')]);
	const { catalog, events } = made;
	setAge(freshMs);
	await catalog.list();
	await events.nth('refreshed', 2);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(await countSpawns(made)).toBe(2);
	setAge(freshMs + cooldownMs);
	await catalog.list();
	await events.nth('refreshed', 4);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('a failed refresh leaves the list until staleMs, and no longer', async () => {
	const { catalog, events } = await makeFilledCatalog([lists('old'), exits]);
	setAge(staleMs - 1);
	await catalog.list();
	await events.nth('failed');
	expect(idsOf(await catalog.list())).toEqual(['old']);
	setAge(staleMs);
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_EXITED' });
});

test('a cooldown is over for a caller who has nothing else', async () => {
	const { catalog, events } = await makeFilledCatalog([lists('old'), exits, lists('new')]);
	setAge(staleMs - 1);
	await catalog.list();
	await events.nth('failed');
	setAge(staleMs);
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('the cooldown of one list is not that of another', async () => {
	const other = makeDirectory();
	const { catalog, server, events } = await makeFilledCatalog([lists('a'), lists('b'), exits, lists('new')]);
	await catalog.list({ cwd: other });
	setAge(freshMs);
	await catalog.list();
	await events.nth('failed');
	await catalog.list({ cwd: other });
	await events.nth('refreshed', 3);
	expect(idsOf(await catalog.list({ cwd: other }))).toEqual(['new']);
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(4);
});

// refresh

test('refresh asks Codex although the list is fresh, and renews it', async () => {
	const { catalog, server } = await makeFilledCatalog([lists('old'), lists('new')]);
	setAge(1_000);
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['new']);
	expect(server.starts).toBe(2);
	expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: start + 1_000 });
	expect(idsOf(await catalog.list({ refresh: false }))).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('refresh rejects when the fetch fails, and takes no list away', async () => {
	const { catalog } = await makeFilledCatalog([lists('old'), exits]);
	expect(await failureOf(catalog.list({ refresh: true }))).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(idsOf(await catalog.list())).toEqual(['old']);
	expect(catalog.peek()?.isFresh).toBe(true);
});

test('refresh joins a fetch under way, one behind a served list, too', async () => {
	const { catalog, server } = await makeFilledCatalog([lists('old'), gatedLists('open', 'new')]);
	setAge(freshMs);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	await server.untilAsked('model/list', 2);
	const refreshes = [catalog.list({ refresh: true }), catalog.list({ refresh: true, includeHidden: true })];
	expect(idsOf(await catalog.list())).toEqual(['old']);
	server.open('open');
	for (const models of await Promise.all(refreshes)) expect(idsOf(models)).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('while a refresh is waited for, others are served what there is', async () => {
	const { catalog, server } = await makeFilledCatalog([lists('old'), gatedLists('open', 'new')]);
	const refresh = catalog.list({ refresh: true });
	await server.untilAsked('model/list', 2);
	expect(idsOf(await catalog.list())).toEqual(['old']);
	server.open('open');
	await refresh;
	expect(idsOf(await catalog.list())).toEqual(['new']);
});

test('refresh does not wait for a cooldown', async () => {
	const { catalog, events } = await makeFilledCatalog([lists('old'), exits, lists('new')]);
	setAge(freshMs);
	await catalog.list();
	await events.nth('failed');
	expect(idsOf(await catalog.list({ refresh: true }))).toEqual(['new']);
});

// Copies

test('every caller has a copy of its own, and may change all of it', async () => {
	const wire = {
		id: 'a',
		supportedReasoningEfforts: [{ reasoningEffort: 'low', description: 'l' }],
		serviceTiers: [{ id: 'fast', name: 'Fast', description: 'f' }],
		inputModalities: ['text'],
	};
	const { catalog } = makeScriptedCatalog([['answers', { models: [wire, { id: 'b' }] }]]);
	const expected = [
		{
			...plainModel('a'),
			reasoningEfforts: [{ effort: 'low', description: 'l' }],
			serviceTiers: [{ id: 'fast', name: 'Fast', description: 'f' }],
			inputModalities: ['text'],
		},
		plainModel('b'),
	];
	const spoil = (models: typeof expected) => {
		for (const model of models) {
			for (const list of [model.reasoningEfforts, model.serviceTiers]) {
				for (const item of list)
					for (const key of Object.keys(item)) Object.assign(item, { [key]: 'spoilt' });
				list.push({} as never);
			}
			model.inputModalities.length = 0;
			for (const key of Object.keys(model)) Object.assign(model, { [key]: 'spoilt' });
		}
		models.reverse().pop();
	};
	const [first, second] = await Promise.all([catalog.list(), catalog.list()]);
	spoil(first as typeof expected);
	expect(second).toEqual(expected);
	const third = await catalog.list();
	expect(third).toEqual(expected);
	spoil(third as typeof expected);
	const snapshot = catalog.peek();
	expect(snapshot?.models).toEqual(expected);
	spoil(snapshot?.models as typeof expected);
	expect(await catalog.list({ includeHidden: true })).toEqual(expected);
	expect(catalog.peek()?.models).toEqual(expected);
});

// Callers who leave

test('a deadline ends the wait of its caller alone; the fetch goes on and fills the cache', async () => {
	const { catalog, server, events } = makeScriptedCatalog([gatedLists('open', 'a')]);
	const patient = catalog.list();
	await server.untilAsked('model/list');
	const error = await failureOf(catalog.list({ deadlineMs: 20 }));
	expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 20, phase: 'model/list' });
	expect(events.ofType('timed-out')).toMatchObject([{ timeoutMs: 20, phase: 'model/list' }]);
	expect(server.pids.every(isAlive)).toBe(true);
	server.open('open');
	expect(idsOf(await patient)).toEqual(['a']);
	expect(idsOf(await catalog.list({ deadlineMs: 0 }))).toEqual(['a']);
	expect(server.starts).toBe(1);
});

test('a fetch that every caller has left goes on and fills the cache', async () => {
	const { catalog, server, events } = makeScriptedCatalog([gatedLists('open', 'a')], { deadlineMs: 20 });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 20 });
	await server.untilAsked('model/list');
	server.open('open');
	await events.nth('refreshed');
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(1);
	expect(server.find('SIGTERM')).toEqual([]);
});

test("a call's deadline comes before the catalog's, in both directions", async () => {
	const { catalog, server } = makeScriptedCatalog([gatedLists('open', 'a')], { deadlineMs: 20 });
	const patient = catalog.list({ deadlineMs: Number.POSITIVE_INFINITY });
	expect(await failureOf(catalog.list())).toMatchObject({ timeoutMs: 20 });
	expect(await failureOf(catalog.list({ deadlineMs: 0 }))).toMatchObject({ timeoutMs: 0 });
	await server.untilAsked('model/list');
	server.open('open');
	expect(idsOf(await patient)).toEqual(['a']);
});

test.each([
	['an Error', new Error('the user left')],
	['a string', 'the user left'],
	['a number', 0],
	['null', null],
	['nothing', undefined],
])(
	'an abort rejects with the reason of the signal, and ends the wait of its caller alone: %s',
	async (_, reason) => {
		const { catalog, server } = makeScriptedCatalog([gatedLists('open', 'a')]);
		const controller = new AbortController();
		const patient = catalog.list();
		const leaving = Promise.allSettled([catalog.list({ signal: controller.signal })]);
		await server.untilAsked('model/list');
		controller.abort(reason);
		const [left] = await leaving;
		expect(left).toEqual({ status: 'rejected', reason: controller.signal.reason });
		expect((left as PromiseRejectedResult).reason).toBe(controller.signal.reason);
		server.open('open');
		expect(idsOf(await patient)).toEqual(['a']);
		expect(server.starts).toBe(1);
	},
);

test('the only caller may leave: the fetch goes on and fills the cache', async () => {
	const { catalog, server, events } = makeScriptedCatalog([gatedLists('open', 'a')]);
	const controller = new AbortController();
	const leaving = failureOf(catalog.list({ signal: controller.signal }));
	await server.untilAsked('model/list');
	controller.abort();
	expect(await leaving).toMatchObject({ name: 'AbortError' });
	server.open('open');
	await events.nth('refreshed');
	expect(idsOf(await catalog.list())).toEqual(['a']);
	expect(server.starts).toBe(1);
	expect(server.find('SIGTERM')).toEqual([]);
});

test('a signal that is already aborted starts nothing, and gets nothing from the cache', async () => {
	const reason = new Error('too late');
	const signal = AbortSignal.abort(reason);
	const made = makeScriptedCatalog([lists('a')]);
	const { catalog } = made;
	expect(await failureOf(catalog.list({ signal }))).toBe(reason);
	expect(await failureOf(catalog.list({ signal, refresh: true }))).toBe(reason);
	expect(await countSpawns(made)).toBe(0);
	await catalog.list();
	expect(await failureOf(catalog.list({ signal }))).toBe(reason);
});

test('a signal that aborts after the answer changes nothing, and no listener is left on it', async () => {
	const controller = new AbortController();
	const added = vi.spyOn(controller.signal, 'addEventListener');
	const removed = vi.spyOn(controller.signal, 'removeEventListener');
	const { catalog } = makeScriptedCatalog([lists('a'), exits]);
	const models = await catalog.list({ signal: controller.signal });
	await failureOf(catalog.list({ signal: controller.signal, refresh: true }));
	expect(added).toHaveBeenCalledTimes(2);
	for (const [index, [type, listener]] of added.mock.calls.entries()) {
		expect(removed.mock.calls[index]?.slice(0, 2)).toEqual([type, listener]);
	}
	controller.abort();
	expect(idsOf(models)).toEqual(['a']);
});

// clear

test('clear forgets every list', async () => {
	const other = makeDirectory();
	const { catalog, server } = makeScriptedCatalog([lists('a'), lists('b'), lists('c')]);
	await catalog.list({ cwd: other });
	await catalog.list();
	// Also the one that was served from memory just now.
	expect(idsOf(await catalog.list())).toEqual(['b']);
	catalog.clear();
	expect(catalog.peek()).toBeUndefined();
	expect(catalog.peek({ cwd: other })).toBeUndefined();
	expect(idsOf(await catalog.list())).toEqual(['c']);
	expect(server.starts).toBe(3);
});

test('a fetch under way at a clear answers those who wait, and is not remembered', async () => {
	const { catalog, server } = makeScriptedCatalog([gatedLists('open', 'old'), lists('new')]);
	const list = catalog.list();
	await server.untilAsked('model/list');
	catalog.clear();
	server.open('open');
	expect(idsOf(await list)).toEqual(['old']);
	expect(catalog.peek()).toBeUndefined();
	expect(idsOf(await catalog.list())).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('who calls after a clear does not join the fetch from before it', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		gatedLists('open', 'old'),
		gatedLists('open-later', 'new'),
	]);
	const before = catalog.list();
	await server.untilAsked('model/list');
	catalog.clear();
	const after = [catalog.list(), catalog.list()];
	server.open('open');
	expect(idsOf(await before)).toEqual(['old']);
	await events.nth('refreshed');
	expect(catalog.peek()).toBeUndefined();
	await server.untilAsked('model/list', 2);
	server.open('open-later');
	for (const models of await Promise.all(after)) expect(idsOf(models)).toEqual(['new']);
	expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['new']);
	expect(server.starts).toBe(2);
});

test('a fetch from before a clear that fails takes nothing from the one after it', async () => {
	const { catalog, server } = makeScriptedCatalog([
		['exits', { at: 'model/list', code: 1, gates: { 'model/list': 'open' } }],
		lists('new'),
	]);
	const before = failureOf(catalog.list());
	await server.untilAsked('model/list');
	catalog.clear();
	const after = catalog.list();
	server.open('open');
	expect(await before).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(idsOf(await after)).toEqual(['new']);
	expect(idsOf(catalog.peek()?.models ?? [])).toEqual(['new']);
});

// close

test('after close every call rejects, also one that memory could serve, and peek knows nothing', async () => {
	const { catalog, server } = makeScriptedCatalog([lists('a')]);
	await catalog.list();
	await catalog.close();
	for (const options of [undefined, { refresh: true }, { includeHidden: true }]) {
		expect(await failureOf(catalog.list(options))).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	}
	expect(catalog.peek()).toBeUndefined();
	catalog.clear();
	expect(server.starts).toBe(1);
});

test('close rejects all who wait, at once, and resolves when the app-server is gone', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		['hangs', { at: 'model/list', ignores: ['end', 'SIGTERM'] }],
	]);
	const failures = [failureOf(catalog.list()), failureOf(catalog.list({ refresh: true }))];
	await server.untilAsked('model/list');
	const closing = catalog.close();
	const afterClose = failureOf(catalog.list());
	for (const error of await Promise.all([...failures, afterClose])) {
		expect(error).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	}
	expect(server.pids.filter(isAlive)).toHaveLength(1);
	await closing;
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(events.ofType('exited')).toMatchObject([{ signal: 'SIGKILL' }]);
});

test('close may come before anything has happened, and in the same moment as the first call', async () => {
	const idle = makeScriptedCatalog([lists('a')]);
	await idle.catalog.close();
	const busy = makeScriptedCatalog([lists('a')]);
	const failure = failureOf(busy.catalog.list());
	await busy.catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(idle.server.starts).toBe(0);
	expect(busy.server.pids.filter(isAlive)).toEqual([]);
});

test('close ends an app-server that has answered and takes its time to end', async () => {
	const { catalog, server, events } = makeScriptedCatalog([
		['answers', { models: [{ id: 'a' }], ignores: ['end', 'SIGTERM'] }],
	]);
	await catalog.list();
	await server.untilLogged('end of input');
	await catalog.close();
	expect(server.pids.filter(isAlive)).toEqual([]);
	const [end] = server.find('end of input');
	const [exit] = events.ofType('exited');
	// It would have 7 s, had nobody closed.
	expect((exit?.at ?? 0) - (end?.at ?? 0)).toBeLessThan(6_000);
});

test('close ends the refresh behind a served list, and the fetches of every list', async () => {
	const other = makeDirectory();
	const { catalog, server, events } = await makeFilledCatalog([lists('a'), ['hangs', { at: 'model/list' }]]);
	setAge(freshMs);
	await catalog.list();
	const failure = failureOf(catalog.list({ cwd: other }));
	await server.untilAsked('model/list', 3);
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(server.starts).toBe(3);
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(events.ofType('failed').map(({ error }) => error.code)).toEqual([
		'ERR_CODEX_CLOSED',
		'ERR_CODEX_CLOSED',
	]);
});

test('close may be called twice, also while it is under way', async () => {
	const { catalog, server } = makeScriptedCatalog([['hangs', { at: 'initialize', ignores: ['end'] }]]);
	const failure = failureOf(catalog.list());
	await server.untilAsked('initialize');
	await Promise.all([catalog.close(), catalog.close()]);
	expect(server.pids.filter(isAlive)).toEqual([]);
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(server.starts).toBe(1);
});

test('await using closes the catalog', async () => {
	const server = script(['answers', { models: [{ id: 'a' }], ignores: ['end'] }]);
	let outer: CodexModelCatalog;
	{
		await using catalog = new CodexModelCatalog({ command: server.command, args: server.args });
		expect(idsOf(await catalog.list())).toEqual(['a']);
		outer = catalog;
	}
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(await failureOf(outer.list())).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
});
