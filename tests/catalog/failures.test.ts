import { expect, test } from 'vitest';
import { failureOf } from '../harness.js';
import { exitError, makeFilledCatalog, makeHostCatalog } from './harness.js';

const secret = 'sk-0123456789abcdef0123';

test.each([
	['an Error', new Error(secret)],
	['a TypeError', new TypeError(secret)],
	['a string', secret],
	['an object without a prototype', Object.create(null)],
	['null', null],
])(
	'a fetch of the host that fails with %s is ERR_CODEX_FETCH, which names it as its cause',
	async (_, reason) => {
		const made = makeHostCatalog();
		const failure = failureOf(made.catalog.list());
		(await made.fetch(1)).fail(reason);
		const error = await failure;
		expect(error).toMatchObject({ name: 'CodexModelsError', code: 'ERR_CODEX_FETCH' });
		expect(error.cause).toBe(reason);
		expect(error.hint).toContain('"fetchModels"');
		expect(error.message).not.toMatch(/fetchModels|sk-/);
		expect(JSON.stringify(error)).not.toContain(secret);
		expect(await made.readWith(['a'])).toMatchObject({ models: [{ id: 'a' }] });
	},
);

test('a fetch of the host may throw at once', async () => {
	const cause = new Error('at once');
	const fetchModels = () => {
		throw cause;
	};
	const { catalog } = makeHostCatalog({ fetchModels });
	expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_FETCH', cause });
});

test('a CodexModelsError of the host passes as it is', async () => {
	const made = await makeFilledCatalog(['a']);
	const error = exitError();
	expect(await made.refreshWith(error)).toBe(error);
	expect(made.catalog.peek()?.refreshError).toBe(error);
});

test.each([undefined, null, 7, {}, { models: {} }, { models: 'a' }, []])(
	'an answer of the host that is %j is ERR_CODEX_PROTOCOL',
	async (value) => {
		const made = makeHostCatalog();
		const failure = failureOf(made.catalog.list());
		(await made.fetch(1)).reply(value);
		expect(await failure).toMatchObject({ code: 'ERR_CODEX_PROTOCOL', phase: 'model/list' });
	},
);

test('entries of another shape are left out', async () => {
	const made = makeHostCatalog();
	const list = made.ids();
	(await made.fetch(1)).reply({ models: [null, 7, [], {}, { id: ' ' }, { model: ' a ' }] });
	expect(await list).toEqual(['a']);
});
