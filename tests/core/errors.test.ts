import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import {
	CodexModelsError,
	closedError,
	exitedError,
	notFoundError,
	protocolError,
	rpcError,
	timeoutError,
	toCodexModelsError,
} from '../../src/core/errors.js';

const at = { phase: 'initialize', elapsedMs: 12.4 } as const;
const ended = { ...at, exitCode: 1, signal: null, stderr: 'Error: no', stderrSummary: 'Error: no' };
const missing = Object.assign(new Error('spawn codex ENOENT'), { code: 'ENOENT' });

const notFound = (problem: Parameters<typeof notFoundError>[0]['problem'], directory?: string) =>
	notFoundError({ elapsedMs: 3, command: 'codex', problem, cause: missing, ...(directory && { directory }) });

const examples: Record<string, CodexModelsError> = {
	'a missing program': notFound('missing'),
	'a missing interpreter': notFound('no interpreter'),
	'a program without permission': notFound('not executable'),
	'a missing directory': notFound('no directory', '/nowhere'),
	'a look-up that failed': notFound('look-up failed'),
	'an exit code': exitedError({ ...ended, commandLine: 'codex app-server' }),
	'a signal': exitedError({ ...ended, exitCode: null, signal: 'SIGKILL' }),
	'a closed output': exitedError({ ...ended, exitCode: null, stderr: '', stderrSummary: '' }),
	'a start that failed': exitedError({ ...ended, exitCode: null, cause: new Error('spawn EMFILE') }),
	'a deadline': timeoutError({ ...ended, limit: 'deadlineMs', timeoutMs: 500 }),
	'a fetch limit': timeoutError({ ...ended, limit: 'fetchTimeoutMs', timeoutMs: 500 }),
	'a JSON-RPC error': rpcError({ ...at, rpcCode: -32600, rpcMessage: 'no', rpcData: undefined }),
	'an overload': rpcError({ ...at, rpcCode: -32001, rpcMessage: 'later', rpcData: undefined }),
	'an unreadable answer': protocolError({ ...at, problem: 'its result is no object' }),
	'a closed catalog': closedError(),
};

const optionNames =
	/\b(?:command|args|cwd|codexHome|env|clientInfo|\w+Ms|retries|maxEntries|store|onEvent|includeHidden|signal|refresh|hint)\b/;

test.each(Object.entries(examples))('the message of %s names no option and ends with a sentence for a user', (_, error) => {
	expect(error.message).not.toMatch(optionNames);
	expect(error.message).toMatch(/(?:try again|in a while)\.(?: An update of Codex may help \("codex --version"\)\.)?$/);
});

test('the message of an exit tells the exit code, the phase, the time, the last words and the command line', () => {
	expect(examples['an exit code']?.message).toBe(
		'Codex ended with exit code 1 before it answered (phase initialize, after 12 ms): Error: no. To see more, run "codex app-server" in a terminal. Check the network and the login ("codex login status"), then try again.',
	);
});

test('the message of a missing program tells how to install it, and the hint names the option', () => {
	const error = examples['a missing program'];
	expect(error?.message).toBe(
		'Codex could not be started (phase spawn, after 3 ms): the program "codex" was not found (ENOENT). Install Codex with "npm install -g @openai/codex", then try again.',
	);
	expect(error?.hint).toContain('"command"');
	expect(error).toMatchObject({ code: 'ERR_CODEX_NOT_FOUND', command: 'codex', cause: missing });
});

test('the message of a missing directory names the directory', () => {
	expect(examples['a missing directory']?.message).toContain('the folder "/nowhere" does not exist or cannot be entered');
	expect(examples['a missing directory']?.hint).toContain('"cwd"');
});

test('the message of a deadline tells the limit and the last words, and the hint names the option', () => {
	expect(examples['a deadline']).toMatchObject({ timeoutMs: 500, phase: 'initialize', stderr: 'Error: no' });
	expect(examples['a deadline']?.message).toContain('did not list its models within 500 ms (phase initialize): Error: no. Check');
	expect(examples['a deadline']?.hint).toContain('"deadlineMs"');
	expect(examples['a fetch limit']?.hint).toContain('"fetchTimeoutMs"');
});

test('an exit code of Windows is shown in hexadecimal, too', () => {
	expect(exitedError({ ...ended, exitCode: 3_221_225_781 }).message).toContain('exit code 3221225781 (0xC0000135)');
});

test('a start that failed tells the reason of the system', () => {
	expect(examples['a start that failed']?.message).toContain('Codex could not be started (spawn EMFILE)');
});

test('an error has only the properties of its code', () => {
	expect(Object.keys(examples['a closed catalog'] ?? {}).sort()).toEqual(['code', 'hint']);
	expect(Object.keys(examples['a JSON-RPC error'] ?? {}).sort()).toEqual(['code', 'hint', 'phase', 'rpcCode', 'rpcData']);
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
	expect(toCodexModelsError(cause)).toMatchObject({ code: 'ERR_CODEX_EXITED', cause, exitCode: null });
	expect(toCodexModelsError('odd').message).toContain('odd');
});
