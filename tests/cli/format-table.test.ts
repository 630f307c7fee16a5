import measureText from 'fast-string-truncated-width';
import { expect, test } from 'vitest';
import type { CodexModel } from '../../src/api/codex-model.js';
import { describeUnlisted, formatTable } from '../../src/cli/format-table.js';
import { plainModel } from '../harness.js';

const none = { model: null, modelProvider: null, reasoningEffort: null };

const toModel = (facts: Partial<CodexModel> & { id: string }): CodexModel => ({
	...plainModel(facts.id),
	...facts,
});

const toEfforts = (...efforts: string[]) =>
	efforts.map((effort) => ({ effort, description: null }));

const models = [
	toModel({
		id: 'gpt-a',
		displayName: 'GPT A',
		isDefault: true,
		supportedReasoningEfforts: toEfforts('low'),
	}),
	toModel({
		id: 'gpt-b',
		displayName: 'GPT B',
		serviceTiers: [
			{ id: 'priority', name: 'Fast', description: null },
			{ id: 'flex', name: null, description: null },
		],
	}),
	toModel({ id: 'gpt-c', model: 'wire-c', displayName: 'GPT C', hidden: true }),
];

const format = (
	list: CodexModel[],
	width = Infinity,
	model: string | null = null,
	isColored = false,
) => formatTable(list, { configured: { ...none, model }, width, isColored }).split('\n');

const widthOf = (line: string) => measureText(line).width;

test('formatTable marks the default with *, and names hidden models and tiers', () => {
	expect(format(models)).toEqual([
		'   ID     NAME            EFFORTS  TIERS',
		'*  gpt-a  GPT A           low',
		'   gpt-b  GPT B                    Fast flex',
		'   gpt-c  GPT C (hidden)',
	]);
});

test.each([
	['gpt-b', ['*', '>', '']],
	['wire-c', ['*', '', '>']],
	['gpt-a', ['>*', '', '']],
	['other', ['*', '', '']],
	['', ['*', '', '']],
])('formatTable marks the configured model "%s" with >, by id or model', (model, marks) => {
	const rows = format(models, Infinity, model).slice(1);
	expect(rows.map((row) => row.slice(0, row.indexOf('gpt')).trim())).toEqual(marks);
	expect(new Set(rows.map((row) => row.indexOf('gpt'))).size).toBe(1);
});

test('formatTable cuts columns to ten characters on a narrow terminal, and never cuts an id', () => {
	const model = toModel({
		id: 'gpt-a-very-long-id',
		displayName: 'GPT A with a long name',
		isDefault: true,
	});
	expect(format([model], 80)[1]).toBe('*  gpt-a-very-long-id  GPT A with a long name');
	for (const width of [0, 1, 30])
		expect(format([model], width)[1]).toBe('*  gpt-a-very-long-id  GPT A wit…');
});

test('formatTable cuts efforts that are wider than their column, in lines that fit', () => {
	const efforts = toEfforts('minimal', 'low', 'medium', 'high', 'xhigh');
	const model = toModel({ id: 'gpt-a', displayName: 'GPT A', supportedReasoningEfforts: efforts });
	expect(format([model], 40)).toEqual([
		'  ID     NAME   EFFORTS          TIERS',
		'  gpt-a  GPT A  minimal low me…',
	]);
});

test('formatTable cuts a long name between characters', () => {
	for (const displayName of [
		'x'.repeat(500),
		'漢字'.repeat(250),
		'e\u0301'.repeat(250),
		'👍🏽🇩🇪❤️'.repeat(100),
	]) {
		const lines = format([toModel({ id: 'gpt-a', displayName })], 60);
		expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(60);
		const [, shown = ''] = /gpt-a +(.*)…$/u.exec(lines[1] as string) ?? [];
		expect(widthOf(shown)).toBeGreaterThan(20);
		expect(displayName.startsWith(shown)).toBe(true);
	}
});

test.each([
	['CJK', '漢字かな'],
	['Hangul', '한국어'],
	['emoji', '👍🏽 ok 🎉'],
	['a flag', '🇩🇪'],
	['combining marks', 'cafe\u0301'],
	['fullwidth forms', 'ＧＰＴ'],
])('formatTable aligns columns after a name with %s', (_, displayName) => {
	const efforts = toEfforts('low');
	const lines = format([
		toModel({ id: 'a', displayName, supportedReasoningEfforts: efforts }),
		toModel({ id: 'b', displayName: 'Plain name', supportedReasoningEfforts: efforts }),
	]);
	const starts = lines.slice(1).map((line) => widthOf(line.slice(0, line.indexOf('low'))));
	expect(new Set(starts).size).toBe(1);
});

test('formatTable writes no control and no bidirectional character of a model', () => {
	const hostile = 'a\u001b[2Jb\u0007c\nd\u009b31me\u202ef\u2066g\u2028h\u200bi';
	const lines = format([
		toModel({
			id: hostile,
			displayName: hostile,
			supportedReasoningEfforts: toEfforts(hostile),
			serviceTiers: [{ id: hostile, name: null, description: null }],
		}),
	]);
	expect(lines).toHaveLength(2);
	expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
	expect(lines[1]).toContain('ab c defg hi');
});

test('formatTable shows a long name whole in a pipe, without widening the other rows', () => {
	const lines = format([toModel({ id: 'a', displayName: 'x'.repeat(100_000) }), ...models]);
	expect(lines[1]).toContain('x'.repeat(100_000));
	expect(Math.max(...lines.slice(2).map(widthOf))).toBeLessThan(150);
});

test('formatTable keeps the other columns on a terminal when one id is very long', () => {
	const lines = format([toModel({ id: 'i'.repeat(5_000) }), ...models], 120);
	expect(lines[0]).toMatch(/ID +NAME +EFFORTS/);
	expect(lines[1]).toContain('i'.repeat(5_000));
});

test('formatTable formats 50,000 models', () => {
	const many = Array.from({ length: 50_000 }, (_, index) => toModel({ id: `model-${index}` }));
	expect(format(many, 80)).toHaveLength(50_001);
	expect(format(many)).toHaveLength(50_001);
});

test('formatTable styles marked rows and the titles only when colours are wanted', () => {
	const colored = format(models, Infinity, 'gpt-b', true);
	const plain = format(models, Infinity, 'gpt-b');
	expect(colored).toEqual([
		`\u001b[2m${plain[0]}\u001b[22m`,
		`\u001b[1m${plain[1]}\u001b[22m`,
		`\u001b[1m${plain[2]}\u001b[22m`,
		plain[3],
	]);
});

test('describeUnlisted names a configured model that is not on the list, and its provider', () => {
	const configured = { ...none, model: 'my-\u001b[31mown' };
	expect(describeUnlisted(models, configured)).toBe(
		'config.toml picks my-own, which is not on this list.',
	);
	expect(describeUnlisted([], { ...configured, modelProvider: 'azure' })).toBe(
		'config.toml picks my-own (provider azure), which is not on this list.',
	);
});

test('describeUnlisted says nothing of a listed model, and nothing without a configured one', () => {
	expect(describeUnlisted(models, { ...none, model: 'gpt-b' })).toBeUndefined();
	expect(describeUnlisted(models, { ...none, model: 'wire-c' })).toBeUndefined();
	expect(describeUnlisted(models, none)).toBeUndefined();
});
