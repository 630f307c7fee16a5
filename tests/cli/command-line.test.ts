import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { version } from '../../src/api/settings.js';
import { isAlive, type Step } from '../harness.js';
import { commandLine, installScript, run, runScripted, start } from './run.js';

const models = [
	{
		id: 'gpt-a',
		displayName: 'GPT A',
		isDefault: true,
		supportedReasoningEfforts: [{ reasoningEffort: 'low' }, { reasoningEffort: 'high' }],
	},
	{
		id: 'gpt-b',
		model: 'wire-b',
		displayName: 'Second',
		serviceTiers: [{ id: 'priority', name: 'Fast' }, { id: 'flex' }],
	},
	{ id: 'gpt-hidden', hidden: true },
];

const refusal: Step = [
	'answersWith',
	{ message: { error: { code: -32600, message: 'not\nnow\u001b[2J\u202e' } } },
];

test('-h and --help print the help, which names each option in lines of 80 columns', async () => {
	const [short, long] = await Promise.all([run(['-h']), run(['--help'])]);
	expect(long).toEqual(short);
	expect(long).toMatchObject({ exitCode: 0, stderr: '' });
	const names = 'json hidden refresh no-cache codex timeout help version'.split(' ');
	for (const name of names) expect(long.stdout).toMatch(new RegExp(`^  .*--${name} `, 'm'));
	expect(long.stdout).toMatch(/Exit code: 0 .* 1 .* 2 /);
	expect(Math.max(...long.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});

test('-V and --version print the version', async () => {
	for (const option of ['-V', '--version'])
		expect(await run([option])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

test('codex-models prints a table, which marks the default model and with --hidden the hidden ones', async () => {
	const { exitCode, stdout, stderr } = await runScripted(['answers', { models }], '--hidden');
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	expect(stdout.split('\n')).toEqual([
		'   ID          NAME                 EFFORTS   TIERS',
		'*  gpt-a       GPT A                low high',
		'   gpt-b       Second                         Fast flex',
		'   gpt-hidden  gpt-hidden (hidden)',
		'',
	]);
});

test.each([
	['gpt-a', ['>*  gpt-a', '    gpt-b']],
	['gpt-b', ['*  gpt-a', '>  gpt-b']],
	['wire-b', ['*  gpt-a', '>  gpt-b']],
	['other', ['*  gpt-a', '   gpt-b']],
])('the table marks the configured model %s, by id or model', async (model, rows) => {
	const { stdout } = await runScripted(['answers', { models, config: { model } }]);
	const lines = stdout.split('\n').slice(1, 3);
	expect(lines.map((line) => line.slice(0, line.indexOf('gpt') + 5))).toEqual(rows);
});

test('the table shows nothing of a name that a terminal obeys, and lines up wide letters', async () => {
	const names = [
		'a\u001b[2Jb \u0007c\nd\u009b31me\u202ef\u2028g\u200bh\u001b]0;title\u0007',
		'漢字かな',
		'한국어',
		'ok 🎉',
		'ＧＰＴ',
		'cafe\u0301',
	];
	const tier = { serviceTiers: [{ id: 'flex' }] };
	const named = names.map((displayName, index) => ({ id: `${index}`, displayName, ...tier }));
	const { stdout } = await runScripted(['answers', { models: named }]);
	expect(stdout).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
	const rows = stdout.split('\n').slice(1, -1);
	expect(rows.map((row) => row.slice(6, row.indexOf('flex')))).toEqual([
		'ab c de f g h           ',
		'漢字かな                ',
		'한국어                  ',
		'ok 🎉                   ',
		'ＧＰＴ                  ',
		'cafe\u0301                    ',
	]);
});

test('--json prints an array of models, in which nothing is left that a terminal obeys', async () => {
	const hostile = 'a\u007fb\u009bc\u2028d\u202ee\u200bf\u{e0041}漢"\\n';
	const listed = [models[0], { id: 'gpt-b', displayName: hostile }, models[2]];
	const { exitCode, stdout } = await runScripted(['answers', { models: listed }], '--json');
	expect(exitCode).toBe(0);
	expect(stdout).toMatch(/^\[\n {2}\{\n {4}"id": "gpt-a",[ -~\n]*\n\]\n$/);
	expect(JSON.parse(stdout)).toMatchObject([
		{ id: 'gpt-a', supportedReasoningEfforts: [{ reasoningEffort: 'low' }, {}] },
		{ id: 'gpt-b', displayName: hostile },
	]);
});

test('a word lists the models that have it in their id or name, in any case', async () => {
	const step: Step = ['answers', { models }];
	const [byId, byName, hidden, none] = await Promise.all([
		runScripted(step, 'PT-a'),
		runScripted(step, 'SECOND', '--json'),
		runScripted(step, '--json', '--hidden', 'hidden'),
		runScripted(step, '--json', 'hidden'),
	]);
	expect(byId.stdout).toBe('   ID     NAME   EFFORTS   TIERS\n*  gpt-a  GPT A  low high\n');
	expect(JSON.parse(byName.stdout)).toMatchObject([{ id: 'gpt-b' }]);
	expect(JSON.parse(hidden.stdout)).toMatchObject([{ id: 'gpt-hidden' }]);
	expect(none).toMatchObject({
		exitCode: 1,
		stdout: '',
		stderr: 'codex-models: No model has "hidden" in its id or name.\n',
	});
});

test('an empty list is told on stderr after one question, and is an empty array in JSON', async () => {
	const step: Step = ['answers', { models: [] }];
	const stderr = 'codex-models: Codex lists no models.\n';
	const { server, ...table } = await runScripted(step);
	expect([table, server.starts]).toEqual([{ exitCode: 0, stdout: '', stderr }, 1]);
	expect(await runScripted(step, '--json')).toMatchObject({ exitCode: 0, stdout: '[]\n' });
});

test('a failure is one line on stderr and exit code 1', async () => {
	const { exitCode, stdout, stderr } = await runScripted(refusal);
	expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
	expect(stderr).toMatch(/^codex-models: [^\n]*-32600[^\n]*not now[^\n]*[^\s]\n$/);
	expect(stderr).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
});

test('a missing Codex is answered with how to install it, and with --codex', async () => {
	const { stderr } = await run(['--no-cache', '--codex', '/nowhere/codex']);
	expect(stderr).toMatch(/^codex-models: .*npm install -g @openai\/codex.*--codex PATH.*\n$/);
});

test('--codex takes a path in the home, or relative to the working directory', async () => {
	const { server, codex } = installScript(['answers', { models }]);
	const [HOME, cwd] = [path.dirname(codex), path.dirname(path.dirname(codex))];
	const home = await run(['--no-cache', '--codex=~/codex'], { env: { HOME } });
	const relative = await run(['--no-cache', '--codex', path.relative(cwd, codex)], { cwd });
	expect([home.exitCode, relative.exitCode, server.starts]).toEqual([0, 0, 2]);
});

test('--timeout ends the wait, advises a longer one, and leaves no process', async () => {
	const hanging: Step = ['hangs', { at: 'initialize', ignores: ['end'] }];
	const { exitCode, stderr, server } = await runScripted(hanging, '--timeout', '300');
	expect(exitCode).toBe(1);
	expect(stderr).toMatch(/^codex-models: .*300 ms.*--timeout MS.*\n$/);
	expect(server.pids.filter(isAlive)).toEqual([]);
});

test.each([
	[['--nope'], '--nope'],
	[['--json=1'], '--json'],
	[['two', 'words'], 'two words'],
	[['--codex'], '--codex'],
	[['--codex', ' '], "' '"],
	[['--timeout', '0'], '"0"'],
	[['--timeout', '1.5'], '"1.5"'],
	[['--timeout', '1000000000'], '999999999'],
])('wrong usage is one line on stderr and exit code 2: %j', async (args, quoted) => {
	const { exitCode, stdout, stderr } = await run(args);
	expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
	expect(stderr).toMatch(/^codex-models: [^\n]* \(see codex-models --help\)\n$/);
	expect(stderr).toContain(quoted);
});

test('a closed stderr does not change the exit code', async () => {
	const misuse = start(['--nope']);
	misuse.child.stderr.destroy();
	const failure = start(['--no-cache', '--codex', '/nowhere/codex']);
	failure.child.stderr.destroy();
	expect([(await misuse.done).exitCode, (await failure.done).exitCode]).toEqual([2, 1]);
});

test('a reader that has seen enough is no failure', async () => {
	const many = Array.from({ length: 20_000 }, (_, index) => ({ id: `model-${index}` }));
	const { codex } = installScript(['answers', { models: many }]);
	const { child, done } = start(['--no-cache', '--codex', codex]);
	child.stdout.once('data', () => child.stdout.destroy());
	expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
});

test.runIf(process.platform === 'linux')('a list that cannot be written is a failure', () => {
	const { codex } = installScript(['answers', { models }]);
	const words = [process.execPath, commandLine, '--no-cache', '--codex', codex];
	const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$@" > /dev/full', ...words]);
	expect([status, String(stderr)]).toEqual([1, expect.stringContaining('ENOSPC')]);
});
