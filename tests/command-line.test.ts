import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { version } from '../src/version.js';
import { isAlive, makeDirectory, realCodex, type Step, script } from './harness.js';

const commandLine = fileURLToPath(new URL('../dist/command-line.js', import.meta.url));

function start(args: string[], env: NodeJS.ProcessEnv = {}) {
	const child = spawn(process.execPath, [commandLine, ...args], {
		env: { ...process.env, NO_COLOR: '1', ...env },
	});
	const result = { stdout: '', stderr: '' };
	child.stdout.setEncoding('utf8').on('data', (chunk) => {
		result.stdout += chunk;
	});
	child.stderr.setEncoding('utf8').on('data', (chunk) => {
		result.stderr += chunk;
	});
	const done = new Promise<typeof result & { exitCode: number | null }>((resolve) => {
		child.once('close', (exitCode) => resolve({ exitCode, ...result }));
	});
	return { child, done };
}

const run = (args: string[], env?: NodeJS.ProcessEnv) => start(args, env).done;

/** Asks a scripted app-server, and keeps nothing. */
async function runScripted(step: Step, ...args: string[]) {
	const server = script(step);
	const codex = path.join(server.installAsCodex(), 'codex');
	const result = await run(['--no-cache', '--codex', codex, ...args]);
	expect(server.pids.filter(isAlive)).toEqual([]);
	return { ...result, server };
}

const models = [
	{
		id: 'gpt-a',
		displayName: 'GPT A',
		isDefault: true,
		supportedReasoningEfforts: [{ reasoningEffort: 'low' }],
	},
	{ id: 'gpt-b', displayName: 'GPT B', serviceTiers: [{ id: 'priority', name: 'Fast' }] },
	{ id: 'gpt-hidden', hidden: true },
];

test('--help tells of every option and of the exit codes', async () => {
	const { exitCode, stdout, stderr } = await run(['--help']);
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	for (const option of [
		'--json',
		'--hidden',
		'--refresh',
		'--no-cache',
		'--codex',
		'--timeout',
		'--version',
	]) {
		expect(stdout).toContain(option);
	}
	expect(stdout).toMatch(/Exit code: 0 .* 1 .* 2 /);
});

test('--version tells the version', async () => {
	expect(await run(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

test('prints a table of the visible models, with a * at the default', async () => {
	const { exitCode, stdout, stderr } = await runScripted(['answers', { models }]);
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	const lines = stdout.trimEnd().split('\n');
	expect(lines).toHaveLength(3);
	expect(lines[0]).toMatch(/ID +NAME +EFFORTS +TIERS/);
	expect(lines[1]).toMatch(/^\* +gpt-a +GPT A +low$/);
	expect(lines[2]).toMatch(/^ +gpt-b +GPT B +Fast$/);
});

test('--hidden prints the hidden ones, too, and says which', async () => {
	const { stdout } = await runScripted(['answers', { models }], '--hidden');
	expect(stdout).toMatch(/gpt-hidden \(hidden\)/);
});

test('--json prints what the catalog lists', async () => {
	const { exitCode, stdout } = await runScripted(['answers', { models }], '--json', '--hidden');
	expect(exitCode).toBe(0);
	expect(JSON.parse(stdout)).toMatchObject([
		{
			id: 'gpt-a',
			model: 'gpt-a',
			isDefault: true,
			reasoningEfforts: [{ effort: 'low', description: null }],
		},
		{ id: 'gpt-b', serviceTiers: [{ id: 'priority', name: 'Fast', description: null }] },
		{ id: 'gpt-hidden', hidden: true },
	]);
});

test('no name moves the cursor', async () => {
	const displayName = 'a\u001b[2Jb\u0007c\nd\u009b31me';
	const { stdout } = await runScripted(['answers', { models: [{ id: 'a', displayName }] }]);
	// biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none is the point.
	expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
	expect(stdout.trimEnd().split('\n')).toHaveLength(2);
});

test('a failure is one line on stderr and exit code 1', async () => {
	const step: Step = ['refuses', { at: 'model/list', error: { code: -32600, message: 'two\nlines' } }];
	const { exitCode, stdout, stderr } = await runScripted(step);
	expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
	expect(stderr).toMatch(/^codex-models: .*-32600.*two lines.*\n$/);
});

test('where there is no Codex it says how to install it', async () => {
	const { exitCode, stderr } = await run(['--no-cache', '--codex', '/nowhere/codex']);
	expect(exitCode).toBe(1);
	expect(stderr).toMatch(/^codex-models: .*\/nowhere\/codex.*npm install -g @openai\/codex.*--codex.*\n$/);
});

test('--timeout ends the wait, and leaves nothing behind', async () => {
	const { exitCode, stderr } = await runScripted(
		['hangs', { at: 'initialize', ignores: ['end'] }],
		'--timeout',
		'300',
	);
	expect(exitCode).toBe(1);
	expect(stderr).toMatch(/^codex-models: .*300 ms \(--timeout.*\n$/);
});

test.each([
	[['--nope'], /--nope/],
	[['word'], /word/],
	[['--timeout', '0'], /--timeout.*1 to 2147483647.*"0"/],
	[['--timeout', '1.5'], /--timeout.*"1\.5"/],
	[['--timeout', '2147483648'], /--timeout.*"2147483648"/],
	[['--timeout', ''], /--timeout.*""/],
	[['--codex', ' '], /--codex/],
])('misuse is one line on stderr and exit code 2: %j', async (args, message) => {
	const { exitCode, stdout, stderr } = await run(args);
	expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
	expect(stderr).toMatch(message);
	expect(stderr).toMatch(/^codex-models: [^\n]*--help\)\n$/);
});

test('a reader that has seen enough is no failure', async () => {
	const many = Array.from({ length: 20_000 }, (_, index) => ({
		id: `model-${index}`,
		description: 'x'.repeat(100),
	}));
	const server = script(['answers', { models: many }]);
	const codex = path.join(server.installAsCodex(), 'codex');
	const { child, done } = start(['--no-cache', '--json', '--codex', codex]);
	child.stdout.once('data', () => child.stdout.destroy());
	expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
});

test('lists the models of the real Codex', async () => {
	const CODEX_HOME = makeDirectory();
	const { exitCode, stdout } = await run(['--no-cache', '--codex', realCodex, '--json'], { CODEX_HOME });
	expect(exitCode).toBe(0);
	expect(JSON.parse(stdout).length).toBeGreaterThan(0);
});

const hasTerminal =
	process.platform === 'linux' && spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
const onTerminal = hasTerminal ? '' : ' (SKIPPED: there is no util-linux `script`)';

/** What it writes on a terminal of that width. */
async function runOnTerminal(args: string[], { columns = 80, ...env }: Record<string, string | number> = {}) {
	const server = script(['answers', { models }]);
	const codex = path.join(server.installAsCodex(), 'codex');
	const words = [process.execPath, commandLine, '--no-cache', '--codex', codex, ...args];
	const line = `stty cols ${columns}; ${words.map((word) => `'${word}'`).join(' ')}`;
	// Nothing else of the environment: under CI, for one, chalk 5.6.2 takes a terminal for one without colours.
	const { PATH, HOME } = process.env;
	const child = spawn('script', ['-qec', line, '/dev/null'], {
		env: { PATH, HOME, TERM: 'xterm-256color', ...(env as Record<string, string>) },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let output = '';
	child.stdout.setEncoding('utf8').on('data', (chunk) => {
		output += chunk;
	});
	await new Promise((resolve) => child.once('close', resolve));
	return output.replaceAll('\r', '');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are.
const colours = /\u001b\[\d+m/;

test.runIf(hasTerminal).each([
	['by default', {}, true],
	['not with NO_COLOR', { NO_COLOR: '1' }, false],
	['not with FORCE_COLOR=0', { FORCE_COLOR: '0' }, false],
	['with both, as FORCE_COLOR says', { NO_COLOR: '1', FORCE_COLOR: '1' }, true],
	['not where TERM is dumb', { TERM: 'dumb' }, false],
])(`a terminal has colours %s${onTerminal}`, async (_, env, isColoured) => {
	const output = await runOnTerminal([], env);
	expect(output).toContain('gpt-a');
	// The spinner's are another matter: it is not there where the answer comes at once.
	expect(colours.test(output)).toBe(isColoured);
});

test('a pipe has no colours, but with FORCE_COLOR', async () => {
	const server = script(['answers', { models }]);
	const args = ['--no-cache', '--codex', path.join(server.installAsCodex(), 'codex')];
	const plain = await run(args, { NO_COLOR: undefined });
	const forced = await run(args, { NO_COLOR: undefined, FORCE_COLOR: '1' });
	expect(plain.stdout).not.toMatch(colours);
	expect(forced.stdout).toMatch(colours);
});

test.runIf(hasTerminal)(`a narrow terminal has fewer columns, and whole ids${onTerminal}`, async () => {
	const wide = await runOnTerminal([], { NO_COLOR: '1' });
	const narrow = await runOnTerminal([], { NO_COLOR: '1', columns: 25 });
	const tiny = await runOnTerminal([], { NO_COLOR: '1', columns: 12 });
	expect(wide).toContain('*  gpt-a  GPT A  low');
	expect(narrow).toContain('*  gpt-a  low');
	expect(tiny).toContain('*  gpt-a\n');
});
