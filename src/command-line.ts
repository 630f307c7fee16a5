#!/usr/bin/env node
import { parseArgs, stripVTControlCharacters } from 'node:util';
import chalk, { chalkStderr } from 'chalk';
import Table from 'cli-table3';
import yoctoSpinner from 'yocto-spinner';
import { CodexModelCatalog } from './catalog.js';
import { fileStore } from './file-store.js';
import type { CodexModel } from './model.js';
import { version } from './version.js';

const help = `Usage: codex-models [options]

Lists the models that the Codex CLI offers; the default one is marked with *.
The list is kept for five minutes, and longer for when Codex cannot be asked.

Options:
  --json          print the models as JSON (see below)
  --hidden        the hidden models, too
  --refresh       ask Codex, however new the list is that is kept
  --no-cache      ask Codex, and neither read nor write the list that is kept
  --codex PATH    the Codex CLI to ask (default: codex, looked up on PATH)
  --timeout MS    how long to wait for Codex, in milliseconds (default: 15000)
  --help          print this
  --version       print the version of codex-models

Examples:
  codex-models
  codex-models --hidden --timeout 5000
  codex-models --codex ~/bin/codex --refresh
  codex-models --json | jq -r '.[] | select(.isDefault).id'

With --json it prints an array with an object a model, of id, model, displayName,
description, hidden, isDefault, upgrade, reasoningEfforts (effort, description),
defaultReasoningEffort, serviceTiers (id, name, description), defaultServiceTier
and inputModalities.

Exit code: 0 with a list, 1 after a failure, 2 after misuse.
`;

// chalk heeds FORCE_COLOR, and not https://no-color.org (5.6.2); as in Node, the first is stronger.
if (process.env.NO_COLOR && !process.env.FORCE_COLOR) {
	chalk.level = 0;
	chalkStderr.level = 0;
}

/** The longest time that a timer can wait. */
const longestMs = 2_147_483_647;

/** A spinner for less than this would only flicker. */
const spinnerDelayMs = 200;

class Misuse extends Error {}

type Options = ReturnType<typeof parse>;

function parse(args: string[]) {
	try {
		const { values } = parseArgs({
			args,
			options: {
				json: { type: 'boolean', default: false },
				hidden: { type: 'boolean', default: false },
				refresh: { type: 'boolean', default: false },
				'no-cache': { type: 'boolean', default: false },
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

type Answer = { models: CodexModel[]; ageMs: number; failure?: Error };

/** A list that is fresh; or one asked for now; or, when that fails, the one that was kept. */
async function obtain(catalog: CodexModelCatalog, { hidden, refresh }: Options): Promise<Answer> {
	const startedAt = Date.now();
	const includeHidden = hidden;
	const kept = refresh ? undefined : await catalog.list({ includeHidden });
	const snapshot = catalog.peek({ includeHidden });
	if (kept && snapshot?.isFresh !== false) {
		return { models: kept, ageMs: Math.max(0, startedAt - (snapshot?.fetchedAt ?? startedAt)) };
	}
	try {
		return { models: await catalog.list({ includeHidden, refresh: true }), ageMs: 0 };
	} catch (error) {
		if (!kept || !snapshot) throw error;
		return { models: kept, ageMs: startedAt - snapshot.fetchedAt, failure: error as Error };
	}
}

/** "2 hours" and the like. */
function formatAge(ms: number): string {
	const units = [
		['day', 86_400_000],
		['hour', 3_600_000],
		['minute', 60_000],
		['second', 1_000],
	] as const;
	const [unit, size] = units.find(([, unitMs]) => ms >= unitMs) ?? ['second', 1_000];
	return new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'long' }).format(
		Math.floor(ms / size),
	);
}

/** Text of Codex's, or of a catalogue of the user's own: nothing in it may move the cursor. */
const printable = (text: string) => stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, ' ');

const borderless = Object.fromEntries(
	[
		...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
		...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
	].map((border) => [border, '']),
);

function render(rows: string[][], colWidths: (number | null)[]): Table.Table {
	const style = { head: [], border: [], 'padding-left': 0, 'padding-right': 2 };
	const table = new Table({ chars: borderless, style, colWidths, wordWrap: true, wrapOnWordBoundary: true });
	table.push(...rows);
	return table;
}

/** Where the terminal is narrow: which columns become narrower first, and down to what; and which go when that is not enough. */
const shrinking = ['EFFORTS', 'NAME', 'TIERS'];
const narrowest = 12;
const dispensable = ['TIERS', 'NAME', 'EFFORTS'];

type Column = { title: string; cells: string[]; width: number };

const sum = (widths: number[]) => widths.reduce((total, width) => total + width, 0);

/** Whole ids, whatever the width: they are what is copied. */
function fitColumns(columns: Column[], width: number): Column[] {
	const least = (column: Column) =>
		shrinking.includes(column.title) ? Math.min(column.width, narrowest) : column.width;
	const kept = [...columns];
	for (const title of dispensable) {
		if (sum(kept.map(least)) <= width) break;
		kept.splice(
			kept.findIndex((column) => column.title === title),
			1,
		);
	}
	for (const title of shrinking) {
		const column = kept.find((candidate) => candidate.title === title);
		const excess = sum(kept.map((candidate) => candidate.width)) - width;
		if (column && excess > 0) column.width = Math.max(least(column), column.width - excess);
	}
	return kept;
}

function formatTable(models: CodexModel[], width: number): string {
	const toCells: Record<string, (model: CodexModel) => string> = {
		'': (model) => (model.isDefault ? '*' : ''),
		ID: (model) => model.id,
		NAME: (model) => model.displayName + (model.hidden ? ' (hidden)' : ''),
		EFFORTS: (model) => model.reasoningEfforts.map(({ effort }) => effort).join(' '),
		TIERS: (model) => model.serviceTiers.map(({ id, name }) => name ?? id).join(' '),
	};
	const columns = fitColumns(
		Object.entries(toCells).map(([title, toCell]) => {
			const cells = models.map((model) => printable(toCell(model)));
			return { title, cells, width: render([[title], ...cells.map((cell) => [cell])], []).width };
		}),
		width,
	);
	const rows = models.map((model, row) =>
		columns.map(({ cells }) => {
			const cell = cells[row] as string;
			return model.isDefault ? chalk.bold(cell) : cell;
		}),
	);
	return render(
		[columns.map(({ title }) => chalk.dim(title)), ...rows],
		columns.map((column) => column.width),
	)
		.toString()
		.split('\n')
		.map((line) => line.trimEnd())
		.join('\n');
}

/** On a terminal, how long it has been going on; elsewhere nothing. Returns what ends it. */
function showWaiting(): () => void {
	if (!process.stderr.isTTY) return () => {};
	const startedAt = Date.now();
	const text = () => `Asking Codex … ${Math.round((Date.now() - startedAt) / 1_000)} s`;
	const spinner = yoctoSpinner({ text: text(), stream: process.stderr });
	const delay = setTimeout(() => spinner.start(), spinnerDelayMs);
	const clock = setInterval(() => {
		spinner.text = text();
	}, 1_000);
	return () => {
		clearTimeout(delay);
		clearInterval(clock);
		spinner.stop();
	};
}

function say(message: string): void {
	process.stderr.write(`codex-models: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}

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
	const catalog = new CodexModelCatalog({
		command: options.codex,
		store: options['no-cache'] ? undefined : fileStore(),
		// A list of any age is better than none, for its age is told.
		staleMs: Number.POSITIVE_INFINITY,
		// Nobody else waits for a fetch: when the time is up, it may end.
		deadlineMs: Number.POSITIVE_INFINITY,
		fetchTimeoutMs: options.timeout,
		onEvent(event) {
			// That there is no sandbox has nothing to do with the list; that the defaults are used has.
			if (event.type === 'config-warning' && !/sandbox/i.test(event.summary)) {
				say(`Codex warns: ${printable(event.summary)}`);
			}
			if (event.type === 'store-failed') say(`the list could not be kept (${printable(event.reason)})`);
		},
	});
	const stopWaiting = showWaiting();
	try {
		const { models, ageMs, failure } = await obtain(catalog, options);
		stopWaiting();
		if (options.json) process.stdout.write(`${JSON.stringify(models, null, 2)}\n`);
		else if (models.length > 0) process.stdout.write(`${formatTable(models, terminalWidth())}\n`);
		else say('Codex lists no models');
		if (failure)
			say(`this list is ${formatAge(ageMs)} old, for Codex could not be asked: ${translate(failure)}`);
		else if (ageMs >= 1_000)
			process.stderr.write(`${chalkStderr.dim(`(${formatAge(ageMs)} old; --refresh asks Codex)`)}\n`);
	} finally {
		stopWaiting();
		await catalog.close();
	}
}

/** In a pipe, and on a terminal that does not know its width, nothing is folded. */
const terminalWidth = () => process.stdout.columns || Number.POSITIVE_INFINITY;

/** In the names that the reader of `--help` knows. */
const translate = ({ message }: Error) =>
	message.replaceAll('fetchTimeoutMs', '--timeout').replace('the option "command"', '--codex');

function fail(error: Error): void {
	const isMisuse = error instanceof Misuse;
	say(`${translate(error)}${isMisuse ? ' (see codex-models --help)' : ''}`);
	process.exitCode = isMisuse ? 2 : 1;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	// A reader such as `head` that has seen enough closes the pipe: no failure.
	if (error.code !== 'EPIPE') fail(error);
});

await run(process.argv.slice(2)).catch(fail);
