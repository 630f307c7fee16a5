import { toObject } from '../api/codex-model.js';
import {
	type At,
	checkLogin,
	type FetchProgress,
	makeError,
	protocolError,
	toCodexModelsError,
} from '../api/errors.js';
import { sanitizeJson, sanitizeLine } from '../system/sanitize.js';
import type { Exit } from './child-process.js';

const install = 'Install Codex with "npm install -g @openai/codex", then try again.';
const update = 'Update Codex with "npm install -g @openai/codex", then try again.';
const checkProgram = `Check that the program is the Codex CLI ("codex --version"). ${update}`;

/** With the folders in which a program was looked for, or the `cwd` that it cannot be started in. */
type StartCause = NodeJS.ErrnoException & { folders?: string[]; cwd?: string; spawnargs?: unknown };

/** Why a program or the folder to start it in is to blame; nothing for a failure of the system, such as EMFILE or EAGAIN. */
function describeStart({ code = '', folders, cwd }: StartCause) {
	if (cwd) return ['does not exist or cannot be entered', 'Create the folder, then try again.'];
	if (folders) return ['was not found', install];
	// The file was there a moment ago: ENOENT stands for a script without its interpreter, or a program for another libc.
	if (code === 'ENOENT')
		return ['exists, but the interpreter that its first line names does not', install];
	if (code === 'ENOEXEC' || code === 'EFTYPE')
		return ['is for another kind of processor or system', install];
	if (/^(?:EACCES|EPERM|ENOTDIR|ELOOP|ENAMETOOLONG|EISDIR|UNKNOWN)$/.test(code))
		return ['may not be run', `Check its permissions. ${install}`];
	return [];
}

/** Any failure of an attempt as a `CodexModelsError`: one of the system is a start that failed. */
export function toFailure(cause: StartCause, command: string, startedAt: number) {
	// Node adds the arguments, which are shown to all who print the error, and may hold a secret.
	delete cause.spawnargs;
	const [words, advice = ''] = describeStart(cause);
	if (!words) return toCodexModelsError(cause, startedAt);
	const { cwd, folders, code } = cause;
	const subject = cwd ? `folder "${cwd}"` : `program "${command}"`;
	const hint = cwd
		? 'Set the option "cwd" to another folder.'
		: 'Set the option "command" to a program that runs, by its path or as a name on PATH.';
	const what = `Codex could not be started: the ${sanitizeLine(subject, 310)} ${words} (${code})`;
	const places = folders?.length ? `It was looked for in ${folders.join(', ')}` : '';
	return makeError('ERR_CODEX_NOT_FOUND', [what, sanitizeLine(places, 1_000), advice], {
		phase: 'spawn',
		startedAt,
		command: sanitizeLine(command, 1_000),
		cause,
		hint,
	});
}

const loginWords = [
	'log(?:ged)?[ -]?(?:in|out)',
	'o?auth(?!ors?\\b)',
	'unauthori',
	'network',
	'(?:re|dis)?connect',
	'dns',
	'resolve host',
	'timed? ?out',
	'certificate',
	'proxy',
	'tls',
].join('|');

/** Words about the login or the network. Neither a "catalog in" some folder nor an "unexpected token" of a file counts. */
const login = new RegExp(`(?<![a-z])(?:${loginWords})|(?<!unexpected )token`, 'i');

/** Which advice fits the end of an app-server, by its exit code and its last words. The first that fits counts. */
const exitAdvice: [exitCodeAndWords: RegExp, advice: string][] = [
	// A shell cannot run the program, or does not find its interpreter; 9009 is that of cmd.exe. `spawn` hands a program for
	// another processor to /bin/sh, which takes it for a script.
	[/^(?:126|127|9009) |\bsyntax error: /i, `The program cannot run. ${install}`],
	[
		/CODEX_HOME.*(?:not exist|not a directory|no such file)/i,
		'Create the folder that CODEX_HOME names, then try again.',
	],
	[/optional dependency|unsupported platform/i, install],
	// A Codex without `app-server` takes the word for a prompt, and asks for a terminal (0.42.0: ENXIO).
	[
		/\b(?:unrecognized|unknown|invalid|unexpected)\b.*\b(?:subcommand|command|argument|choice)|not a terminal|os error 6\)/i,
		checkProgram,
	],
	// Without words.
	[/^\S+ $/, checkLogin],
	[login, checkLogin],
	[/^0 /, checkProgram],
];

/** The error for an app-server that ended or closed its output before it answered. */
export function exitedError({
	lastWords,
	command,
	...facts
}: FetchProgress & At & Exit & { command: string }) {
	const seeMore = `To see more, run "${sanitizeLine(command, 300)} app-server" in a terminal.`;
	const [, advice = ''] =
		exitAdvice.find(([fits]) => fits.test(`${facts.exitCode} ${lastWords}`)) ?? [];
	const what = `${describeExit(facts)} before it answered`;
	return makeError('ERR_CODEX_EXITED', [what, lastWords, `${advice} ${seeMore}`.trim()], {
		...facts,
		hint: 'See the property "stderr"; the option "onEvent" and NODE_DEBUG=codex-models show each attempt.',
	});
}

function describeExit({ exitCode, signal }: Exit) {
	if (signal) return `Codex was ended by ${signal}`;
	if (exitCode === null) return 'Codex closed its output';
	// Windows' own codes are known by their hexadecimal form.
	const hexadecimal = exitCode > 0x7fff_ffff ? ` (0x${exitCode.toString(16).toUpperCase()})` : '';
	return `Codex ended with exit code ${exitCode}${hexadecimal}`;
}

/** The largest `data` of an error, in bytes of JSON. */
const maxRpcDataBytes = 16 * 1024;

/** The error for an answer with an error. */
export function rpcError(error: unknown, at: At) {
	const { code, message, data } = toObject(error);
	if (typeof code !== 'number') return protocolError({ problem: 'its error has no code', ...at });
	const words = typeof message === 'string' ? sanitizeLine(message, 1_000) : '';
	const rpcData = sanitizeJson(data, maxRpcDataBytes);
	const isUnknown = /unknown (?:variant|method)|method not found/i.test(words);
	const isLogin = login.test(`${words} ${JSON.stringify(rpcData)}`);
	const advice = isUnknown ? update : isLogin ? checkLogin : 'Try again in a while.';
	const parts = [`Codex answered with error ${code}`, words, advice];
	return makeError('ERR_CODEX_RPC', parts, { ...at, rpcCode: code, rpcData });
}
