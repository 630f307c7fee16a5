import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toSummary } from '../../src/api/codex-model.js';
import { parseConfiguredModel, parseModels } from '../../src/api/parse-models.js';
import { plainModel } from '../harness.js';

/** As 0.169.0 sends them. */
const wireEntry = {
	id: 'gpt-a',
	model: 'gpt-a-model',
	upgrade: 'gpt-b',
	upgradeInfo: { model: 'gpt-b' },
	availabilityNux: null,
	displayName: 'GPT-A',
	description: 'A model.',
	hidden: true,
	supportedReasoningEfforts: [
		{ reasoningEffort: 'low', description: 'Fast' },
		{ reasoningEffort: 'ultra', description: 'Long' },
	],
	defaultReasoningEffort: 'low',
	inputModalities: ['text', 'image'],
	supportsPersonality: true,
	additionalSpeedTiers: ['fast'],
	serviceTiers: [{ id: 'priority', name: 'Fast', description: 'Faster' }],
	defaultServiceTier: 'priority',
	isDefault: true,
};

const parse = (entry: unknown) => parseModels([entry])[0];
const summarize = (entry: unknown) => {
	const model = parse(entry);
	return model && toSummary(model);
};

test('an entry of 0.169.0 is read as a whole', () => {
	expect(parse(wireEntry)).toEqual({
		id: 'gpt-a',
		model: 'gpt-a-model',
		displayName: 'GPT-A',
		description: 'A model.',
		hidden: true,
		isDefault: true,
		upgrade: 'gpt-b',
		supportedReasoningEfforts: [
			{ effort: 'low', description: 'Fast' },
			{ effort: 'ultra', description: 'Long' },
		],
		defaultReasoningEffort: 'low',
		serviceTiers: [{ id: 'priority', name: 'Fast', description: 'Faster' }],
		defaultServiceTier: 'priority',
		inputModalities: ['text', 'image'],
	});
});

test('an entry may have nothing but an id', () => {
	expect(parse({ id: 'a' })).toEqual(plainModel('a'));
});

test('the order is that of the entries, and an id may come twice', () => {
	expect(parseModels([{ id: 'b' }, { id: 'a' }, { id: 'b' }]).map(({ id }) => id)).toEqual([
		'b',
		'a',
		'b',
	]);
});

test('the id is the id, trimmed, or else the model, trimmed', () => {
	expect(summarize({ id: ' a ', model: 'b' })?.id).toBe('a');
	for (const id of [undefined, null, '', ' \n', 7, {}])
		expect(summarize({ id, model: ' b ' })?.id).toBe('b');
});

test('an entry without an id and a model, or that is no object, is left out', () => {
	const entries = [{}, { id: ' ', model: '' }, { id: 1, model: 2 }, null, 'a', 7, [], ['a'], true];
	expect(parseModels([...entries, { id: 'a' }])).toEqual([plainModel('a')]);
});

test('the display name is trimmed, or else the id', () => {
	expect(summarize({ id: 'a', displayName: ' A  B ' })?.displayName).toBe('A  B');
	for (const displayName of [undefined, null, '', '  ', 7, {}, []]) {
		expect(summarize({ id: ' a ', displayName })?.displayName).toBe('a');
	}
});

test('a model is the default only where isDefault is exactly true, and hidden likewise', () => {
	expect(parse({ id: 'a', isDefault: true, hidden: true })).toMatchObject({
		isDefault: true,
		hidden: true,
	});
	for (const value of [undefined, null, false, 'true', 1, {}]) {
		expect(parse({ id: 'a', isDefault: value, hidden: value })).toMatchObject({
			isDefault: false,
			hidden: false,
		});
	}
});

test('the default effort and tier are trimmed strings, or else null', () => {
	expect(
		summarize({ id: 'a', defaultReasoningEffort: ' low ', defaultServiceTier: ' fast ' }),
	).toMatchObject({
		defaultReasoningEffort: 'low',
		defaultServiceTier: 'fast',
	});
	for (const value of [undefined, null, '', ' ', 7, {}, ['low']]) {
		expect(
			summarize({ id: 'a', defaultReasoningEffort: value, defaultServiceTier: value }),
		).toMatchObject({
			defaultReasoningEffort: null,
			defaultServiceTier: null,
		});
	}
});

test('efforts are those of each entry that has one, trimmed, in order', () => {
	const supportedReasoningEfforts = [
		{ reasoningEffort: ' high ' },
		{ reasoningEffort: '' },
		{ reasoningEffort: 3 },
		'low',
		null,
		{},
		{ reasoningEffort: 'never-heard-of' },
		{ reasoningEffort: 'high' },
	];
	expect(summarize({ id: 'a', supportedReasoningEfforts })?.supportedReasoningEfforts).toEqual([
		'high',
		'never-heard-of',
		'high',
	]);
});

test('efforts are undefined where none has one', () => {
	for (const supportedReasoningEfforts of [
		undefined,
		null,
		[],
		[{}],
		[{ reasoningEffort: ' ' }],
		'low',
		{ 0: 'low' },
	]) {
		const summary = summarize({ id: 'a', supportedReasoningEfforts });
		expect(summary?.supportedReasoningEfforts).toBeUndefined();
	}
});

test("service tiers are search tokens: each one's id and name, trimmed, in lower case, each once, in order", () => {
	const tiers = (serviceTiers: unknown) => summarize({ id: 'a', serviceTiers })?.serviceTiers;
	expect(tiers([{ id: 'priority', name: 'Fast' }])).toEqual(['priority', 'fast']);
	expect(
		tiers([
			{ id: ' Flex ', name: 'flex' },
			{ id: 'PRIORITY', name: ' Fast ' },
			{ id: 'fast', name: null },
			{ id: 'new-tier' },
			{ name: 'Nameless Id' },
			{ id: '' },
			{},
			null,
			'text',
		]),
	).toEqual(['flex', 'priority', 'fast', 'new-tier', 'nameless id']);
});

test('service tiers are undefined where there is none', () => {
	for (const serviceTiers of [undefined, null, [], [{}], [{ id: ' ', name: '' }], 'fast', {}]) {
		expect(summarize({ id: 'a', serviceTiers })?.serviceTiers).toBeUndefined();
	}
});

test('input modalities are the strings, and none where the release does not say', () => {
	expect(
		parse({ id: 'a', inputModalities: [' text ', 7, null, 'smell', ''] })?.inputModalities,
	).toEqual(['text', 'smell']);
	for (const inputModalities of [undefined, null, 'text', {}]) {
		expect(parse({ id: 'a', inputModalities })?.inputModalities).toEqual([]);
	}
});

test('no entry fails the list or takes another one away, whatever it holds', () => {
	const json = fc.jsonValue({ maxDepth: 4 });
	const property = fc.constantFrom(...Object.keys(wireEntry));
	fc.assert(
		fc.property(fc.array(fc.oneof(json, fc.dictionary(property, json))), (entries) => {
			const models = parseModels([...entries, wireEntry]);
			expect(models.at(-1)).toEqual(parse(wireEntry));
			for (const model of models) {
				expect(model.id).toBe(model.id.trim());
				expect(model.id).not.toBe('');
				expect(() => toSummary(model)).not.toThrow();
			}
		}),
	);
});

test('the configured model is three values of the configuration, trimmed, and nothing else of it', () => {
	const config = {
		model: ' m ',
		model_provider: 'p',
		model_reasoning_effort: 'high',
		api_key: 'secret',
	};
	expect(parseConfiguredModel({ config })).toEqual({
		model: 'm',
		modelProvider: 'p',
		reasoningEffort: 'high',
	});
	const none = { model: null, modelProvider: null, reasoningEffort: null };
	for (const result of [
		undefined,
		null,
		7,
		'config',
		[],
		{},
		{ config: null },
		{ config: [] },
		{ config: { model: 7 } },
	]) {
		expect(parseConfiguredModel(result)).toEqual(none);
	}
});
