import { parseArgs } from 'node:util';

export const help = `Usage: codex-models [options]

Lists the models that the Codex CLI offers. A * marks the default of Codex, and
a > marks the model that your config.toml picks. The list is kept on disk, and
Codex is asked again after five minutes. When Codex cannot be asked, the kept
list is printed with its age.

Options:
  --json          print the models as JSON, an array of objects
  --snapshot      with --json, print an object: models, fetchedAt, isFresh,
                  configured and refreshError
  --hidden        list the hidden models, too
  --refresh       ask Codex, even if the kept list is new
  --no-cache      ask Codex, and neither read nor write the kept list
  --codex PATH    the Codex CLI to ask (default: codex, looked up on PATH)
  --timeout MS    how long to wait for Codex, in milliseconds (default: 15000)
  --help          print this help
  --version       print the version of codex-models

Examples:
  codex-models --codex ~/bin/codex --refresh
  codex-models --json | jq -r '.[] | select(.isDefault).id'
  codex-models --json --snapshot | jq -r .configured.model

Exit code: 0 with a list, 1 after a failure, 2 after wrong usage.
`;

const maxTimeoutMs = 2_147_483_647;

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
		if (codex?.trim() === '') throw new Error('--codex takes the path of a program, got ""');
		if (flags.snapshot && !flags.json) throw new Error('--snapshot needs --json');
		const timeoutMs = /^\d+$/.test(timeout) ? Number(timeout) : 0;
		if (timeoutMs >= 1 && timeoutMs <= maxTimeoutMs) return { ...flags, codex, timeoutMs };
		throw new Error(
			`--timeout takes whole milliseconds from 1 to ${maxTimeoutMs}, got ${JSON.stringify(timeout)}`,
		);
	} catch (error) {
		throw new UsageError((error as Error).message);
	}
}
