import { expect, test, vi } from 'vitest';
import { afterTest, failureOf, idsOf, makeDirectory, type Step, script } from '../harness.js';
import { startHost } from '../host.js';

/** The drop-in as it is after a start of the host, with a `codex` of ours on PATH. */
async function importDropIn(...steps: Step[]) {
	const server = script(...steps);
	vi.stubEnv('PATH', server.installAsCodex());
	vi.resetModules();
	const dropIn = await import('../../src/index.js');
	afterTest(() => dropIn.codexModels.close());
	return { ...dropIn, server };
}

const wire = [
	{
		id: ' gpt-a ',
		model: 'gpt-a-model',
		displayName: ' GPT A ',
		description: 'A model',
		isDefault: true,
		supportedReasoningEfforts: [{ reasoningEffort: 'low' }, { reasoningEffort: 'high' }],
		defaultReasoningEffort: 'low',
		serviceTiers: [{ id: 'priority', name: 'Fast' }],
		defaultServiceTier: 'priority',
	},
	{ model: 'gpt-b', hidden: true, isDefault: 'yes' },
	{ displayName: 'nameless' },
];
const summaryA = {
	id: 'gpt-a',
	displayName: 'GPT A',
	isDefault: true,
	defaultReasoningEffort: 'low',
	defaultServiceTier: 'priority',
	supportedReasoningEfforts: ['low', 'high'],
	serviceTiers: ['priority', 'fast'],
};
const summaryB = {
	id: 'gpt-b',
	displayName: 'gpt-b',
	isDefault: false,
	defaultReasoningEffort: null,
	defaultServiceTier: null,
	supportedReasoningEfforts: undefined,
	serviceTiers: undefined,
};

test('the module exports six values, and importing it starts nothing and adds no listener', async () => {
	const events = process.eventNames();
	const { server, ...names } = await importDropIn(['answers']);
	await new Promise((resolve) => setImmediate(resolve));
	expect(process.eventNames()).toEqual(events);
	expect(Object.keys(names).sort()).toEqual([
		'CodexModelCatalog',
		'CodexModelsError',
		'codexModels',
		'listCodexModels',
		'toCodexModel',
		'toSummary',
	]);
	expect(names.codexModels).toBeInstanceOf(names.CodexModelCatalog);
	expect(server.starts).toBe(0);
});

test('listCodexModels lists the summaries of the models that a picker shows, or with the hidden ones', async () => {
	const { listCodexModels, server } = await importDropIn(['answers', { models: wire }]);
	for (const visible of [undefined, false, {}, { includeHidden: false }])
		expect(await listCodexModels(visible)).toStrictEqual([summaryA]);
	for (const all of [true, { includeHidden: true }])
		expect(await listCodexModels(all)).toStrictEqual([summaryA, summaryB]);
	expect(server.starts).toBe(1);
	expect(server.find('start')[0]?.argv.slice(-3)).toEqual([
		'app-server',
		'-c',
		'features.plugins=false',
	]);
});

test('the array and all in it belong to the caller', async () => {
	const { listCodexModels } = await importDropIn(['answers', { models: wire }]);
	const [first, second] = await Promise.all([listCodexModels(true), listCodexModels(true)]);
	for (const list of [first, await listCodexModels(true)]) {
		for (const summary of list) {
			summary.supportedReasoningEfforts?.reverse().push('changed');
			summary.serviceTiers?.splice(0);
			Object.assign(summary, { id: 'changed', isDefault: false });
		}
		list.reverse().pop();
	}
	expect(second).toStrictEqual([summaryA, summaryB]);
	expect(await listCodexModels(true)).toStrictEqual([summaryA, summaryB]);
});

test('listCodexModels is the list of the catalog that the module exports, as summaries', async () => {
	const { codexModels, listCodexModels, toSummary, server } = await importDropIn([
		'answers',
		{ models: wire },
	]);
	const models = await codexModels.list({ includeHidden: true });
	expect(await listCodexModels(true)).toStrictEqual(models.map(toSummary));
	expect(server.starts).toBe(1);
	codexModels.clear();
	await listCodexModels();
	expect(server.starts).toBe(2);
});

test('listCodexModels takes a deadline, a signal, a refresh, a cwd and a CODEX_HOME', async () => {
	const codexHome = makeDirectory();
	const { listCodexModels, server } = await importDropIn(
		['answers', { models: [{ id: 'first' }] }],
		['answers', { models: [{ id: 'second' }] }],
		['answers', { models: [{ id: 'third' }] }],
		['answers', { models: [{ id: 'fourth' }], gates: { 'model/list': 'open' } }],
	);
	expect(idsOf(await listCodexModels({ deadlineMs: 20_000 }))).toEqual(['first']);
	expect(idsOf(await listCodexModels({ refresh: true }))).toEqual(['second']);
	expect(idsOf(await listCodexModels({ codexHome, cwd: codexHome }))).toEqual(['third']);
	expect(server.find('start')[2]).toMatchObject({ cwd: codexHome, env: { CODEX_HOME: codexHome } });
	const error = await failureOf(listCodexModels({ refresh: true, deadlineMs: 10 }));
	expect(error).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 10 });
	const reason = new Error('the user left');
	expect(await failureOf(listCodexModels({ signal: AbortSignal.abort(reason) }))).toBe(reason);
	server.open('open');
	expect(idsOf(await listCodexModels({ refresh: true }))).toEqual(['fourth']);
});

test('NODE_DEBUG=codex-models writes each event to stderr, also for the drop-in, and nothing to stdout', async () => {
	const PATH = script(['answers', { models: wire }]).installAsCodex();
	const { exitCode, told, stderr } = await startHost(
		'await listCodexModels(); await listCodexModels();',
		{ env: { PATH, NODE_DEBUG: 'codex-models' } },
	).done;
	const events = [...stderr.matchAll(/^CODEX-MODELS \d+: (.*)$/gm)].map(([, json = '']) =>
		JSON.parse(json),
	);
	// The end of the app-server may come before or after the list.
	const types = events.map(({ type }) => type).filter((type) => type !== 'exited');
	expect(types).toEqual(['spawned', 'refreshed', 'miss', 'hit']);
	expect([exitCode, told]).toEqual([0, []]);
});
