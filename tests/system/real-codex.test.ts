import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import type { CodexModel } from '../../src/api/codex-model.js';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { failureOf, idsOf, makeCatalog, makeDirectory, neverMs, realCodex } from '../harness.js';

/** A catalog of the real Codex, with a new CODEX_HOME that holds these files. */
function makeRealCatalog(
	files: Record<string, string> = {},
	options: CodexModelCatalogOptions = {},
) {
	const codexHome = makeDirectory();
	for (const [name, content] of Object.entries(files))
		writeFileSync(path.join(codexHome, name), content);
	return {
		codexHome,
		...makeCatalog({ command: realCodex, codexHome, deadlineMs: 25_000, retries: 0, ...options }),
	};
}

/** The same with a catalogue of our own: what differs from a plain entry, each. */
function makeRealCatalogOf(entries: Record<string, unknown>[]) {
	const models = entries.map((entry, index) => ({
		slug: `model-${index}`,
		display_name: `Model ${index}`,
		description: 'd',
		supported_reasoning_levels: [{ effort: 'low', description: 'l' }],
		default_reasoning_level: 'low',
		shell_type: 'shell_command',
		visibility: 'list',
		supported_in_api: true,
		priority: index,
		base_instructions: 'b',
		supports_reasoning_summaries: false,
		support_verbosity: false,
		truncation_policy: { mode: 'bytes', limit: 10_000 },
		supports_parallel_tool_calls: false,
		experimental_supported_tools: [],
		...entry,
	}));
	const file = path.join(makeDirectory(), 'catalogue.json');
	writeFileSync(file, JSON.stringify({ models }));
	return makeRealCatalog({ 'config.toml': `model_catalog_json = ${JSON.stringify(file)}\n` });
}

type WireModel = Record<string, unknown> & { id: string; hidden: boolean };

/** The answer of the real Codex to the plainest question. */
async function converse(codexHome: string, includeHidden: boolean): Promise<WireModel[]> {
	const child = spawn(realCodex, ['app-server'], {
		env: { ...process.env, CODEX_HOME: codexHome },
		stdio: ['pipe', 'pipe', 'ignore'],
		detached: true,
	});
	const say = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
	say({
		id: 1,
		method: 'initialize',
		params: { clientInfo: { name: 'probe', version: '1' }, capabilities: null },
	});
	try {
		for await (const line of createInterface({ input: child.stdout })) {
			const { id, result } = JSON.parse(line);
			if (id === 1) {
				say({ method: 'initialized' });
				say({ id: 2, method: 'model/list', params: { includeHidden } });
			}
			if (id === 2) return result.data;
		}
		throw new Error('It ended without an answer');
	} finally {
		const exited = new Promise((resolve) => child.once('exit', resolve));
		child.stdin.end();
		await exited;
		try {
			process.kill(-(child.pid as number), 'SIGKILL');
		} catch {}
	}
}

/** The contract's mapping, said once more and without the library. */
function mapModel(wire: WireModel): CodexModel {
	const trim = (value: unknown) =>
		typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
	const efforts = wire.supportedReasoningEfforts as {
		reasoningEffort: string;
		description: string;
	}[];
	const tiers = (wire.serviceTiers ?? []) as { id: string; name: string; description: string }[];
	return {
		id: wire.id.trim(),
		model: String(wire.model).trim(),
		displayName: trim(wire.displayName) ?? wire.id.trim(),
		description: trim(wire.description),
		hidden: wire.hidden,
		isDefault: wire.isDefault === true,
		upgrade: trim(wire.upgrade),
		supportedReasoningEfforts: efforts.map(({ reasoningEffort, description }) => ({
			effort: reasoningEffort.trim(),
			description: trim(description),
		})),
		defaultReasoningEffort: trim(wire.defaultReasoningEffort),
		serviceTiers: tiers.map(({ id, name, description }) => ({
			id: id.trim(),
			name: trim(name),
			description: trim(description),
		})),
		defaultServiceTier: trim(wire.defaultServiceTier),
		inputModalities: wire.inputModalities as string[],
	};
}

test('lists what the bare conversation lists, in both views', async () => {
	const { catalog, codexHome, events } = makeRealCatalog();
	const all = await catalog.list({ includeHidden: true });
	const visible = await catalog.list();
	await events.nth('exited');
	const wire = await converse(codexHome, true);
	expect(all).toEqual(wire.map(mapModel));
	expect(visible).toEqual(wire.filter(({ hidden }) => !hidden).map(mapModel));
	expect(visible.length).toBeGreaterThan(0);
	expect(all.length).toBeGreaterThan(visible.length);
	expect(visible.filter(({ isDefault }) => isDefault)).toHaveLength(1);
	expect(events.count('spawned')).toBe(1);
});

test('the visible list is what Codex gives to who asks without the hidden ones', async () => {
	const { catalog, codexHome, events } = makeRealCatalog();
	const visible = await catalog.list();
	await events.nth('exited');
	expect(visible).toEqual((await converse(codexHome, false)).map(mapModel));
});

test('the default arguments change nothing of the list', async () => {
	const { catalog, codexHome } = makeRealCatalog();
	const plain = makeCatalog({
		command: realCodex,
		args: ['app-server'],
		codexHome,
		deadlineMs: 25_000,
	});
	expect(await catalog.list({ includeHidden: true })).toEqual(
		await plain.catalog.list({ includeHidden: true }),
	);
});

test('a real one that has answered ends at the end of its input, with code 0', async () => {
	const { catalog, events } = makeRealCatalog();
	await catalog.list();
	expect(await events.nth('exited')).toMatchObject({ exitCode: 0, signal: null });
});

test('a list of our own comes in its order, with its hidden ones and its default', async () => {
	const { catalog } = makeRealCatalogOf([
		{ slug: 'last', priority: 9 },
		{ slug: 'hidden', priority: 1, visibility: 'hide' },
		{ slug: 'first', priority: 2 },
		{ slug: 'unlisted', priority: 3, visibility: 'none' },
	]);
	const visible = await catalog.list();
	expect(idsOf(visible)).toEqual(['first', 'last']);
	expect(visible.map(({ isDefault }) => isDefault)).toEqual([true, false]);
	const all = await catalog.list({ includeHidden: true });
	expect(idsOf(all)).toEqual(['hidden', 'first', 'unlisted', 'last']);
	expect(all.map(({ hidden }) => hidden)).toEqual([true, false, true, false]);
});

test('odd names come as they are, but for the white space around them', async () => {
	const names = [
		'😀 emoji 👩‍👩‍👧',
		'two\nlines\r\n',
		'line\u2028separator',
		'\u2029 paragraph',
		'nul\u0000byte',
		'x'.repeat(200_000),
	];
	const { catalog, codexHome, events } = makeRealCatalogOf(
		names.map((display_name) => ({ display_name, description: display_name })),
	);
	const models = await catalog.list();
	await events.nth('exited');
	expect(models.map(({ displayName }) => displayName)).toEqual(names.map((name) => name.trim()));
	expect(models.map(({ description }) => description)).toEqual(names.map((name) => name.trim()));
	expect(idsOf(await converse(codexHome, true))).toEqual(idsOf(models));
});

test('where all are hidden the visible list is empty, and remembered', async () => {
	const { catalog, events } = makeRealCatalogOf([{ visibility: 'hide' }, { visibility: 'none' }]);
	expect(await catalog.list()).toEqual([]);
	expect(await catalog.list({ includeHidden: true })).toHaveLength(2);
	expect(await catalog.list()).toEqual([]);
	expect(events.count('spawned')).toBe(1);
});

test('three thousand models come, each once and in order', async () => {
	const { catalog } = makeRealCatalogOf(Array.from({ length: 3_000 }, () => ({})));
	const models = await catalog.list();
	expect(idsOf(models)).toEqual(Array.from({ length: 3_000 }, (_, index) => `model-${index}`));
});

test('a slug that is there twice is listed twice', async () => {
	const { catalog } = makeRealCatalogOf([{ slug: 'same' }, { slug: 'other' }, { slug: 'same' }]);
	expect(idsOf(await catalog.list())).toEqual(['same', 'other', 'same']);
});

test('a CODEX_HOME that is not there fails at once, with the words and the code of Codex', async () => {
	const codexHome = path.join(makeDirectory(), 'gone');
	const { catalog, events } = makeCatalog({
		command: realCodex,
		codexHome,
		deadlineMs: neverMs,
		fetchTimeoutMs: neverMs,
	});
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		exitCode: 1,
		signal: null,
		phase: 'initialize',
	});
	expect(error.message).toContain(
		`Error: CODEX_HOME points to "${codexHome}", but that path does not exist`,
	);
	expect(error.stderr).toContain('CODEX_HOME points to');
	expect(error.message).not.toContain('\u001b');
	// The same end twice is deterministic.
	expect(events.count('spawned')).toBe(2);
});

test.each(['0', '1'])(
	'its words are in the message with RUST_BACKTRACE=%s',
	async (RUST_BACKTRACE) => {
		const codexHome = path.join(makeDirectory(), 'gone');
		const { catalog } = makeCatalog({ command: realCodex, codexHome, env: { RUST_BACKTRACE } });
		expect((await failureOf(catalog.list())).message).toContain('Error: CODEX_HOME points to');
	},
);

test('a flag that it does not know fails with its words', async () => {
	const { catalog } = makeRealCatalog({}, { args: ['app-server', '--no-such-flag'] });
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({ code: 'ERR_CODEX_EXITED', exitCode: 2 });
	expect(error.stderr).toContain('--no-such-flag');
});

test('where there is no Codex the message says how to install it', async () => {
	const { catalog } = makeCatalog({ env: { PATH: makeDirectory() }, deadlineMs: neverMs });
	const error = await failureOf(catalog.list());
	expect(error).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'codex',
		cause: { code: 'ENOENT' },
	});
	expect(error.message).toContain('npm install -g @openai/codex');
});

test('a broken configuration lists all the same, and an event tells of it', async () => {
	const { catalog, events } = makeRealCatalog({ 'config.toml': 'model = [\n' });
	expect((await catalog.list()).length).toBeGreaterThan(0);
	const warnings = events.ofType('config-warning').map(({ summary }) => summary);
	expect(warnings).toContainEqual(expect.stringMatching(/^Invalid configuration/));
});

test("is found on PATH, and lists in a working directory that is not the host's", async () => {
	const codexHome = makeDirectory();
	const cwd = path.join(codexHome, 'work');
	mkdirSync(cwd);
	const PATH = `${path.dirname(realCodex)}${path.delimiter}${process.env.PATH}`;
	const { catalog } = makeCatalog({ env: { PATH }, codexHome, cwd, deadlineMs: 25_000 });
	expect((await catalog.list()).length).toBeGreaterThan(0);
});

test('closing in the middle of a fetch leaves nothing of it', async () => {
	const { catalog, events } = makeRealCatalog();
	const failure = failureOf(catalog.list());
	await events.nth('spawned');
	await catalog.close();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	expect(events.count('exited')).toBe(1);
});
