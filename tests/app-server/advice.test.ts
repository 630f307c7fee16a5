import { beforeEach, expect, test, vi } from 'vitest';
import { exitedError, toFailure } from '../../src/app-server/failures.js';
import { failureOf } from '../harness.js';
import {
	complain,
	deaf,
	makeShellCatalog,
	refuse,
	type Shell,
	setTimings,
} from './shell-server.js';

beforeEach(() => {
	setTimings();
	vi.spyOn(performance, 'now').mockReturnValue(7_777);
});

function fail(shell: Shell) {
	const { catalog } = makeShellCatalog([shell], { retries: 0 });
	return failureOf(catalog.list());
}

const login = 'Check the network and the login ("codex login status"), then try again. ';
const install = 'Install Codex with "npm install -g @openai/codex", then try again. ';
const update = 'Update Codex with "npm install -g @openai/codex", then try again. ';
const checkProgram = `Check that the program is the Codex CLI ("codex --version"). ${update}`;
const seeMore = 'To see more, run "/bin/sh app-server" in a terminal.';

test.each([
	['', 1, login],
	['Error: Not logged in', 1, login],
	['Error: refresh_token was already used', 1, login],
	['Error: 401 Unauthorized', 1, login],
	['Error: error sending request: connection refused', 1, login],
	['Error: disk full!', 1, ''],
	['Error: cannot read the catalog in /h', 1, ''],
	['Error: unexpected token at line 1', 1, ''],
	['sh: 1: codex: Permission denied', 126, `The program cannot run. ${install}`],
	['env: node: No such file or directory', 127, `The program cannot run. ${install}`],
	[
		'Error: CODEX_HOME points to "/h", but that path does not exist',
		1,
		'Create the folder that CODEX_HOME names, then try again. ',
	],
	['Error: Missing optional dependency @openai/codex-linux-x64. Reinstall Codex', 1, install],
	['codex: 1: Syntax error: "(" unexpected', 2, `The program cannot run. ${install}`],
	["error: unrecognized subcommand 'app-server'", 2, checkProgram],
	["codex: error: argument cmd: invalid choice: 'app-server'", 2, checkProgram],
	['Error: No such device or address (os error 6)', 1, checkProgram],
	['12 books found', 0, checkProgram],
])(
	'an end with the words "%s" and exit code %d has the advice that fits',
	async (words, exitCode, advice) => {
		const { message, hint } = await fail({ start: `${complain(words)}; exit ${exitCode}` });
		const quoted = words === '' ? '' : `: ${words}`;
		expect(message).toBe(
			`Codex ended with exit code ${exitCode} before it answered (phase initialize, after 0 ms)${quoted}${quoted.endsWith('!') ? '' : '.'} ${advice}${seeMore}`,
		);
		expect(hint).toBe(
			'See the property "stderr"; the option "onEvent" and NODE_DEBUG=codex-models show each attempt.',
		);
	},
);

test.each([
	['kill -KILL $$', 'Codex was ended by SIGKILL before it answered'],
	[`exec >&-; ${deaf}`, 'Codex closed its output before it answered'],
])('an end by %s is told as such', async (start, what) => {
	const { message } = await fail({ start });
	expect(message).toBe(`${what} (phase initialize, after 0 ms). ${login}${seeMore}`);
});

test.each([
	[0x7fff_ffff, '2147483647'],
	[0x8000_0000, '2147483648 (0x80000000)'],
	[0xc000_013a, '3221225786 (0xC000013A)'],
])('the exit code %d of Windows is told as %s', (exitCode, told) => {
	const progress = { phase: 'initialize', stderr: '', lastWords: '' } as const;
	const end = { exitCode, signal: null, startedAt: 7_777, command: 'codex' };
	expect(exitedError({ ...progress, ...end }).message).toBe(
		`Codex ended with exit code ${told} before it answered (phase initialize, after 0 ms). ${login}To see more, run "codex app-server" in a terminal.`,
	);
});

test.each([
	[{ code: -32600, message: 'token expired' }, login],
	[{ code: -32600, message: 'no', data: { reason: 'Unauthorized' } }, login],
	[{ code: -32001, message: 'later' }, 'Try again in a while. '],
	[{ code: -32600, message: 'cursor is bad' }, 'Try again in a while. '],
	[{ code: -32601, message: 'unknown method' }, update],
])('the JSON-RPC error %o has the advice that fits', async (refusal, advice) => {
	const { message } = await fail({ list: refuse(refusal) });
	expect(message).toBe(
		`Codex answered with error ${refusal.code} (phase model/list, after 0 ms): ${refusal.message}. ${advice.trim()}`,
	);
});

const cannotRun = ['EACCES', 'EPERM', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EISDIR', 'UNKNOWN'];
const noInterpreter = 'exists, but the interpreter that its first line names does not';
const isForeign = 'is for another kind of processor or system';
type Row = [code: string, words: string, advice: string, folders?: string[], places?: string];

test.each<Row>([
	['ENOENT', 'was not found', install, ['/a', '/b'], ': It was looked for in /a, /b'],
	['ENOENT', 'was not found', install, []],
	['ENOENT', noInterpreter, install],
	['ENOEXEC', isForeign, install],
	['EFTYPE', isForeign, install],
	...cannotRun.map((code): Row => [code, 'may not be run', `Check its permissions. ${install}`]),
])('a start that fails with %s %s', (code, words, advice, folders, places = '') => {
	const cause = Object.assign(new Error('spawn'), { code, folders, spawnargs: ['secret'] });
	expect(toFailure(cause, 'my\ncodex', 7_776.4)).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		message: `Codex could not be started: the program "my codex" ${words} (${code}) (phase spawn, after 1 ms)${places}. ${advice.trim()}`,
		hint: 'Set the option "command" to a program that runs, by its path or as a name on PATH.',
		command: 'my codex',
		cause,
	});
	expect(cause).not.toHaveProperty('spawnargs');
});
