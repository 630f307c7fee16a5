import { expect, test } from 'vitest';
import { type CodexModel, copyModel, copySummary, toSummary } from '../../src/api/codex-model.js';
import { plainModel } from '../harness.js';

const model: CodexModel = {
	...plainModel('gpt-a'),
	displayName: 'GPT-A',
	supportedReasoningEfforts: [
		{ effort: 'low', description: 'Fast' },
		{ effort: 'ultra', description: null },
	],
	defaultReasoningEffort: 'low',
	serviceTiers: [{ id: 'priority', name: 'Fast', description: 'Faster' }],
	defaultServiceTier: 'priority',
	inputModalities: ['text', 'image'],
};

test('a summary has the seven properties and no others', () => {
	const properties = [
		'id',
		'displayName',
		'isDefault',
		'defaultReasoningEffort',
		'defaultServiceTier',
		'supportedReasoningEfforts',
		'serviceTiers',
	];
	for (const each of [model, plainModel('a')])
		expect(Object.keys(toSummary(each))).toEqual(properties);
	expect(toSummary(model)).toEqual({
		id: 'gpt-a',
		displayName: 'GPT-A',
		isDefault: false,
		defaultReasoningEffort: 'low',
		defaultServiceTier: 'priority',
		supportedReasoningEfforts: ['low', 'ultra'],
		serviceTiers: ['priority', 'fast'],
	});
});

test('a summary, and a copy of a model, share nothing with the model', () => {
	const before = structuredClone(model);
	const summary = toSummary(model);
	summary.supportedReasoningEfforts?.push('x');
	summary.serviceTiers?.splice(0);
	const copy = copyModel(model);
	expect(copy).toStrictEqual(model);
	copy.inputModalities.push('smell');
	for (const item of [...copy.supportedReasoningEfforts, ...copy.serviceTiers])
		item.description = 'changed';
	copy.supportedReasoningEfforts.pop();
	copy.serviceTiers.pop();
	expect(model).toEqual(before);
});

test('a copy of a summary has all of its efforts and tiers, however many, as arrays of its own', () => {
	for (let count = 0; count <= 9; count++) {
		const texts = Array.from({ length: count }, (_, index) => `text-${index}`);
		const long: CodexModel = {
			...model,
			supportedReasoningEfforts: texts.map((effort) => ({ effort, description: null })),
			serviceTiers: texts.map((id) => ({ id, name: null, description: null })),
		};
		const summary = toSummary(long);
		const copy = copySummary(summary);
		expect(copy).toStrictEqual(summary);
		expect(copy.supportedReasoningEfforts ?? []).toEqual(texts);
		copy.supportedReasoningEfforts?.push('changed');
		copy.serviceTiers?.push('changed');
		expect(summary).toStrictEqual(toSummary(long));
	}
});
