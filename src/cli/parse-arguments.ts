import { parseArgs } from 'node:util';

export const help = `Usage: codex-models [options]

Lists the models that the Codex CLI offers. A * marks the default of Codex, and
a > marks the model that your config.toml picks. The list is kept on disk: for
five minutes it is printed without asking Codex. An older list is printed only
when Codex cannot be asked, and then its age is told.

Options:
  --json          print the models as JSON
  --snapshot      with --json, print the whole answer: the models, their age and
                  the configured model
  --hidden        list the hidden models, too
  --refresh       ask Codex, even if the kept list is new
  --no-cache      ask Codex, and neither read nor write the kept list
  --codex PATH    the Codex CLI to ask (default: codex, looked up on PATH)
  --timeout MS    how long to wait for Codex, in milliseconds (default: 15000)
  --help          print this help
  --version       print the version of codex-models

Examples:
  codex-models
  codex-models --hidden --timeout 5000
  codex-models --codex ~/bin/codex --refresh
  codex-models --json | jq -r '.[] | select(.isDefault).id'
  codex-models --json --snapshot | jq -r .configured.model

--json prints an array with one object per model: id, model, displayName,
description, hidden, isDefault, upgrade, supportedReasoningEfforts (effort,
description), defaultReasoningEffort, serviceTiers (id, name, description),
defaultServiceTier and inputModalities.

--json --snapshot prints one object: models (that array), fetchedAt (epoch
milliseconds), isFresh, configured (model, modelProvider, reasoningEffort) and
refreshError (null, or the code and message of the failed refresh).

Exit code: 0 with a list, 1 after a failure, 2 after wrong usage.
`;

/** The longest delay of a timer, in milliseconds. */
const maxTimeoutMs = 2_147_483_647;

/** Wrong usage of the command line. */
export class UsageError extends Error {}

export type Arguments = ReturnType<typeof parseArguments>;

const flag = { type: 'boolean', default: false } as const;

const options = {
	json: flag,
	snapshot: flag,
	hidden: flag,
	refresh: flag,
	'no-cache': flag,
	codex: { type: 'string' },
	timeout: { type: 'string', default: '15000' },
	help: flag,
	version: flag,
} as const;

/** @throws UsageError for arguments that are unknown or wrong. */
export function parseArguments(args: string[]) {
	try {
		const { codex, timeout, ...flags } = parseArgs({ args, options }).values;
		if (codex?.trim() === '') throw new UsageError('--codex takes the path of a program, got ""');
		if (flags.snapshot && !flags.json) throw new UsageError('--snapshot needs --json');
		return { ...flags, codex, timeoutMs: parseTimeout(timeout) };
	} catch (error) {
		throw new UsageError((error as Error).message);
	}
}

function parseTimeout(text: string): number {
	const timeoutMs = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	if (timeoutMs >= 1 && timeoutMs <= maxTimeoutMs) return timeoutMs;
	throw new UsageError(`--timeout takes whole milliseconds from 1 to ${maxTimeoutMs}, got ${JSON.stringify(text)}`);
}
