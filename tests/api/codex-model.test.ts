import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CodexModel, toCodexModel, toSummary } from '../../src/index.js';
import { plainModel } from '../harness.js';

const { id: _, model: _model, displayName: _name, ...missing } = plainModel('a');

/** As 0.169.0 sends them. */
const wireEntry = {
	id: 'gpt-a',
	model: 'gpt-a-model',
	displayName: 'GPT-A',
	description: 'A model. ',
	supportedReasoningEfforts: [
		{ reasoningEffort: 'low', description: 'Fast' },
		{ reasoningEffort: 'never-heard-of', description: 'Long' },
	],
	defaultReasoningEffort: 'low',
	isDefault: true,
	supportsPersonality: true,
	upgrade: 'gpt-b',
	inputModalities: ['text', 'image'],
	hidden: true,
	upgradeInfo: {
		model: 'gpt-b',
		upgradeCopy: 'New',
		modelLink: null,
		migrationMarkdown: '# New',
		retirementAt: 1_800_000_000,
	},
	availabilityNux: { message: 'New here.' },
	additionalSpeedTiers: ['fast'],
	serviceTiers: [{ id: 'priority', name: 'Fast', description: 'Faster' }],
	defaultServiceTier: 'priority',
	modelSpecialty: 'code',
	multiAgentVersion: '2',
	availableAccessPrograms: [{ name: 'beta', since: 1 }],
};

/** The last property that each release added, in the order above. */
const releases = [
	['0.66.0', 'isDefault'],
	['0.92.0', 'supportsPersonality'],
	['0.98.0', 'inputModalities'],
	['0.105.0', 'hidden'],
	['0.115.0', 'availabilityNux'],
	['0.125.0', 'additionalSpeedTiers'],
	['0.136.0', 'defaultServiceTier'],
	['0.155.0', 'multiAgentVersion'],
	['0.169.0', 'availableAccessPrograms'],
] as const;

const isDeepFrozen = (value: unknown): boolean =>
	typeof value !== 'object' ||
	value === null ||
	(Object.isFrozen(value) && Object.values(value).every(isDeepFrozen));

test.each(releases)(
	'an entry of %s is read in its own names, and what it lacks is filled in',
	(_, last) => {
		const properties = Object.entries(wireEntry);
		const count = properties.findIndex(([name]) => name === last) + 1;
		const entry = Object.fromEntries(properties.slice(0, count));
		expect(toCodexModel(entry)).toStrictEqual({ ...missing, ...entry });
	},
);

test('an entry may have nothing but an id, or nothing but a model', () => {
	expect(toCodexModel({ id: ' a ' })).toStrictEqual(plainModel('a'));
	for (const id of [undefined, null, '', ' \n', 7, {}])
		expect(toCodexModel({ id, model: ' b ' })).toStrictEqual(plainModel('b'));
	expect(toCodexModel({ id: ' a ', model: 'b' })).toMatchObject({ id: 'a', model: 'b' });
});

test('an entry without an id and a model, or that is no object, is none', () => {
	for (const entry of [{}, { id: ' ', model: '' }, { id: 1, model: 2 }, null, 'a', 7, ['a'], true])
		expect(toCodexModel(entry)).toBeUndefined();
});

test('a known property of a wrong type counts as missing', () => {
	const wrong = [7, true, {}, [7], [{}], [{ reasoningEffort: ' ', id: '' }], () => {}];
	for (const name of Object.keys(missing)) {
		const values = /^(?:hidden|isDefault)$/.test(name) ? [1, 'true', {}] : wrong;
		for (const value of [undefined, null, ...values])
			expect([name, toCodexModel({ id: 'a', [name]: value })]).toEqual([name, plainModel('a')]);
	}
	expect(toCodexModel({ id: 'a', displayName: 7, availabilityNux: { message: 7 } })).toEqual(
		plainModel('a'),
	);
	expect(toCodexModel({ id: 'a', upgradeInfo: { model: 'b', retirementAt: '7' } })).toMatchObject({
		upgradeInfo: { model: 'b', upgradeCopy: null, modelLink: null, retirementAt: null },
	});
});

test('ids, names and the strings in lists are trimmed, and empty ones are left out', () => {
	const entry = {
		id: ' a ',
		displayName: ' A  B ',
		upgrade: ' b ',
		defaultReasoningEffort: ' low ',
		supportedReasoningEfforts: [{ reasoningEffort: ' low ' }, { reasoningEffort: '' }, null, 'low'],
		serviceTiers: [{ id: ' x ', name: ' X ' }, { name: ' Nameless ' }, { id: ' ' }],
		inputModalities: [' text ', 7, null, 'smell', ''],
		additionalSpeedTiers: [' fast '],
	};
	expect(toCodexModel(entry)).toStrictEqual({
		...plainModel('a'),
		displayName: 'A  B',
		upgrade: 'b',
		defaultReasoningEffort: 'low',
		supportedReasoningEfforts: [{ reasoningEffort: 'low', description: null }],
		serviceTiers: [
			{ id: 'x', name: 'X', description: null },
			{ id: 'Nameless', name: 'Nameless', description: null },
		],
		inputModalities: ['text', 'smell'],
		additionalSpeedTiers: ['fast'],
	});
});

test('a property that this version does not know passes through as it came, at every level', () => {
	const news = { news: { deep: [' x ', null] } };
	const entry = {
		...news,
		id: 'a',
		upgradeInfo: { model: 'b', ...news },
		availabilityNux: { message: 'm', ...news },
		supportedReasoningEfforts: [{ reasoningEffort: 'low', ...news }],
		serviceTiers: [{ id: 'x', ...news }],
	};
	const model = toCodexModel(entry);
	expect(model).toMatchObject(structuredClone(entry));
	entry.news.deep.length = 0;
	expect(model).toMatchObject({ news: { deep: [' x ', null] } });
});

test('any entry gives a frozen model that reads as itself, and a summary', () => {
	const json = fc.jsonValue({ maxDepth: 4 });
	const name = fc.constantFrom(...Object.keys(wireEntry));
	fc.assert(
		fc.property(fc.oneof(json, fc.dictionary(name, json)), (entry) => {
			const model = toCodexModel(entry);
			if (!model) return;
			expect(model.id).toBe(model.id.trim() || 'blank');
			expect(isDeepFrozen(model)).toBe(true);
			expect(toCodexModel(model)).toStrictEqual(model);
			expect(toCodexModel(JSON.parse(JSON.stringify(model)))).toEqual(model);
			expect(Object.keys(toSummary(model))).toHaveLength(7);
		}),
	);
	expect(() => Object.assign(toCodexModel(wireEntry) as object, { id: 'b' })).toThrow(TypeError);
});

const summarize = (entry: object) => toSummary(toCodexModel({ id: 'a', ...entry }) as CodexModel);

test('a summary has the seven properties and no others', () => {
	expect(summarize(wireEntry)).toStrictEqual({
		id: 'gpt-a',
		displayName: 'GPT-A',
		isDefault: true,
		defaultReasoningEffort: 'low',
		defaultServiceTier: 'priority',
		supportedReasoningEfforts: ['low', 'never-heard-of'],
		serviceTiers: ['priority', 'fast'],
	});
	expect(summarize({})).toStrictEqual({
		id: 'a',
		displayName: 'a',
		isDefault: false,
		defaultReasoningEffort: null,
		defaultServiceTier: null,
		supportedReasoningEfforts: undefined,
		serviceTiers: undefined,
	});
});

test("a summary's service tiers are search tokens: each one's id and name in lower case, each once, in order", () => {
	const serviceTiers = [
		{ id: ' Flex ', name: 'flex' },
		{ id: 'PRIORITY', name: ' Fast ' },
		{ id: 'fast', name: null },
		{ id: 'new-tier' },
		{ name: 'Nameless Id' },
	];
	expect(summarize({ serviceTiers }).serviceTiers).toEqual([
		'flex',
		'priority',
		'fast',
		'new-tier',
		'nameless id',
	]);
});

test('a summary belongs to its caller', () => {
	const model = toCodexModel(wireEntry) as CodexModel;
	const summary = toSummary(model);
	summary.supportedReasoningEfforts?.reverse();
	summary.serviceTiers?.push('x');
	Object.assign(summary, { id: 'b' });
	expect(toSummary(model)).toStrictEqual(summarize(wireEntry));
});
