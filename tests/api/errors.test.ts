import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { CodexModelCatalog, CodexModelsError, type FetchModels } from '../../src/index.js';
import { failureOf, makeCatalog } from '../harness.js';

const secret = 'sk-proj-0123456789abcdef';
const checkLogin = 'Check the network and the login ("codex login status"), then try again.';
const checkProgram =
	'Check that the program is the Codex CLI ("codex --version"), update it, then try again.';

const failWith = async (fetchModels: FetchModels, deadlineMs = 15_000) => {
	const { catalog, events } = makeCatalog({ fetchModels, deadlineMs });
	return { error: await failureOf(catalog.list()), events };
};

test('a CodexModelsError is an Error with its own name, also when it is printed', () => {
	const error = new CodexModelsError('ERR_CODEX_CLOSED', 'Closed.');
	expect(error).toBeInstanceOf(Error);
	expect(error.name).toBe('CodexModelsError');
	expect(inspect(error)).toMatch(/^CodexModelsError: Closed\./);
	expect(Object.hasOwn(error, 'cause')).toBe(false);
	expect(Object.keys(error)).toEqual(['code', 'hint']);
});

test('toJSON gives name, code, message, hint and the properties, and no cause', () => {
	const facts = {
		phase: 'model/list',
		exitCode: null,
		signal: 'SIGKILL',
		stderr: '',
		timeoutMs: 7,
		rpcCode: -1,
		rpcData: { a: [1] },
		command: 'codex',
		hint: 'Try.',
	} as const;
	const error = new CodexModelsError('ERR_CODEX_RPC', 'No.', {
		...facts,
		cause: new Error(secret),
	});
	expect(error.cause).toBeInstanceOf(Error);
	const json = { name: 'CodexModelsError', code: 'ERR_CODEX_RPC', message: 'No.', ...facts };
	expect(JSON.parse(JSON.stringify(error))).toEqual(json);
	const bare = new CodexModelsError('ERR_CODEX_CLOSED', 'Closed.');
	expect(bare.toJSON()).toEqual({
		name: 'CodexModelsError',
		code: 'ERR_CODEX_CLOSED',
		message: 'Closed.',
	});
});

test('a message is at most 2,000 characters long', () => {
	const { message } = new CodexModelsError('ERR_CODEX_PROTOCOL', 'x'.repeat(5_000));
	expect([message.length, message.endsWith('x …')]).toEqual([2_000, true]);
});

test('what fetchModels throws is the cause alone, and a CodexModelsError passes as it is', async () => {
	for (const thrown of [new Error(secret), new TypeError(secret), secret, undefined]) {
		const { error, events } = await failWith(() => Promise.reject(thrown));
		expect(error).toMatchObject({
			code: 'ERR_CODEX_FETCH',
			message: 'The program that asked for the models of Codex failed. Try again.',
			hint: 'The function that is the option "fetchModels" failed with "cause".',
		});
		expect(error.cause).toBe(thrown);
		expect(JSON.stringify([error, events.all])).not.toContain('0123456789');
	}
	const own = new CodexModelsError('ERR_CODEX_RPC', 'No.');
	const throws = () => {
		throw own;
	};
	for (const fetchModels of [throws, () => Promise.reject(own)])
		expect((await failWith(fetchModels)).error).toBe(own);
});

test('an answer of fetchModels without an array of models is ERR_CODEX_PROTOCOL', async () => {
	for (const answer of [undefined, null, 7, {}, { models: {} }, { models: 'a' }]) {
		const { error } = await failWith(async () => answer as never);
		expect(error).toMatchObject({
			code: 'ERR_CODEX_PROTOCOL',
			message: `Codex gave an answer that cannot be read: it has no array of models (phase model/list). ${checkProgram}`,
			hint: 'The function "fetchModels" must return an object whose "models" are an array.',
			phase: 'model/list',
		});
	}
});

test('a deadline names no option to the user, and one to the developer', async () => {
	const { error } = await failWith(() => new Promise(() => {}), 20);
	expect(error.message).toBe(
		`Codex did not list its models within 20 ms (phase spawn). ${checkLogin}`,
	);
	expect(error).toMatchObject({
		code: 'ERR_CODEX_TIMEOUT',
		timeoutMs: 20,
		stderr: '',
		hint: 'The fetch goes on and fills the cache. Allow a longer "deadlineMs" if this happens often.',
	});
});

test('a list that Codex made without its server says what Codex said of it', async () => {
	const models = [{ id: 'a' }];
	const warnings = ['No.', 'No server'].map(
		(message) => ({ type: 'built-in-list', message }) as const,
	);
	const answers = [{ models }, { models, warnings }];
	const { catalog } = makeCatalog({ fetchModels: async () => answers.shift() ?? { models } });
	await catalog.list();
	expect(await failureOf(catalog.list({ refresh: true }))).toMatchObject({
		code: 'ERR_CODEX_FALLBACK',
		message: `Codex could not ask its server for the models (phase model/list): No. No server. ${checkLogin}`,
		hint: 'Codex answered with its built-in list. A better list is known and is served on.',
		stderr: '',
	});
});

test('a closed catalog says so to its user and to its developer', async () => {
	const catalog = new CodexModelCatalog();
	await catalog.close();
	expect(await failureOf(catalog.list())).toMatchObject({
		message: 'The list of models is closed. Start the program again, then try again.',
		hint: 'The catalog was closed. Make a new one.',
	});
});
