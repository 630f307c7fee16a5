import { spawn, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { Step } from '../harness.js';
import { commandLine, installScript, run } from './run.js';

const models = [
	{
		id: 'gpt-a',
		displayName: 'GPT A',
		isDefault: true,
		supportedReasoningEfforts: [{ reasoningEffort: 'low' }],
	},
	{ id: 'gpt-b', displayName: 'GPT B', serviceTiers: [{ id: 'priority', name: 'Fast' }] },
];
const answer: Step = ['answers', { models }];
const boldRow = '\u001b[1m*  gpt-a  GPT A  low\u001b[22m\n';

const hasTerminal =
	process.platform === 'linux' && spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
const skipped = hasTerminal ? '' : ' (SKIPPED: the `script` of util-linux is missing)';
const terminalTest = (title: string, body: () => Promise<void>) =>
	test.runIf(hasTerminal)(title + skipped, body);

/** The output on a terminal of that width. */
async function runOnTerminal(columns = 80, env: NodeJS.ProcessEnv = { NO_COLOR: '1' }) {
	const { codex } = installScript(answer);
	const words = [process.execPath, commandLine, '--no-cache', '--codex', codex];
	const line = `stty cols ${columns}; ${words.map((word) => `'${word}'`).join(' ')}`;
	const { PATH, HOME } = process.env;
	const child = spawn('script', ['-qec', line, '/dev/null'], {
		env: { PATH, HOME, TERM: 'xterm-256color', ...env },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let output = '';
	child.stdout.setEncoding('utf8').on('data', (chunk) => {
		output += chunk;
	});
	await new Promise((resolve) => child.once('close', resolve));
	return output.replaceAll('\r\n', '\n');
}

terminalTest('a terminal shows that Codex is asked, and then the list in its place', async () => {
	expect((await runOnTerminal()).split('\r\u001b[K')).toEqual([
		'',
		'Asking Codex …',
		'   ID     NAME   EFFORTS  TIERS\n*  gpt-a  GPT A  low\n   gpt-b  GPT B           Fast\n',
	]);
});

terminalTest('a terminal has colours, and none with NO_COLOR or if it is dumb', async () => {
	const [colored, plain, dumb, zero] = await Promise.all([
		runOnTerminal(80, { NO_COLOR: '' }),
		runOnTerminal(80, { NO_COLOR: '1' }),
		runOnTerminal(80, { TERM: 'dumb' }),
		runOnTerminal(80, { FORCE_COLOR: 'false' }),
	]);
	expect(colored).toContain(boldRow);
	expect([plain, zero].filter((text) => text.includes('\u001b[1m'))).toEqual([]);
	expect(dumb).not.toContain('\u001b');
});

test('a pipe has colours with FORCE_COLOR only', async () => {
	const { codex } = installScript(answer);
	const args = ['--no-cache', '--codex', codex];
	const [plain, forced] = await Promise.all([
		run(args, { env: { NO_COLOR: undefined, FORCE_COLOR: undefined } }),
		run(args, { env: { FORCE_COLOR: '1' } }),
	]);
	expect(plain.stdout).not.toContain('\u001b');
	expect(forced.stdout).toContain(boldRow);
});

terminalTest('a narrow terminal shows fewer columns, but whole ids', async () => {
	const titles = await Promise.all(
		[33, 32, 26, 25, 17, 16, 3, 0].map(async (columns) => {
			const [, , table = ''] = (await runOnTerminal(columns)).split('\r\u001b[K');
			expect(table).toContain('\n*  gpt-a');
			return table.split('\n', 1)[0]?.trim().split(/ +/).join(' ');
		}),
	);
	const [all, three, two, one] = ['ID NAME EFFORTS TIERS', 'ID NAME EFFORTS', 'ID NAME', 'ID'];
	expect(titles).toEqual([all, three, three, two, two, one, one, all]);
});
