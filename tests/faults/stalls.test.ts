import { expect } from 'vitest';
import { makeDirectory, type Step, script } from '../harness.js';
import { runCommandLine, runHost, serve } from './host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('stalls');

/**
 * The longest standstill of the event loop that passes, in milliseconds. An idle machine shows a tenth of it. Texts that were
 * cleaned before they were cut took 3 s and more.
 */
const boundMs = 2_000;

function show(what: string, standstillMs: number): void {
	console.log(`longest standstill: ${String(standstillMs).padStart(6)} ms, ${what}`);
}

const error = (data: string) =>
	`{"id":$id,"error":{"code":-32000,"message":"refused","data":${data}}}\n`;
const long = (piece: string) =>
	error(JSON.stringify(piece.repeat(Math.floor(8_000_000 / piece.length))));
const nest = (open: string, end: string, depth: number) =>
	error(open.repeat(depth) + end.repeat(depth));

const errors = {
	'8 MB of letters': long('a'),
	'8 MB of words': long('the token of the session is '),
	'8 MB of names of secrets': long('x-api_key-'),
	'3,000,000 arrays in one another': nest('[', ']', 3_000_000),
	'1,000,000 objects in one another': nest('{"a":', '}', 1_000_000).replace(':}', ':1}'),
};

testFault(
	'an RPC error has 8 MB of data, or nests 3,000,000 deep',
	'model/list',
	'`ERR_CODEX_RPC`',
	async () => {
		for (const [what, text] of Object.entries(errors)) {
			const { facts } = serve([
				'misbehaves',
				{ act: 'writes', phase: 'model/list', text, isFollowedByAnswer: false },
			]);
			const [{ result, standstillMs }] = await runHost(
				`const catalog = make();
			tell(await measure(() => settle(catalog.list())));
			await catalog.close();`,
				{ facts },
			);
			show(`an RPC error with ${what}`, standstillMs);
			expect(result).toMatchObject({ name: 'CodexModelsError', code: 'ERR_CODEX_RPC' });
			expect.soft(standstillMs).toBeLessThan(boundMs);
		}
	},
);

testFault(
	'the deadlines of 2,000 callers end at once, after 64 KB on stderr',
	'model/list',
	'`ERR_CODEX_TIMEOUT`',
	async () => {
		const words = `WARN ${'x-api_key-'.repeat(10)}\n`;
		const step: Step = ['answers', { stderr: words.repeat(600), gates: { 'model/list': 'never' } }];
		const { facts } = serve(step);
		const [{ result, standstillMs }] = await runHost(
			`const catalog = make();
		const first = settle(catalog.list({ deadlineMs: 1_500 }));
		const list = () => settle(catalog.list({ deadlineMs: 1_500 }));
		tell(await measure(() => Promise.all([first, ...Array.from({ length: 1_999 }, list)])));
		await catalog.close();`,
			{ facts },
		);
		show('2,000 deadlines at once', standstillMs);
		expect(new Set(result.map(({ code }: { code: string }) => code))).toEqual(
			new Set(['ERR_CODEX_TIMEOUT']),
		);
		expect.soft(standstillMs).toBeLessThan(boundMs);
	},
);

const lists = {
	'a name of 100,000 characters': [
		{ id: 'long', displayName: 'x'.repeat(100_000) },
		{ id: 'short' },
	],
	'8,000 models': Array.from({ length: 8_000 }, (_, index) => ({
		id: `model-${index}`,
		displayName: `Model ${index}`,
	})),
	'50,000 models': Array.from({ length: 50_000 }, (_, index) => ({
		id: `model-${index}`,
		displayName: `Model ${index}`,
	})),
};

testFault(
	'the command line prints a long name, or 50,000 models',
	'after the answer',
	'the list',
	async () => {
		for (const [what, models] of Object.entries(lists)) {
			const codex = `${script(['answers', { models }]).installAsCodex()}/codex`;
			const env = { HOME: makeDirectory() };
			const { exitCode, stdout, stderr, ms, standstillMs } = await runCommandLine(
				['--codex', codex, '--no-cache'],
				{ env },
			);
			show(`the command line with ${what} (${Math.round(ms)} ms in all)`, standstillMs);
			expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
			expect(stdout.trimEnd().split('\n')).toHaveLength(models.length + 1);
			expect.soft(standstillMs).toBeLessThan(boundMs);
		}
	},
);
