import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import {
	CodexModelsError,
	closedError,
	exitedError,
	MisuseError,
	notFoundError,
	protocolError,
	rpcError,
	timeoutError,
	toCodexModelsError,
} from '../../src/api/errors.js';

const at = { phase: 'initialize', elapsedMs: 12.4 } as const;
const ended = { ...at, exitCode: 1, signal: null, stderr: 'Error: no', stderrSummary: 'Error: no' };
const missing = Object.assign(new Error('spawn codex ENOENT'), { code: 'ENOENT' });

const notFound = (problem: Parameters<typeof notFoundError>[0]['problem'], directory?: string) =>
	notFoundError({
		elapsedMs: 3,
		command: 'codex',
		problem,
		cause: missing,
		...(directory && { directory }),
	});

/** Functions, so that mutation testing sees which test runs which line. */
const examples: Record<string, () => CodexModelsError> = {
	'a missing program': () => notFound('missing'),
	'a missing interpreter': () => notFound('no interpreter'),
	'a program without permission': () => notFound('not executable'),
	'a missing directory': () => notFound('no directory', '/nowhere'),
	'a look-up that failed': () => notFound('look-up failed'),
	'an exit code': () => exitedError({ ...ended, commandLine: 'codex app-server' }),
	'a signal': () => exitedError({ ...ended, exitCode: null, signal: 'SIGKILL' }),
	'a closed output': () => exitedError({ ...ended, exitCode: null, stderr: '', stderrSummary: '' }),
	'a start that failed': () =>
		exitedError({ ...ended, exitCode: null, cause: new Error('spawn EMFILE') }),
	'a deadline': () => timeoutError({ ...ended, limit: 'deadlineMs', timeoutMs: 500 }),
	'a fetch limit': () => timeoutError({ ...ended, limit: 'fetchTimeoutMs', timeoutMs: 500 }),
	'a JSON-RPC error': () =>
		rpcError({ ...at, rpcCode: -32600, rpcMessage: 'no', rpcData: undefined }),
	'an overload': () =>
		rpcError({ ...at, rpcCode: -32001, rpcMessage: 'later', rpcData: undefined }),
	'an unreadable answer': () => protocolError({ ...at, problem: 'its result is no object' }),
	'a closed catalog': () => closedError(),
};

const optionNames =
	/\b(?:command|args|cwd|codexHome|env|clientInfo|\w+Ms|retries|maxEntries|store|onEvent|includeHidden|signal|refresh|hint)\b/;

test.each(Object.entries(examples))(
	'the message of %s names no option and ends with a sentence for a user',
	(_, make) => {
		const { message } = make();
		expect(message).not.toMatch(optionNames);
		expect(message).toMatch(
			/(?:try again|in a while)\.(?: An update of Codex may help \("codex --version"\)\.)?$/,
		);
	},
);

const login = 'Check the network and the login ("codex login status"), then try again.';
const installs = 'Install Codex with "npm install -g @openai/codex", then try again.';
const noStart = 'Codex could not be started (phase spawn, after 3 ms):';
const during = 'before it answered (phase initialize, after 12 ms)';
const noList = `Codex did not list its models within 500 ms (phase initialize): Error: no. ${login}`;
const runnable =
	'Set the option "command" to a program that runs, by its path or as a name in an absolute folder of PATH.';
const seeAttempts =
	'See the property "stderr"; the option "onEvent" and NODE_DEBUG=codex-models show each attempt.';
const program =
	'Check that the program is the Codex CLI ("codex --version"), update it, then try again.';

test.each<[string, string, string | undefined]>([
	[
		'a missing program',
		`${noStart} the program "codex" was not found (ENOENT). ${installs}`,
		runnable,
	],
	[
		'a missing interpreter',
		`${noStart} the program "codex" exists, but the interpreter that its first line names does not (ENOENT). ${installs}`,
		runnable,
	],
	[
		'a program without permission',
		`${noStart} the program "codex" may not be run (ENOENT). Check its permissions. ${installs}`,
		runnable,
	],
	[
		'a missing directory',
		`${noStart} the folder "/nowhere" does not exist or cannot be entered (ENOENT). Create the folder, then try again.`,
		'Set the option "cwd" to another folder.',
	],
	[
		'a look-up that failed',
		`${noStart} the program "codex" could not be looked up (ENOENT). ${installs}`,
		'The function that is the option "command" failed with "cause".',
	],
	[
		'an exit code',
		`Codex ended with exit code 1 ${during}: Error: no. To see more, run "codex app-server" in a terminal. ${login}`,
		seeAttempts,
	],
	['a signal', `Codex was ended by SIGKILL ${during}: Error: no. ${login}`, seeAttempts],
	['a closed output', `Codex closed its output, or gave up, ${during}. ${login}`, seeAttempts],
	[
		'a start that failed',
		`Codex could not be started (spawn EMFILE) ${during}: Error: no. ${login}`,
		seeAttempts,
	],
	[
		'a deadline',
		noList,
		'The fetch goes on and fills the cache. Allow a longer "deadlineMs" if this happens often.',
	],
	[
		'a fetch limit',
		noList,
		'The app-server was ended. Allow a longer "fetchTimeoutMs" if this happens often.',
	],
	[
		'a JSON-RPC error',
		`Codex answered with error -32600 (phase initialize, after 12 ms): no. ${login} An update of Codex may help ("codex --version").`,
		undefined,
	],
	[
		'an overload',
		'Codex answered with error -32001 (phase initialize, after 12 ms): later. Try again in a while.',
		undefined,
	],
	[
		'an unreadable answer',
		`The answer of Codex cannot be read (phase initialize, after 12 ms): its result is no object. ${program}`,
		'Check that the options "command" and "args" start `codex app-server`.',
	],
	[
		'a closed catalog',
		'The list of models is closed. Start the program again, then try again.',
		'Make a new CodexModelCatalog to ask again.',
	],
])('%s has a message for its user and a hint for a developer', (name, message, hint) => {
	expect(examples[name]?.().message).toBe(message);
	expect(examples[name]?.().hint).toBe(hint);
});

test('an error of each kind has the properties of its code', () => {
	expect(examples['a missing program']?.()).toMatchObject({
		code: 'ERR_CODEX_NOT_FOUND',
		command: 'codex',
		cause: missing,
	});
	const exit = { phase: 'initialize', exitCode: 1, signal: null, stderr: 'Error: no' };
	expect(examples['an exit code']?.()).toMatchObject({ code: 'ERR_CODEX_EXITED', ...exit });
	const deadline = { timeoutMs: 500, phase: 'initialize', stderr: 'Error: no' };
	expect(examples['a deadline']?.()).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', ...deadline });
	expect(examples['a JSON-RPC error']?.()).toMatchObject({
		code: 'ERR_CODEX_RPC',
		phase: 'initialize',
		rpcCode: -32600,
	});
	expect(examples['an unreadable answer']?.()).toMatchObject({
		code: 'ERR_CODEX_PROTOCOL',
		phase: 'initialize',
	});
});

test('last words that end with a full stop, a question or an exclamation mark get no other one', () => {
	for (const words of ['No.', 'Why?', 'Stop!']) {
		expect(protocolError({ phase: 'initialize', problem: words }).message).toContain(
			`(phase initialize): ${words} Check`,
		);
	}
	expect(protocolError({ phase: 'initialize', problem: 'a. b' }).message).toContain(
		': a. b. Check',
	);
});

test('an exit code of Windows is shown in hexadecimal, too, and a signal-like one is not', () => {
	expect(exitedError({ ...ended, exitCode: 3_221_225_781 }).message).toContain(
		'exit code 3221225781 (0xC0000135) before',
	);
	expect(exitedError({ ...ended, exitCode: 0x7fff_ffff }).message).toContain(
		'exit code 2147483647 before',
	);
});

test('an error without a cause has no property of that name', () => {
	expect(Object.hasOwn(closedError(), 'cause')).toBe(false);
});

test('an error has only the properties of its code', () => {
	expect(Object.keys(examples['a closed catalog']?.() ?? {}).sort()).toEqual(['code', 'hint']);
	expect(Object.keys(examples['a JSON-RPC error']?.() ?? {}).sort()).toEqual([
		'code',
		'hint',
		'phase',
		'rpcCode',
		'rpcData',
	]);
});

test('a message is at most 2,000 characters long', () => {
	const error = new CodexModelsError('ERR_CODEX_PROTOCOL', 'x'.repeat(5_000));
	expect(error.message).toHaveLength(2_000);
	expect(error.message.endsWith(' …')).toBe(true);
});

test('a message of the server is sanitized and cut', () => {
	const rpcMessage = `\u001b[31mtoken sk-abcdefghijkl\u0007${'x'.repeat(5_000)}`;
	const { message } = rpcError({ ...at, rpcCode: -1, rpcMessage, rpcData: undefined });
	expect(message).toContain('token [redacted]');
	for (const control of ['\u0007', '\u001b']) expect(message).not.toContain(control);
	expect(message.length).toBeLessThan(1_500);
});

test('a CodexModelsError is an Error with its own name, also when it is printed', () => {
	const error = closedError();
	expect(error).toBeInstanceOf(Error);
	expect(error.name).toBe('CodexModelsError');
	expect(inspect(error)).toMatch(/^CodexModelsError: The list of models is closed/);
});

test('toCodexModelsError keeps an error of its class and wraps any other value', () => {
	const error = closedError();
	expect(toCodexModelsError(error)).toBe(error);
	const cause = new Error('spawn EAGAIN');
	expect(toCodexModelsError(cause)).toMatchObject({
		code: 'ERR_CODEX_EXITED',
		cause,
		exitCode: null,
	});
	const odd = toCodexModelsError('odd');
	expect(odd.message).toMatch(
		/^Codex could not be started \(odd\) before it answered \(phase spawn, after 0 ms\)\. Check/,
	);
	expect(odd).toMatchObject({ stderr: '', phase: 'spawn' });
});

test('the message of a refresh that failed by misuse names no option', () => {
	const { message, code, cause } = toCodexModelsError(
		new MisuseError('Expected option "command" to be a string, got 7 (number)'),
	);
	expect(code).toBe('ERR_CODEX_EXITED');
	expect(message).not.toMatch(/option|"command"/);
	expect(cause).toBeInstanceOf(TypeError);
});
