import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { version } from '../../src/api/version.js';
import { isAlive, makeDirectory, realCodex, type Step, script } from '../harness.js';

const commandLine = fileURLToPath(new URL('../../dist/cli/command-line.js', import.meta.url));

function start(args: string[], env: NodeJS.ProcessEnv = {}) {
	const child = spawn(process.execPath, [commandLine, ...args], {
		env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '', ...env },
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

const installScript = (...steps: Step[]) => {
	const server = script(...steps);
	return { server, codex: path.join(server.installAsCodex(), 'codex') };
};

/** Asks a scripted app-server, and keeps no list. */
async function runScripted(step: Step, ...args: string[]) {
	const { server, codex } = installScript(step);
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

const config = { model: 'gpt-b', model_provider: 'my-provider', model_reasoning_effort: 'high' };

test('--help prints the help, and --version the version', async () => {
	const [help, printed] = await Promise.all([run(['--help']), run(['--version'])]);
	expect(help).toMatchObject({ exitCode: 0, stderr: '' });
	expect(help.stdout).toMatch(/^Usage: codex-models /);
	expect(printed).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

test('codex-models prints a table of the visible models, with the default and the configured one marked', async () => {
	const { exitCode, stdout, stderr } = await runScripted(['answers', { models, config }]);
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	expect(stdout.split('\n')).toEqual([
		'   ID     NAME   EFFORTS  TIERS',
		'*  gpt-a  GPT A  low',
		'>  gpt-b  GPT B           Fast',
		'',
	]);
});

test('codex-models names a configured model that is not on the list', async () => {
	const { stdout } = await runScripted([
		'answers',
		{ models, config: { ...config, model: 'my-own' } },
	]);
	expect(stdout.trimEnd().split('\n').at(-1)).toBe(
		'config.toml picks my-own (provider my-provider), which is not on this list.',
	);
});

test('--hidden lists the hidden models, too', async () => {
	const { stdout } = await runScripted(['answers', { models }], '--hidden');
	expect(stdout).toMatch(/gpt-hidden \(hidden\)/);
});

test('--json prints an array of models', async () => {
	const { exitCode, stdout } = await runScripted(['answers', { models }], '--json', '--hidden');
	expect(exitCode).toBe(0);
	expect(JSON.parse(stdout)).toMatchObject([
		{
			id: 'gpt-a',
			isDefault: true,
			supportedReasoningEfforts: [{ effort: 'low', description: null }],
		},
		{ id: 'gpt-b', serviceTiers: [{ id: 'priority', name: 'Fast', description: null }] },
		{ id: 'gpt-hidden', hidden: true },
	]);
});

test('--json --snapshot prints the whole snapshot', async () => {
	const startedAt = Date.now();
	const { exitCode, stdout } = await runScripted(
		['answers', { models, config }],
		'--json',
		'--snapshot',
	);
	const snapshot = JSON.parse(stdout);
	expect(exitCode).toBe(0);
	expect(snapshot).toMatchObject({
		models: [{ id: 'gpt-a' }, { id: 'gpt-b' }],
		isFresh: true,
		configured: { model: 'gpt-b', modelProvider: 'my-provider', reasoningEffort: 'high' },
		refreshError: null,
	});
	expect(Object.keys(snapshot)).toHaveLength(5);
	expect(snapshot.fetchedAt).toBeGreaterThanOrEqual(startedAt);
});

test('codex-models says so when Codex lists no models', async () => {
	const empty = await runScripted(['answers', { models: [] }]);
	expect(empty).toMatchObject({
		exitCode: 0,
		stdout: '',
		stderr: 'codex-models: Codex lists no models\n',
	});
	const json = await runScripted(['answers', { models: [] }], '--json');
	expect(json).toMatchObject({ exitCode: 0, stdout: '[]\n', stderr: '' });
});

test('codex-models passes on a warning that concerns the list, and no other', async () => {
	const summary = 'Invalid configuration; using defaults.';
	const shown = await runScripted([
		'warns',
		{ models, warning: { summary, details: 'bad\u001b[2J\nvalue' } },
	]);
	expect(shown.stderr).toBe(`codex-models: Codex warns: ${summary} bad value\n`);
	const sandbox = 'Codex could not find bubblewrap on PATH.';
	const hushed = await runScripted([
		'warns',
		{ models, warning: { summary: sandbox, details: null } },
	]);
	expect(hushed).toMatchObject({ exitCode: 0, stderr: '' });
});

test('a failure is one line on stderr and exit code 1', async () => {
	const error = { code: -32600, message: 'two\nlines\u001b[2J\u202e' };
	const { exitCode, stdout, stderr } = await runScripted(['refuses', { at: 'model/list', error }]);
	expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
	expect(stderr).toMatch(/^codex-models: [^\n]*-32600[^\n]*two lines[^\n]*\n$/);
	expect(stderr).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
});

test('a missing Codex is answered with how to install it, and with --codex', async () => {
	const { exitCode, stderr } = await run(['--no-cache', '--codex', '/nowhere/codex']);
	expect(exitCode).toBe(1);
	expect(stderr).toMatch(
		/^codex-models: .*\/nowhere\/codex.*npm install -g @openai\/codex.*--codex PATH.*\n$/,
	);
});

test('--timeout ends the wait, advises a longer one, and leaves no process', async () => {
	const hanging: Step = ['hangs', { at: 'initialize', ignores: ['end'] }];
	const { exitCode, stderr } = await runScripted(hanging, '--timeout', '300');
	expect(exitCode).toBe(1);
	expect(stderr).toMatch(/^codex-models: .*300 ms.*--timeout MS.*\n$/);
});

test.each([[['--nope']], [['word']], [['--timeout', '0']], [['--snapshot']]])(
	'wrong usage is one line on stderr and exit code 2: %j',
	async (args) => {
		const { exitCode, stdout, stderr } = await run(args);
		expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
		expect(stderr).toMatch(/^codex-models: [^\n]*--help\)\n$/);
	},
);

test('a closed stderr does not change the exit code', async () => {
	const misuse = start(['--nope']);
	misuse.child.stderr.destroy();
	const failure = start(['--no-cache', '--codex', '/nowhere/codex']);
	failure.child.stderr.destroy();
	expect((await misuse.done).exitCode).toBe(2);
	expect((await failure.done).exitCode).toBe(1);
});

test('a reader that has seen enough is no failure', async () => {
	const many = Array.from({ length: 20_000 }, (_, index) => ({
		id: `model-${index}`,
		description: 'x'.repeat(100),
	}));
	const { codex } = installScript(['answers', { models: many }]);
	const { child, done } = start(['--no-cache', '--json', '--codex', codex]);
	child.stdout.once('data', () => child.stdout.destroy());
	expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
});

/** An environment whose lists are kept in a directory of its own. */
function makeKeep() {
	const home = makeDirectory();
	const env = { HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), CODEX_HOME: home };
	/** Changes the configuration, which makes the kept list stale. */
	const configure = () => writeFileSync(path.join(home, 'config.toml'), 'model = "changed"\n');
	return { env, configure };
}

test('codex-models serves the kept list without asking Codex, but with --refresh', async () => {
	const { env } = makeKeep();
	const { server, codex } = installScript(
		['answers', { models }],
		['answers', { models: [{ id: 'newer' }] }],
	);
	const first = await run(['--codex', codex], env);
	const second = await run(['--codex', codex], env);
	expect([first.stdout, server.starts]).toEqual([second.stdout, 1]);
	const third = await run(['--codex', codex, '--refresh'], env);
	expect(third.stdout).toContain('newer');
	expect(server.starts).toBe(2);
});

test('codex-models waits for a new list when the kept one is stale', async () => {
	const { env, configure } = makeKeep();
	const { codex } = installScript(
		['answers', { models }],
		['answers', { models: [{ id: 'newer' }] }],
	);
	await run(['--codex', codex], env);
	configure();
	expect(await run(['--codex', codex], env)).toMatchObject({ exitCode: 0, stderr: '' });
	expect((await run(['--codex', codex], env)).stdout).toContain('newer');
});

test('codex-models prints a stale list when Codex cannot be asked, with its age and the reason', async () => {
	const { env, configure } = makeKeep();
	const refusal: Step = [
		'refuses',
		{ at: 'model/list', error: { code: -32600, message: 'not now' } },
	];
	const { codex } = installScript(['answers', { models }], refusal);
	const first = await run(['--codex', codex], env);
	configure();
	const { exitCode, stdout, stderr } = await run(['--codex', codex], env);
	expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: first.stdout });
	expect(stderr).toMatch(
		/^codex-models: this list is \d+ seconds? old, because Codex could not be asked: .*not now.*\n$/,
	);
	const snapshot = JSON.parse((await run(['--codex', codex, '--json', '--snapshot'], env)).stdout);
	expect(snapshot).toMatchObject({ isFresh: false, refreshError: { code: 'ERR_CODEX_RPC' } });
	expect(snapshot.refreshError.message).toContain('not now');
	expect(Object.keys(snapshot.refreshError)).toEqual(['code', 'message']);
	expect(await run(['--codex', codex, '--refresh'], env)).toMatchObject({
		exitCode: 1,
		stdout: '',
	});
});

test('codex-models lists the models of the real Codex', async () => {
	const CODEX_HOME = makeDirectory();
	const { exitCode, stdout, stderr } = await run(['--no-cache', '--codex', realCodex, '--json'], {
		CODEX_HOME,
	});
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	expect(JSON.parse(stdout).length).toBeGreaterThan(0);
});

const hasTerminal =
	process.platform === 'linux' && spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
const skipped = hasTerminal ? '' : ' (SKIPPED: the `script` of util-linux is missing)';

/** The output on a terminal of that width. */
async function runOnTerminal(
	step: Step,
	{ columns = 80, ...env }: Record<string, string | number> = {},
) {
	const { server, codex } = installScript(step);
	const words = [process.execPath, commandLine, '--no-cache', '--codex', codex];
	const line = `stty cols ${columns}; ${words.map((word) => `'${word}'`).join(' ')}`;
	const { PATH, HOME } = process.env;
	const child = spawn('script', ['-qec', line, '/dev/null'], {
		env: { PATH, HOME, TERM: 'xterm-256color', ...(env as Record<string, string>) },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let output = '';
	const closed = new Promise((resolve) => child.once('close', resolve));
	child.stdout.setEncoding('utf8').on('data', (chunk) => {
		output += chunk;
		if (output.includes('Asking Codex')) server.open('gate');
	});
	await closed;
	return output.replaceAll('\r\n', '\n');
}

test.runIf(hasTerminal)(`a terminal has colours, and none with NO_COLOR${skipped}`, async () => {
	const [colored, plain] = await Promise.all([
		runOnTerminal(['answers', { models }]),
		runOnTerminal(['answers', { models }], { NO_COLOR: '1' }),
	]);
	expect(colored).toContain('\u001b[1m*  gpt-a  GPT A  low\u001b[22m');
	expect(plain).toContain('*  gpt-a  GPT A  low\n');
	expect(plain).not.toContain('\u001b[1m');
});

test.runIf(hasTerminal)(
	`a narrow terminal cuts a long name, and shows whole ids${skipped}`,
	async () => {
		const named = [{ id: 'gpt-a', displayName: 'GPT A with a long name' }];
		const [narrow, none] = await Promise.all(
			[30, 0].map((columns) =>
				runOnTerminal(['answers', { models: named }], { NO_COLOR: '1', columns }),
			),
		);
		expect(narrow).toMatch(/ gpt-a {2}GPT A wi?t?h?…\n/);
		expect(none).toContain('gpt-a  GPT A with a long name\n');
	},
);

test.runIf(hasTerminal)(
	`a terminal shows a waiting line, and clears it for the table${skipped}`,
	async () => {
		const output = await runOnTerminal(['answers', { models, gates: { 'model/list': 'gate' } }], {
			NO_COLOR: '1',
		});
		const [before, seconds = '', after] = output.split('\r\u001b[K');
		expect([before, after?.slice(0, 5)]).toEqual(['', '   ID']);
		expect(seconds).toMatch(/^Asking Codex … \d+ s$/);
	},
);

test('a pipe has colours with FORCE_COLOR only', async () => {
	const { codex } = installScript(['answers', { models }]);
	const args = ['--no-cache', '--codex', codex];
	const [plain, forced] = await Promise.all([
		run(args, { NO_COLOR: undefined }),
		run(args, { FORCE_COLOR: '1' }),
	]);
	expect(plain.stdout).not.toContain('\u001b');
	expect(forced.stdout).toContain('\u001b[1m*  gpt-a');
});
