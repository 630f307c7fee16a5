/** What a fetch was waiting for: the start of the process, or the answer to that request. */
export type FetchPhase = 'spawn' | 'initialize' | 'model/list';

/** What every `CodexModelsError` is told apart by. */
export type CodexModelsErrorCode =
	| 'ERR_CODEX_NOT_FOUND'
	| 'ERR_CODEX_EXITED'
	| 'ERR_CODEX_TIMEOUT'
	| 'ERR_CODEX_RPC'
	| 'ERR_CODEX_PROTOCOL'
	| 'ERR_CODEX_CLOSED';

type Facts = {
	cause?: unknown;
	command?: string;
	exitCode?: number | null;
	signal?: NodeJS.Signals | null;
	stderr?: string;
	phase?: FetchPhase;
	timeoutMs?: number;
	rpcCode?: number;
	rpcData?: unknown;
};

/**
 * The one class of error that a list of models fails with; misuse of the library is a `TypeError` instead.
 *
 * The message alone says what failed, in which phase, after how long and what to try.
 * Besides `code`, only the properties that belong to that code are there.
 */
export class CodexModelsError extends Error {
	static {
		// On the prototype, as with the errors of the language: not one more line in every printed error.
		Object.defineProperty(CodexModelsError.prototype, 'name', {
			value: 'CodexModelsError',
			configurable: true,
			writable: true,
		});
	}

	/** Which kind of failure this is. */
	readonly code: CodexModelsErrorCode;
	/** `ERR_CODEX_NOT_FOUND`: the command that could not be started. */
	declare readonly command?: string;
	/** `ERR_CODEX_EXITED`: the exit code; `null` when a signal ended it, or when it only closed its output. */
	declare readonly exitCode?: number | null;
	/** `ERR_CODEX_EXITED`: the signal that ended it, or `null`. */
	declare readonly signal?: NodeJS.Signals | null;
	/**
	 * `ERR_CODEX_EXITED`, `ERR_CODEX_TIMEOUT`: the last 4 KiB at most that Codex wrote to stderr, without terminal
	 * codes, tokens and keys as `[redacted]`.
	 */
	declare readonly stderr?: string;
	/** What was being waited for. */
	declare readonly phase?: FetchPhase;
	/** `ERR_CODEX_TIMEOUT`: the limit that ran out, in milliseconds. */
	declare readonly timeoutMs?: number;
	/** `ERR_CODEX_RPC`: the JSON-RPC error code. */
	declare readonly rpcCode?: number;
	/** `ERR_CODEX_RPC`: the `data` of the JSON-RPC error, tokens and keys as `[redacted]`. */
	declare readonly rpcData?: unknown;

	constructor(code: CodexModelsErrorCode, message: string, { cause, ...facts }: Facts = {}) {
		super(message, cause === undefined ? undefined : { cause });
		this.code = code;
		Object.assign(this, facts);
	}
}

type Elapsed = { elapsedMs: number };

const after = ({ elapsedMs }: Elapsed) => `after ${Math.round(elapsedMs)} ms`;

/** `": its words."`, or a full stop where it said nothing. */
const quote = (words: string) => (words ? `: ${words}${/[.!?]$/.test(words) ? '' : '.'}` : '.');

/** The command, or the working directory, is not there or may not be used. */
export function notFoundError(
	facts: Elapsed & {
		command: string;
		missingCwd?: string | undefined;
		/** The command's file. */
		isThere?: boolean;
		cause: NodeJS.ErrnoException;
	},
): CodexModelsError {
	const { command, missingCwd, isThere, cause } = facts;
	let words = `the command "${command}" was not found`;
	let advice = `Install Codex with "npm install -g @openai/codex", or set the option "command" to its path.`;
	if (missingCwd !== undefined) {
		words = `its working directory "${missingCwd}" is not a directory that can be entered`;
		advice = 'Create it, or set the option "cwd" to one that exists.';
	} else if (isThere) {
		words = `the command "${command}" is there, but what is to run it is not`;
		advice = `Check the interpreter in its first line, or install Codex with "npm install -g @openai/codex".`;
	} else if (cause.code !== 'ENOENT') {
		words = `the command "${command}" may not be run`;
		advice = `Check its permissions, or install Codex with "npm install -g @openai/codex".`;
	}
	return new CodexModelsError(
		'ERR_CODEX_NOT_FOUND',
		`codex app-server could not be started (phase spawn, ${after(facts)}): ${words} (${cause.code}). ${advice}`,
		{ command, cause },
	);
}

/** It ended, closed its output or could not be started for want of something, before it answered. */
export function exitedError(
	facts: Elapsed & {
		exitCode: number | null;
		signal: NodeJS.Signals | null;
		stderr: string;
		lastWords: string;
		phase: FetchPhase;
		commandLine: string;
		cause?: Error | undefined;
	},
): CodexModelsError {
	const { exitCode, signal, stderr, lastWords, phase, commandLine, cause } = facts;
	let what = `codex app-server ended with exit code ${exitCode}`;
	if (cause) {
		what = `codex app-server could not be started (${cause.message})`;
	} else if (signal) {
		what = `codex app-server was ended by ${signal}`;
	} else if (exitCode === null) {
		what = 'codex app-server closed a pipe, or gave up without ending,';
	}
	return new CodexModelsError(
		'ERR_CODEX_EXITED',
		`${what} before it answered (phase ${phase}, ${after(facts)})${quote(lastWords)} To see more, run "${commandLine}" in a terminal.`,
		{ exitCode, signal, stderr, phase, cause },
	);
}

/** A caller's deadline, or the limit of the fetch, ran out. */
export function timeoutError(facts: {
	limit: 'deadlineMs' | 'fetchTimeoutMs';
	timeoutMs: number;
	phase: FetchPhase;
	stderr: string;
	lastWords: string;
}): CodexModelsError {
	const { limit, timeoutMs, phase, stderr, lastWords } = facts;
	const then =
		limit === 'deadlineMs'
			? 'The fetch goes on, and fills the cache for a later call.'
			: 'codex app-server was ended.';
	return new CodexModelsError(
		'ERR_CODEX_TIMEOUT',
		`codex app-server did not list its models within ${timeoutMs} ms (${limit}; phase ${phase})${quote(lastWords)} ${then} If it happens again, check the network and the login ("codex login status"), or allow a longer ${limit}.`,
		{ timeoutMs, phase, stderr },
	);
}

/** It answered a request with a JSON-RPC error. */
export function rpcError(
	facts: Elapsed & { rpcCode: number; rpcMessage: string; rpcData: unknown; phase: FetchPhase },
): CodexModelsError {
	const { rpcCode, rpcMessage, rpcData, phase } = facts;
	const advice =
		rpcCode === -32001
			? 'It is overloaded: try again in a while.'
			: 'Check the login ("codex login status") and the release ("codex --version").';
	return new CodexModelsError(
		'ERR_CODEX_RPC',
		`codex app-server answered with error ${rpcCode} (phase ${phase}, ${after(facts)})${quote(rpcMessage)} ${advice}`,
		{ rpcCode, rpcData, phase },
	);
}

/** What it answered cannot be read as an answer. */
export function protocolError(facts: Elapsed & { problem: string; phase: FetchPhase }): CodexModelsError {
	const { problem, phase } = facts;
	return new CodexModelsError(
		'ERR_CODEX_PROTOCOL',
		`codex app-server's answer cannot be read (phase ${phase}, ${after(facts)}): ${problem}. Check that the command is the Codex CLI ("codex --version"), and update it or this library.`,
		{ phase },
	);
}

/** The catalog was closed. */
export function closedError(): CodexModelsError {
	return new CodexModelsError(
		'ERR_CODEX_CLOSED',
		'The catalog of models is closed. Make a new CodexModelCatalog to ask again.',
	);
}
