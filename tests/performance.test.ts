import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { converse, makeUsedHome } from '../bench/codex.js';
import { weighEntry } from '../bench/entry.js';
import { interleave, median } from '../bench/measure.js';
import { findProgram } from '../src/program.js';
import { makeCatalog, realCodex, runHost, script } from './harness.js';

// Only what is exact, or the middle of many: a wall-clock time would tell of the machine. The rest is in `npm run bench`.

/** The entries of a list as the real ones are. */
const models = Array.from({ length: 12 }, (_, index) => ({
	id: `model-${index}`,
	displayName: `Model ${index}`,
	isDefault: index === 0,
	supportedReasoningEfforts: ['minimal', 'low', 'medium', 'high', 'xhigh', 'max'].map((reasoningEffort) => ({
		reasoningEffort,
		description: `As much as ${reasoningEffort}`,
	})),
	defaultReasoningEffort: 'medium',
	serviceTiers: [{ id: 'priority', name: 'Fast', description: 'Sooner' }],
}));

/** A host in which `listCodexModels` has its list; what `source` prints is the result. */
async function askHost(source: string): Promise<unknown> {
	const { installAsCodex } = script(['answers', { models }]);
	const { done } = runHost(
		`
		process.env.PATH = facts.folder + facts.delimiter + process.env.PATH;
		const first = await listCodexModels();
		if (first.length !== 12) throw new Error('It has no list');
		${source}
		process.stdout.write(JSON.stringify(result), () => process.exit(0));
		`,
		{ folder: installAsCodex(), delimiter: process.platform === 'win32' ? ';' : ':' },
	);
	const { stdout, stderr } = await done;
	expect(stderr).toBe('');
	return JSON.parse(stdout);
}

test('a hit starts no timer and no process, adds no listener and looks at no file', async () => {
	const result = await askHost(`
		const { createHook } = await import('node:async_hooks');
		const { EventEmitter } = await import('node:events');
		// Until the app-server of the first list is gone, and nothing listens for the host's end any more.
		while (process.listenerCount('SIGTERM') > 0) await new Promise((resolve) => setTimeout(resolve, 5));
		// The look at the files that comes once a second is not a hit's, but that second's.
		const realNow = Date.now;
		const now = realNow();
		Date.now = () => now;
		await listCodexModels();
		const started = {};
		const count = (what) => { started[what] = (started[what] ?? 0) + 1; };
		const wrap = (owner, names) => {
			for (const name of names) {
				const original = owner[name];
				owner[name] = function (...args) { count(name); return original.apply(this, args); };
			}
		};
		wrap(EventTarget.prototype, ['addEventListener']);
		wrap(EventEmitter.prototype, ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener']);
		const hook = createHook({ init: (id, type) => { if (type !== 'PROMISE') count(type); } });
		hook.enable();
		for (let call = 0; call < 1_000; call++) {
			await listCodexModels();
			await listCodexModels(true);
			await codexModelsPackage.codexModels.list();
		}
		hook.disable();
		const result = { ...started };
	`);
	expect(result).toEqual({});
});

test('a hit of listCodexModels takes at most 4,500 bytes for 12 models', async () => {
	const bytes = await askHost(`
		const { setFlagsFromString } = await import('node:v8');
		const { runInNewContext } = await import('node:vm');
		setFlagsFromString('--expose-gc');
		const gc = runInNewContext('gc');
		const calls = 200;
		for (let call = 0; call < 20_000; call++) await listCodexModels();
		const samples = [];
		for (let round = 0; round < 15; round++) {
			gc();
			const before = process.memoryUsage().heapUsed;
			for (let call = 0; call < calls; call++) await listCodexModels();
			samples.push((process.memoryUsage().heapUsed - before) / calls);
		}
		// One that was interrupted by a collection says too little, one with a look at the files too much.
		const result = samples.sort((a, b) => a - b)[7];
	`);
	expect(bytes).toBeGreaterThan(1_000);
	expect(bytes).toBeLessThanOrEqual(4_500);
});

test('nothing in src waits for a process synchronously', () => {
	const folder = new URL('../src/', import.meta.url);
	const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'));
	expect(sources.length).toBeGreaterThan(20);
	expect(sources.join('\n')).not.toMatch(
		/\b(?:spawnSync|execSync|execFileSync|Atomics\.wait\()|\bspawn\.sync\b/,
	);
});

test('what an import loads is under 8,000 bytes, minified and gzipped, dependencies aside', async () => {
	const { gzippedBytes } = await weighEntry(fileURLToPath(new URL('../src/index.ts', import.meta.url)));
	expect(gzippedBytes).toBeGreaterThan(4_000);
	expect(gzippedBytes).toBeLessThan(8_000);
});

test('a cold list takes about as long as the bare conversation with the real program', async () => {
	const { codexHome, env } = await makeUsedHome(realCodex);
	const program = await findProgram(realCodex, env);
	expect(program.command).not.toBe(realCodex);

	const { library, bare } = await interleave(15, {
		async library() {
			const { catalog, events } = makeCatalog({ command: realCodex, codexHome });
			const startedAt = performance.now();
			await catalog.list();
			const tookMs = performance.now() - startedAt;
			await events.nth('exited');
			return tookMs;
		},
		bare: async () => (await converse(program)).tookMs,
	});
	// 1.15 is the goal, and measured by `npm run bench`; this notices another process, or a wait.
	expect(median(library.map((ms: number, round: number) => ms / bare[round]))).toBeLessThan(1.6);
});
