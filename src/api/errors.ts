import { cut, sanitize, sanitizeLine, toReason } from '../system/sanitize.js';

/** Misuse of the library; a class of its own tells it from a `TypeError` that is a defect. */
export class MisuseError extends TypeError {}

/** The step that a fetch waited for: the start of the process, or the answer to that request. */
export type FetchPhase = 'spawn' | 'initialize' | 'model/list';

/** How far a fetch is, the end of stderr, and the lines of it that are worth quoting; both sanitized. */
export type FetchProgress = { phase: FetchPhase; stderr: string; stderrSummary: string };

export const notStarted: FetchProgress = { phase: 'spawn', stderr: '', stderrSummary: '' };

/** The `code` tells the kinds of `CodexModelsError` apart. */
export type CodexModelsErrorCode =
	`ERR_CODEX_${'NOT_FOUND' | 'EXITED' | 'TIMEOUT' | 'RPC' | 'PROTOCOL' | 'CLOSED'}`;

type Facts = Partial<Omit<CodexModelsError, keyof Error | 'code'>> & { cause?: unknown };

/**
 * The one class of error that a list of models fails with; misuse of the library is a `TypeError` instead. The message can be
 * shown to an end user: it says what failed, in which phase, after how long and what to try, in 2,000 characters at most.
 */
export class CodexModelsError extends Error {
	readonly code: CodexModelsErrorCode;
	/** The advice for a developer, in terms of this library's options. */
	declare readonly hint: string | undefined;
	/** The step that the fetch waited for. */
	declare readonly phase?: FetchPhase;
	/** `ERR_CODEX_NOT_FOUND`: the command that could not be started. */
	declare readonly command?: string;
	/** `ERR_CODEX_EXITED`: `exitCode` is `null` after a signal; both are `null` when the app-server only closed its output. */
	declare readonly exitCode?: number | null;
	declare readonly signal?: NodeJS.Signals | null;
	/** `ERR_CODEX_EXITED`, `ERR_CODEX_TIMEOUT`: the last 4 KiB at most of stderr, sanitized. */
	declare readonly stderr?: string;
	/** `ERR_CODEX_TIMEOUT`: the limit that ran out, in milliseconds. */
	declare readonly timeoutMs?: number;
	/** `ERR_CODEX_RPC`: the code and the sanitized `data` of the JSON-RPC error; a placeholder string where it is over 16 KiB. */
	declare readonly rpcCode?: number;
	declare readonly rpcData?: unknown;

	constructor(code: CodexModelsErrorCode, message: string, { cause, hint, ...facts }: Facts = {}) {
		super(cut(message, 2_000), cause === undefined ? undefined : { cause });
		this.code = code;
		Object.assign(this, { hint }, facts);
	}
}

// A name on the prototype, as with the errors of the language, adds no line to a printed error.
Object.defineProperty(CodexModelsError.prototype, 'name', {
	value: 'CodexModelsError',
	configurable: true,
	writable: true,
});

const checkLogin = 'Check the network and the login ("codex login status"), then try again.';
const install = 'Install Codex with "npm install -g @openai/codex", then try again.';
const create = 'Create the folder, then try again.';
const closed = 'The list of models is closed. Start the program again, then try again.';
const runnable =
	'Set the option "command" to a program that runs, by its path or as a name in an absolute folder of PATH.';

type At = { phase: FetchPhase; elapsedMs?: number };

/** The message is `what` failed, where, Codex's own `words`, which are sanitized, and what a user can do. */
function makeError(
	code: CodexModelsErrorCode,
	at: At,
	[what, words, advice]: string[],
	facts: Facts,
) {
	const where = `phase ${at.phase}${at.elapsedMs === undefined ? '' : `, after ${Math.round(at.elapsedMs)} ms`}`;
	const quoted = words ? `: ${words}${/[.!?]$/.test(words) ? '' : '.'}` : '.';
	return new CodexModelsError(code, `${what} (${where})${quoted} ${advice}`, facts);
}

const startProblems = {
	missing: ['was not found', install, runnable],
	'no interpreter': [
		'exists, but the interpreter that its first line names does not',
		install,
		runnable,
	],
	'not executable': ['may not be run', `Check its permissions. ${install}`, runnable],
	'no directory': [
		'does not exist or cannot be entered',
		create,
		'Set the option "cwd" to another folder.',
	],
	'look-up failed': [
		'could not be looked up',
		install,
		'The function that is the option "command" failed with "cause".',
	],
} as const;

export type StartProblem = keyof typeof startProblems;
type StartFailure = {
	elapsedMs: number;
	command: string;
	problem: StartProblem;
	directory?: string;
	cause: unknown;
};

export function notFoundError({
	elapsedMs,
	command,
	problem,
	directory,
	cause,
}: StartFailure): CodexModelsError {
	const [words, advice, hint] = startProblems[problem];
	const name =
		directory === undefined
			? `program "${sanitizeLine(command, 300)}"`
			: `folder "${sanitizeLine(directory, 300)}"`;
	const { code } = (cause ?? {}) as NodeJS.ErrnoException;
	const reason = typeof code === 'string' ? code : toReason(cause);
	const parts = [
		'Codex could not be started',
		`the ${name} ${words}${reason && ` (${reason})`}`,
		advice,
	];
	const facts = { command: sanitizeLine(command, 1_000), cause, hint };
	return makeError('ERR_CODEX_NOT_FOUND', { phase: 'spawn', elapsedMs }, parts, facts);
}

type Exit = {
	exitCode: number | null;
	signal: NodeJS.Signals | null;
	commandLine?: string;
	cause?: unknown;
};

/** The error for an app-server that ended, closed its output or could not be started before it answered. */
export function exitedError({
	elapsedMs,
	stderrSummary,
	commandLine,
	...facts
}: FetchProgress & At & Exit): CodexModelsError {
	const seeMore = commandLine
		? `To see more, run "${sanitizeLine(commandLine, 300)}" in a terminal. `
		: '';
	const parts = [
		`${describeExit(facts)} before it answered`,
		stderrSummary,
		`${seeMore}${checkLogin}`,
	];
	const hint =
		'See the property "stderr"; the option "onEvent" and NODE_DEBUG=codex-models show each attempt.';
	return makeError('ERR_CODEX_EXITED', { phase: facts.phase, elapsedMs }, parts, {
		...facts,
		hint,
	});
}

function describeExit({ exitCode, signal, cause }: Exit): string {
	// Misuse names an option of this library, which says nothing to an end user.
	if (cause instanceof MisuseError) return 'Codex could not be started (its program was not named)';
	if (cause !== undefined) return `Codex could not be started (${toReason(cause)})`;
	if (signal) return `Codex was ended by ${signal}`;
	if (exitCode === null) return 'Codex closed its output, or gave up,';
	// Windows' own codes are known by their hexadecimal form.
	return `Codex ended with exit code ${exitCode}${exitCode > 0x7fff_ffff ? ` (0x${exitCode.toString(16).toUpperCase()})` : ''}`;
}

type Limit = { limit: 'deadlineMs' | 'fetchTimeoutMs'; timeoutMs: number };

export function timeoutError({
	limit,
	timeoutMs,
	phase,
	stderr,
	stderrSummary,
}: FetchProgress & Limit): CodexModelsError {
	const state =
		limit === 'deadlineMs' ? 'The fetch goes on and fills the cache.' : 'The app-server was ended.';
	const facts = {
		timeoutMs,
		phase,
		stderr,
		hint: `${state} Allow a longer "${limit}" if this happens often.`,
	};
	const parts = [`Codex did not list its models within ${timeoutMs} ms`, stderrSummary, checkLogin];
	return makeError('ERR_CODEX_TIMEOUT', { phase }, parts, facts);
}

export const overloadedCode = -32001;

export function rpcError({
	rpcMessage,
	elapsedMs,
	...facts
}: At & { rpcCode: number; rpcMessage: string; rpcData: unknown }) {
	const isOverload = facts.rpcCode === overloadedCode;
	const advice = isOverload
		? 'Try again in a while.'
		: `${checkLogin} An update of Codex may help ("codex --version").`;
	const parts = [
		`Codex answered with error ${facts.rpcCode}`,
		sanitizeLine(rpcMessage, 1_000),
		advice,
	];
	return makeError('ERR_CODEX_RPC', { phase: facts.phase, elapsedMs }, parts, facts);
}

export function protocolError({ problem, ...at }: At & { problem: string }): CodexModelsError {
	const advice =
		'Check that the program is the Codex CLI ("codex --version"), update it, then try again.';
	const hint = 'Check that the options "command" and "args" start `codex app-server`.';
	const parts = ['The answer of Codex cannot be read', sanitize(problem), advice];
	return makeError('ERR_CODEX_PROTOCOL', at, parts, { phase: at.phase, hint });
}

export const closedError = () =>
	new CodexModelsError('ERR_CODEX_CLOSED', closed, {
		hint: 'Make a new CodexModelCatalog to ask again.',
	});

/** Turns any failure of a fetch into a `CodexModelsError`; for example a file descriptor that could not be had. */
export function toCodexModelsError(cause: unknown): CodexModelsError {
	if (cause instanceof CodexModelsError) return cause;
	return exitedError({ exitCode: null, signal: null, ...notStarted, elapsedMs: 0, cause });
}
