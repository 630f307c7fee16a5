#!/usr/bin/env node
import { parseArgs, stripVTControlCharacters } from 'node:util';
import chalk from 'chalk';
import Table from 'cli-table3';
import { CodexModelCatalog } from './catalog.js';
import type { CodexModel } from './model.js';
import { version } from './version.js';

const help = `Usage: codex-models [options]

Lists the models that the Codex CLI offers; the default one is marked with *.

Options:
  --json          print the models as JSON: an array of objects, see below
  --hidden        the hidden models, too
  --codex PATH    the Codex CLI to ask (default: codex, looked up on PATH)
  --timeout MS    how long to wait for the list, in milliseconds (default: 15000)
  --help          print this
  --version       print the version of codex-models

Examples:
  codex-models
  codex-models --hidden --timeout 5000
  codex-models --json | jq -r '.[] | select(.isDefault).id'
  codex-models --codex ~/bin/codex

With --json each model has id, model, displayName, description, hidden, isDefault,
upgrade, reasoningEfforts, defaultReasoningEffort, serviceTiers, defaultServiceTier
and inputModalities.

Exit code: 0 with a list, 1 after a failure, 2 after misuse.
`;

/** The longest time that a timer can wait. */
const longestMs = 2_147_483_647;

class Misuse extends Error {}

function parse(args: string[]) {
	try {
		const { values } = parseArgs({
			args,
			options: {
				json: { type: 'boolean', default: false },
				hidden: { type: 'boolean', default: false },
				codex: { type: 'string' },
				timeout: { type: 'string', default: '15000' },
				help: { type: 'boolean', default: false },
				version: { type: 'boolean', default: false },
			},
		});
		if (values.codex?.trim() === '') throw new Misuse('--codex takes the path of a command, got ""');
		return { ...values, timeout: parseTimeout(values.timeout) };
	} catch (error) {
		throw new Misuse((error as Error).message);
	}
}

function parseTimeout(text: string): number {
	const timeout = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	if (timeout >= 1 && timeout <= longestMs) return timeout;
	throw new Misuse(`--timeout takes whole milliseconds from 1 to ${longestMs}, got ${JSON.stringify(text)}`);
}

/** A name may hold anything (a catalogue of the user's own): nothing of it may move the cursor. */
const printable = (text: string) => stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, ' ');

/** Where the column of the efforts stands: the one that is folded where the terminal is narrow. */
const effortsColumn = 3;
const narrowest = 10;

function formatTable(models: CodexModel[], columns: number): string {
	const rows = models.map((model) => [
		model.isDefault ? '*' : ' ',
		model.id,
		model.displayName + (model.hidden ? ' (hidden)' : ''),
		model.reasoningEfforts.map(({ effort }) => effort).join(' '),
		model.serviceTiers.map(({ id, name }) => name ?? id).join(' '),
	]);
	const render = (effortsWidth: number | null) => {
		const table = new Table({
			head: [' ', 'ID', 'NAME', 'EFFORTS', 'TIERS'].map((title) => chalk.dim(title)),
			colWidths: [null, null, null, effortsWidth, null],
			wordWrap: true,
			chars: Object.fromEntries(borders.map((border) => [border, ''])),
			style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
		});
		for (const [index, row] of rows.entries()) {
			const cells = row.map(printable);
			table.push(models[index]?.isDefault ? cells.map((cell) => chalk.bold(cell)) : cells);
		}
		return table;
	};
	const whole = render(null);
	const excess = whole.width - columns;
	const widest = Math.max(...rows.map((row) => (row[effortsColumn] as string).length)) + 2;
	const table = excess > 0 ? render(Math.max(narrowest, widest - excess)) : whole;
	return table
		.toString()
		.split('\n')
		.map((line) => line.trimEnd())
		.join('\n');
}

const borders = [
	...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
	...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
];

async function run(args: string[]): Promise<void> {
	const options = parse(args);
	if (options.help) {
		process.stdout.write(help);
		return;
	}
	if (options.version) {
		process.stdout.write(`${version}\n`);
		return;
	}
	// Nobody else waits for this fetch: when the time is up, it may end.
	const catalog = new CodexModelCatalog({
		command: options.codex,
		deadlineMs: Number.POSITIVE_INFINITY,
		fetchTimeoutMs: options.timeout,
	});
	try {
		const models = await catalog.list({ includeHidden: options.hidden });
		if (options.json) process.stdout.write(`${JSON.stringify(models, null, 2)}\n`);
		else if (models.length === 0) process.stderr.write('codex-models: Codex lists no models.\n');
		else process.stdout.write(`${formatTable(models, process.stdout.columns ?? Number.POSITIVE_INFINITY)}\n`);
	} finally {
		await catalog.close();
	}
}

/** One plain line, with the names that the reader of `--help` knows. */
function fail(error: Error): void {
	const isMisuse = error instanceof Misuse;
	const message = error.message
		.replaceAll(/\s*\n\s*/g, ' ')
		.replaceAll('fetchTimeoutMs', '--timeout')
		.replace('the option "command"', '--codex');
	process.stderr.write(`codex-models: ${message}${isMisuse ? ' (see codex-models --help)' : ''}\n`);
	process.exitCode = isMisuse ? 2 : 1;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	// A reader such as `head` that has seen enough closes the pipe: no failure.
	if (error.code !== 'EPIPE') fail(error);
});

await run(process.argv.slice(2)).catch(fail);
