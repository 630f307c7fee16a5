import { cut, toReason } from '../system/sanitize.js';

/** Misuse of the library; a class of its own tells it from a `TypeError` that is a defect. */
export class MisuseError extends TypeError {}

/** The step that a fetch waited for: the start of the process, or the answer to that request. */
export type FetchPhase = 'spawn' | 'initialize' | 'model/list';

/** How far a fetch is, the end of stderr, and the words of it that are worth quoting; both sanitized. */
export type FetchProgress = { phase: FetchPhase; stderr: string; lastWords: string };

/** Tells the kinds of `CodexModelsError` apart. */
export type CodexModelsErrorCode =
	| 'ERR_CODEX_NOT_FOUND'
	| 'ERR_CODEX_EXITED'
	| 'ERR_CODEX_TIMEOUT'
	| 'ERR_CODEX_RPC'
	| 'ERR_CODEX_PROTOCOL'
	| 'ERR_CODEX_FALLBACK'
	| 'ERR_CODEX_FETCH'
	| 'ERR_CODEX_CLOSED';

type Facts = Partial<Omit<CodexModelsError, keyof Error | 'code' | 'toJSON'>> & ErrorOptions;

/**
 * The one class of error that a list of models fails with; misuse of the library is a `TypeError` instead. The message can
 * be shown to an end user: it says what failed, where and what to try, in 2,000 characters at most.
 */
export class CodexModelsError extends Error {
	readonly code: CodexModelsErrorCode;
	/** The advice for a developer, in terms of this library's options. */
	declare readonly hint: string | undefined;
	/** The step that the fetch waited for. */
	declare readonly phase?: FetchPhase;
	/** `ERR_CODEX_NOT_FOUND`: the command that could not be started. */
	declare readonly command?: string;
	/** `ERR_CODEX_EXITED`: `null` after a signal, and where the app-server only closed its output. */
	declare readonly exitCode?: number | null;
	/** `ERR_CODEX_EXITED`: the signal that ended the app-server, such as `'SIGKILL'`. */
	declare readonly signal?: string | null;
	/** `ERR_CODEX_EXITED`, `ERR_CODEX_TIMEOUT`, `ERR_CODEX_FALLBACK`: the last 4 KiB at most of stderr, sanitized. */
	declare readonly stderr?: string;
	/** `ERR_CODEX_TIMEOUT`: the limit that ran out, in milliseconds. */
	declare readonly timeoutMs?: number;
	/** `ERR_CODEX_RPC`: the code of the JSON-RPC error. */
	declare readonly rpcCode?: number;
	/** `ERR_CODEX_RPC`: the sanitized `data` of the JSON-RPC error; a placeholder string where it is over 16 KiB. */
	declare readonly rpcData?: unknown;

	constructor(code: CodexModelsErrorCode, message: string, facts: Facts = {}) {
		super(cut(message, 2_000), facts);
		this.code = code;
		Object.assign(this, { hint: undefined }, facts);
	}

	/** For logs and answers in JSON: everything but `cause` and `stack`, which are not enumerable. */
	toJSON(): Record<string, unknown> {
		const { name, code, message } = this;
		return { name, code, message, ...(this as object) };
	}
}

// A name on the prototype, as with the errors of the language, adds no line to a printed error.
CodexModelsError.prototype.name = 'CodexModelsError';

export const checkLogin = 'Check the network and the login ("codex login status"), then try again.';

/** The step, and when the attempt began, by `performance.now()`. */
export type At = { phase: FetchPhase; startedAt?: number | undefined };

/** The message is `what` failed, where, Codex's own `words`, which are sanitized, and what a user can do. */
export function makeError(
	code: CodexModelsErrorCode,
	[what, words, advice]: string[],
	{ startedAt, ...facts }: At & Facts,
) {
	const time =
		startedAt === undefined ? '' : `, after ${Math.round(performance.now() - startedAt)} ms`;
	const quoted = words ? `: ${words}${/[.!?]$/.test(words) ? '' : '.'}` : '.';
	const message = `${what} (phase ${facts.phase}${time})${quoted} ${advice}`;
	return new CodexModelsError(code, message, facts);
}

const afterTimeout = {
	deadlineMs: 'The fetch goes on and fills the cache.',
	fetchTimeoutMs: 'The fetch was ended.',
};

/** @param progress - is `undefined` before an app-server was started. */
export function timeoutError(
	limit: keyof typeof afterTimeout,
	timeoutMs: number,
	progress: FetchProgress = { phase: 'spawn', stderr: '', lastWords: '' },
) {
	const { lastWords, ...facts } = progress;
	const what = `Codex did not list its models within ${timeoutMs} ms`;
	return makeError('ERR_CODEX_TIMEOUT', [what, lastWords, checkLogin], {
		...facts,
		timeoutMs,
		hint: `${afterTimeout[limit]} Allow a longer "${limit}" if this happens often.`,
	});
}

/** The same failure as a caller met it who joined the fetch late. */
export function withWait(error: unknown, waitedMs: number): unknown {
	if (!(error instanceof CodexModelsError) || waitedMs >= (error.timeoutMs ?? 0)) return error;
	const told = error.message.replace(/within \d+ ms/, `within ${Math.round(waitedMs)} ms`);
	return new CodexModelsError(error.code, told, error);
}

export function protocolError({
	problem,
	hint = 'Check that the options "command" and "args" start `codex app-server`.',
	...at
}: At & { problem: string; hint?: string }): CodexModelsError {
	const parts = [
		`Codex gave an answer that cannot be read: ${problem}`,
		'',
		'Check that the program is the Codex CLI ("codex --version"), update it, then try again.',
	];
	return makeError('ERR_CODEX_PROTOCOL', parts, { ...at, hint });
}

export function fallbackError(warnings: readonly { message: string }[], stderr: string) {
	const words = warnings.map(({ message }) => message).join(' ');
	const parts = ['Codex could not ask its server for the models', words, checkLogin];
	return makeError('ERR_CODEX_FALLBACK', parts, {
		phase: 'model/list',
		stderr,
		hint: 'Codex answered with its built-in list. A better list is known and is served on.',
	});
}

/** Calls a function of the host. Its error may hold anything, and stands in `cause` alone; a `CodexModelsError` passes. */
export async function callHost<T>(
	option: 'fetchModels' | 'command',
	call: () => T | Promise<T>,
): Promise<T> {
	try {
		return await call();
	} catch (cause) {
		if (cause instanceof CodexModelsError) throw cause;
		const message = 'The program that asked for the models of Codex failed. Try again.';
		throw new CodexModelsError('ERR_CODEX_FETCH', message, {
			cause,
			hint: `The function that is the option "${option}" failed with "cause".`,
		});
	}
}

export function closedError(): CodexModelsError {
	return new CodexModelsError(
		'ERR_CODEX_CLOSED',
		'The list of models is closed. Start the program again, then try again.',
		{ hint: 'The catalog was closed. Make a new one.' },
	);
}

/** Any failure as a `CodexModelsError`: that of the system, as without file descriptors, is one of the start. */
export function toCodexModelsError(error: unknown, startedAt?: number): CodexModelsError {
	if (error instanceof CodexModelsError) return error;
	// Misuse names an option of this library, which says nothing to an end user.
	const reason = error instanceof MisuseError ? 'its program was not named' : toReason(error);
	const what = `Codex could not be started (${reason})`;
	return makeError('ERR_CODEX_EXITED', [what, '', 'Try again in a while.'], {
		phase: 'spawn',
		startedAt,
		exitCode: null,
		signal: null,
		stderr: '',
		cause: error,
	});
}
