import { type At, checkLogin, type FetchProgress, makeError } from '../api/errors.js';
import { sanitizeLine, toReason } from '../system/sanitize.js';

const install = 'Install Codex with "npm install -g @openai/codex", then try again.';
const update = 'Update Codex with "npm install -g @openai/codex", then try again.';
const checkProgram = `Check that the program is the Codex CLI ("codex --version"). ${update}`;
const runnable =
	'Set the option "command" to a program that runs, by its path or as a name on PATH.';

const startProblems = {
	missing: ['was not found', install],
	'no interpreter': ['exists, but the interpreter that its first line names does not', install],
	'not executable': ['may not be run', `Check its permissions. ${install}`],
	'other processor': ['is for another kind of processor or system', install],
	'no directory': ['does not exist or cannot be entered', 'Create the folder, then try again.'],
} as const;

export type StartProblem = keyof typeof startProblems;

/** Why a file cannot be started; `undefined` for a failure of the system, such as EMFILE or EAGAIN. */
export function toStartProblem(cause: NodeJS.ErrnoException): StartProblem | undefined {
	// Node adds the arguments, which are shown to all who print the error, and may hold a secret.
	Object.assign(cause, { spawnargs: undefined });
	const { code = '' } = cause;
	// The file was there a moment ago: ENOENT stands for a script without its interpreter, or a program for another libc.
	if (code === 'ENOENT') return 'no interpreter';
	if (code === 'ENOEXEC' || code === 'EFTYPE') return 'other processor';
	const isOfFile = /^(?:EACCES|EPERM|ENOTDIR|ELOOP|ENAMETOOLONG|EISDIR|UNKNOWN)$/.test(code);
	return isOfFile ? 'not executable' : undefined;
}

type StartFailure = {
	elapsedMs: number;
	command: string;
	problem: StartProblem;
	directory?: string | undefined;
	/** With the folders in which a program was looked for. */
	cause: NodeJS.ErrnoException & { folders?: string[] };
};

export function notFoundError({ elapsedMs, command, problem, directory, cause }: StartFailure) {
	const [words, advice] = startProblems[problem];
	const name = directory === undefined ? `program "${command}"` : `folder "${directory}"`;
	const what = `Codex could not be started: the ${sanitizeLine(name, 310)} ${words} (${cause.code})`;
	const places = cause.folders?.length ? `It was looked for in ${cause.folders.join(', ')}` : '';
	const hint = directory === undefined ? runnable : 'Set the option "cwd" to another folder.';
	const facts = { command: sanitizeLine(command, 1_000), cause, hint };
	const parts = [what, sanitizeLine(places, 1_000), advice];
	return makeError('ERR_CODEX_NOT_FOUND', { phase: 'spawn', elapsedMs }, parts, facts);
}

type Exit = { exitCode: number | null; signal: string | null; cause?: unknown };

/** Which advice fits the end of an app-server, by its exit code and its last words. The first that fits counts. */
const exitAdvice: [fits: (words: string, exitCode: number | null) => boolean, advice: string][] = [
	// A shell cannot run the program, or does not find its interpreter; 9009 is that of cmd.exe. `spawn` hands a program for
	// another processor to /bin/sh, which takes it for a script.
	[
		(words, exitCode) =>
			[126, 127, 9009].includes(exitCode ?? 0) || /\bsyntax error: /i.test(words),
		`The program cannot run. ${install}`,
	],
	[
		(words) => /CODEX_HOME/.test(words) && /not exist|not a directory|no such file/i.test(words),
		'Create the folder that CODEX_HOME names, then try again.',
	],
	[(words) => /optional dependency|unsupported platform/i.test(words), install],
	// A Codex without `app-server` takes the word for a prompt, and asks for a terminal (0.42.0: ENXIO).
	[
		(words) =>
			/\b(?:unrecognized|unknown|invalid|unexpected)\b.*\b(?:subcommand|command|argument|choice)|not a terminal|os error 6\)/i.test(
				words,
			),
		checkProgram,
	],
	[(words) => words === '' || concernsLogin(words), checkLogin],
	[(_, exitCode) => exitCode === 0, checkProgram],
];

const concernsLogin = (words: string) =>
	// Neither a "catalog in" some folder nor an "unexpected token" of a file counts.
	/(?<![a-z])(?:log(?:ged)?[ -]?(?:in|out)|o?auth(?!ors?\b)|unauthori|network|(?:re|dis)?connect|dns|resolve host|timed? ?out|certificate|proxy|tls)|(?<!unexpected )token/i.test(
		words,
	);

/** The error for an app-server that ended, closed its output or could not be started before it answered. */
export function exitedError({
	elapsedMs,
	lastWords,
	command,
	...facts
}: FetchProgress & At & Exit & { command: string }) {
	const { phase, exitCode, cause } = facts;
	const seeMore = `To see more, run "${sanitizeLine(command, 300)} app-server" in a terminal.`;
	const found = exitAdvice.find(([fits]) => fits(lastWords, exitCode))?.[1] ?? '';
	const advice = cause === undefined ? `${found} ${seeMore}`.trim() : 'Try again in a while.';
	const hint =
		'See the property "stderr"; the option "onEvent" and NODE_DEBUG=codex-models show each attempt.';
	const parts = [`${describeExit(facts)} before it answered`, lastWords, advice];
	return makeError('ERR_CODEX_EXITED', { phase, elapsedMs }, parts, { ...facts, hint });
}

function describeExit({ exitCode, signal, cause }: Exit): string {
	if (cause !== undefined) return `Codex could not be started (${toReason(cause)})`;
	if (signal) return `Codex was ended by ${signal}`;
	if (exitCode === null) return 'Codex closed its output';
	// Windows' own codes are known by their hexadecimal form.
	const hexadecimal = exitCode > 0x7fff_ffff ? ` (0x${exitCode.toString(16).toUpperCase()})` : '';
	return `Codex ended with exit code ${exitCode}${hexadecimal}`;
}

export const overloadedCode = -32001;

type RpcFailure = At & { rpcCode: number; rpcMessage: string; rpcData: unknown };

export function rpcError({ rpcMessage, elapsedMs, ...facts }: RpcFailure) {
	const { phase, rpcCode, rpcData } = facts;
	const words = sanitizeLine(rpcMessage, 1_000);
	const isUnknown = /unknown (?:variant|method)|method not found/i.test(words);
	const isLogin = concernsLogin(`${words} ${JSON.stringify(rpcData)}`);
	const advice = isUnknown ? update : isLogin ? checkLogin : 'Try again in a while.';
	const parts = [`Codex answered with error ${rpcCode}`, words, advice];
	return makeError('ERR_CODEX_RPC', { phase, elapsedMs }, parts, facts);
}
