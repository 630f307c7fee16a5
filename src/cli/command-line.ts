#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { version } from '../api/settings.js';
import { CodexModelCatalog } from '../catalog.js';
import type { CatalogSnapshot } from '../index.js';
import { fileStore } from '../store/file-store.js';
import { findHome } from '../system/environment.js';
import { formatTable, toPrintable } from './table.js';

const { stdout, stderr, env } = process;

const help = [
	'Usage: codex-models [options] [word]',
	'',
	'Lists the models that the Codex CLI offers; with a word, those that have it in',
	'their id or name. A * marks the default of Codex, and a > marks the model that',
	'your config.toml picks. The list is kept on disk, and Codex is asked again after',
	'five minutes. When Codex cannot be asked, the kept list is printed with its age.',
	'',
	'  --json          print the models as JSON, an array of objects',
	'  --hidden        list the hidden models, too',
	'  --refresh       ask Codex, even if the kept list is new',
	'  --no-cache      ask Codex, and neither read nor write the kept list',
	'  --codex PATH    the Codex CLI to ask (default: codex, looked up on PATH)',
	'  --timeout MS    how long to wait for Codex, in milliseconds (default: 15000)',
	'  -h, --help      print this help',
	'  -V, --version   print the version of codex-models',
	'',
	"Example: codex-models --json | jq -r '.[] | select(.isDefault).id'",
	'Exit code: 0 with a list, 1 without one or without a match, 2 after misuse.',
	'',
].join('\n');

/** @throws TypeError for arguments that are unknown or wrong. */
function readArguments() {
	const flag = { type: 'boolean' } as const;
	const {
		values,
		positionals: [word = '', ...more],
	} = parseArgs({
		allowPositionals: true,
		options: {
			json: flag,
			hidden: flag,
			refresh: flag,
			'no-cache': flag,
			codex: { type: 'string' },
			timeout: { type: 'string', default: '15000' },
			help: { type: 'boolean', short: 'h' },
			version: { type: 'boolean', short: 'V' },
		},
	});
	if (more.length > 0) throw new TypeError(`More than one word: ${word} ${more.join(' ')}`);
	if (!/^[1-9]\d{0,8}$/.test(values.timeout))
		throw new TypeError(`--timeout takes 1 to 999999999 milliseconds, got "${values.timeout}"`);
	return { ...values, word };
}

type Arguments = ReturnType<typeof readArguments>;

const printNote = (message: string) => void stderr.write(`codex-models: ${toPrintable(message)}\n`);

const advice: Record<string, string> = {
	ERR_CODEX_NOT_FOUND: 'The option --codex PATH names another Codex CLI.',
	ERR_CODEX_PROTOCOL: 'The option --codex PATH names another Codex CLI.',
	ERR_CODEX_TIMEOUT: 'The option --timeout MS allows more time.',
};

/** The message, and the advice in terms of the command line. Misuse is a `TypeError`, here and in the library. */
function explain(error: NodeJS.ErrnoException) {
	const remedy =
		error instanceof TypeError ? '(see codex-models --help)' : advice[error.code ?? ''];
	return `${error.message} ${remedy ?? ''}`;
}

function fail(error: unknown) {
	process.exitCode = error instanceof TypeError ? 2 : 1;
	printNote(explain(error as Error));
}

/** A line on a terminal that the next one replaces. */
function showStatus(text: string) {
	if (stderr.isTTY && env.TERM !== 'dumb') stderr.write(`\r\u001b[K${text}`);
}

/** JSON in ASCII holds nothing that a terminal obeys. */
const toJson = (value: unknown) =>
	JSON.stringify(value, null, 2).replaceAll(
		/[^ -~\n]/g,
		(unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
	);

/**
 * FORCE_COLOR is stronger than NO_COLOR, as in Node; an empty variable counts as none, as
 * https://no-color.org and https://force-color.org say.
 */
function hasColors() {
	const { FORCE_COLOR, NO_COLOR, TERM } = env;
	if (FORCE_COLOR) return !['0', 'false'].includes(FORCE_COLOR);
	return stdout.isTTY && !NO_COLOR && TERM !== 'dumb';
}

function printModels({ models, configured }: CatalogSnapshot, { json, word }: Arguments) {
	const shown = models.filter(({ id, displayName }) =>
		`${id}\n${displayName}`.toLowerCase().includes(word.toLowerCase()),
	);
	if (!shown.length && word) {
		fail(new Error(`No model has "${word}" in its id or name.`));
	} else if (json) {
		stdout.write(`${toJson(shown)}\n`);
	} else if (!shown.length) {
		printNote('Codex lists no models.');
	} else {
		// A terminal that does not know its width has 0 columns.
		const table = formatTable(shown, configured.model, stdout.columns || Infinity);
		const bold = '\u001b[1m$&\u001b[22m';
		stdout.write(`${hasColors() ? table.replaceAll(/^[>*].*/gm, bold) : table}\n`);
	}
}

function printAge({ fetchedAt, refreshError }: CatalogSnapshot) {
	const minutes = Math.round((Date.now() - fetchedAt) / 60_000);
	const age = minutes < 120 ? `${minutes} min old` : `${Math.round(minutes / 60)} h old`;
	if (refreshError)
		printNote(`This list is ${age}, because Codex could not be asked: ${explain(refreshError)}`);
	else if (minutes > 0) printNote(`This list is ${age}; --refresh asks Codex.`);
}

/** A fresh list; a stale one only where Codex cannot be asked. */
async function obtain(catalog: CodexModelCatalog, { hidden: includeHidden, refresh }: Arguments) {
	const known = await catalog.read({ includeHidden, refresh });
	// An answer that is not kept, such as an empty list, is not fresh, and yet as new as can be.
	if (known.isFresh || known.fetchedAt > performance.timeOrigin) return known;
	return catalog
		.read({ includeHidden, refresh: true })
		.catch((refreshError) => ({ ...known, refreshError }));
}

async function list(args: Arguments) {
	const timeoutMs = Number(args.timeout);
	let storeFailure = '';
	const catalog = new CodexModelCatalog({
		// A shell leaves the tilde of --codex=~/codex as it is.
		command: args.codex?.replace(/^~(?=[\\/])/, findHome()),
		store: args['no-cache'] ? undefined : fileStore(),
		// A list of any age is better than none, because its age is told.
		staleWhileRevalidateMs: Infinity,
		// The fetch may end with the wait, because only this process waits for it.
		deadlineMs: timeoutMs,
		fetchTimeoutMs: timeoutMs,
		onEvent(event) {
			if (event.type === 'spawned') showStatus('Asking Codex …');
			if (event.type === 'store-failed') storeFailure = event.reason;
		},
	});
	try {
		const snapshot = await obtain(catalog, args).finally(() => showStatus(''));
		for (const { message } of snapshot.warnings) printNote(`Codex warns: ${message}`);
		printModels(snapshot, args);
		printAge(snapshot);
	} finally {
		await catalog.close();
		if (storeFailure) printNote(`The list could not be kept: ${storeFailure}`);
	}
}

// A reader that has seen enough, such as `head`, closes its pipe (EOF on Windows): no failure.
stdout.on('error', (error) => {
	if (!/EPIPE|EOF/.test(error.message)) fail(error);
});
// An error of stderr cannot be told to anyone, and the exit code stays.
stderr.on('error', () => {});

try {
	const args = readArguments();
	if (args.help || args.version) stdout.write(args.help ? help : `${version}\n`);
	else await list(args);
} catch (error) {
	fail(error);
}
