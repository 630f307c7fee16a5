import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectory, type Step } from '../harness.js';
import { installScript, run } from './run.js';

const answer: Step = ['answers', { models: [{ id: 'first' }] }];
const newer: Step = ['answers', { models: [{ id: 'newer' }] }];
const refusal: Step = ['answersWith', { message: { error: { code: -32600, message: 'not now' } } }];

/** A Codex that follows these steps, and runs of the command line that share a directory for lists. */
function makeKeep(...steps: Step[]) {
	const home = makeDirectory();
	const { server, codex } = installScript(...steps);
	const env = { HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), CODEX_HOME: home };
	return {
		home,
		server,
		list: (args: string[] = [], nodeArgs: string[] = []) =>
			run(['--codex', codex, ...args], { env, nodeArgs }),
	};
}

/** The clock of a process that is this much ahead. */
const ahead = (ms: number) => [
	'--import',
	`data:text/javascript,const now = Date.now; Date.now = () => now() + ${ms}`,
];

test('the kept list is printed without asking Codex, but with --refresh or --no-cache', async () => {
	const { server, list } = makeKeep(answer, newer);
	const first = await list();
	expect(await list()).toEqual(first);
	expect(server.starts).toBe(1);
	expect((await list(['--no-cache'])).stdout).toContain('newer');
	expect(await list()).toEqual(first);
	expect((await list(['--refresh'])).stdout).toContain('newer');
	expect(server.starts).toBe(3);
	expect((await list()).stdout).toContain('newer');
});

test('a kept list is printed with its age, and asked for again after five minutes', async () => {
	const { server, list } = makeKeep(answer, newer);
	await list();
	expect(await list([], ahead(240_000))).toMatchObject({
		stdout: expect.stringContaining('first'),
		stderr: 'codex-models: This list is 4 min old; --refresh asks Codex.\n',
	});
	expect(server.starts).toBe(1);
	expect(await list([], ahead(360_000))).toMatchObject({
		stdout: expect.stringContaining('newer'),
		stderr: '',
	});
});

test('a stale list is printed with its age and the reason when Codex cannot be asked', async () => {
	const { list } = makeKeep(answer, refusal);
	const first = await list();
	const { exitCode, stdout, stderr } = await list([], ahead(36 * 3_600_000));
	expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: first.stdout });
	expect(stderr).toMatch(
		/^codex-models: This list is 36 h old, because Codex could not be asked: .*not now.*\n$/,
	);
	expect(await list(['--refresh'])).toMatchObject({ exitCode: 1, stdout: '' });
});

test('a store that fails is told on stderr, and the list is printed', async () => {
	const { home, list } = makeKeep(answer);
	writeFileSync(path.join(home, 'cache'), 'a file where a directory is needed');
	const { stdout, stderr } = await list();
	expect(stdout).toContain('first');
	expect(stderr).toMatch(/^codex-models: The list could not be kept: .+\n$/);
});

test('a warning about the list is printed each time, also for the kept list', async () => {
	const summary = 'Invalid configuration; using defaults.';
	const { server, list } = makeKeep([
		'warns',
		{ models: [{ id: 'first' }], warning: { summary, details: 'bad\u001b[2J\nvalue' } },
	]);
	const runs = [await list(), await list()];
	expect(server.starts).toBe(1);
	for (const { stderr } of runs) {
		expect(stderr).toMatch(/^codex-models: Codex warns: Invalid configuration[^\n]*bad value\n$/);
	}
});

test('a warning about something else is not printed', async () => {
	const warning = { summary: 'Codex could not find bubblewrap on PATH.', details: null };
	const { list } = makeKeep(['warns', { models: [{ id: 'first' }], warning }]);
	expect(await list()).toMatchObject({ exitCode: 0, stderr: '' });
});
