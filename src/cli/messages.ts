import { CodexModelsError, type CodexModelsErrorCode } from '../api/errors.js';

const otherProgram = 'The option --codex PATH names another Codex CLI.';

const advice: Partial<Record<CodexModelsErrorCode, string>> = {
	ERR_CODEX_NOT_FOUND: otherProgram,
	ERR_CODEX_PROTOCOL: otherProgram,
	ERR_CODEX_TIMEOUT: 'The option --timeout MS allows more time.',
	ERR_CODEX_EXITED: 'NODE_DEBUG=codex-models in the environment shows each attempt.',
};

/** The message of an error, and what a user of the command line can do about it. */
export function explain(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	const remedy = error instanceof CodexModelsError ? advice[error.code] : undefined;
	return remedy ? `${error.message} ${remedy}` : error.message;
}

/** An age in words: "2 hours". `Intl.NumberFormat` takes 11 ms of the start (Node 20). */
export function formatAge(ms: number): string {
	const units = { day: 86_400_000, hour: 3_600_000, minute: 60_000, second: 1_000 };
	const [unit, unitMs] = Object.entries(units).find(([, length]) => ms >= length) ?? [
		'second',
		1_000,
	];
	const count = Math.max(0, Math.floor(ms / unitMs));
	return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

/**
 * The warnings of Codex that change the list or the configured model. The rule names what is let through, because most
 * warnings are about something else, and each release brings new ones. Seen on 0.169.0: "Invalid configuration; using
 * defaults.", also for a provider or a model catalogue that does not exist.
 */
const replacesConfiguration =
	/\b(?:invalid configuration|using (?:the )?defaults?|model[ _]catalog)\b/i;
/** Such as a mistyped `model_catalog_jsn` in the list of unrecognized settings. */
const ignoresModelSetting = /`model[\w.]*` is ignored/;

/** Codex's warning, or `undefined` where it does not concern the list. */
export function describeWarning({
	summary,
	details,
}: {
	summary: string;
	details: string | null;
}): string | undefined {
	// A list of folders or files may follow the first line, and their names must not decide.
	const [firstLine = ''] = summary.split('\n', 1);
	if (!replacesConfiguration.test(firstLine) && !ignoresModelSetting.test(summary))
		return undefined;
	return `Codex warns: ${details === null ? summary : `${summary} ${details}`}`;
}
