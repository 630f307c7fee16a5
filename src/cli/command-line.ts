#!/usr/bin/env node
import { styleText } from 'node:util';
import { CodexModelsError } from '../api/errors.js';
import { version } from '../api/settings.js';
import { CodexModelCatalog } from '../catalog.js';
import type { CatalogSnapshot } from '../index.js';
import { fileStore } from '../store/file-store.js';
import { describeUnlisted, formatTable } from './format-table.js';
import { describeWarning, explain, formatAge } from './messages.js';
import { type Arguments, help, parseArguments, UsageError } from './parse-arguments.js';
import { hasColors, lineWidth, showWaiting, toPrintable, toPrintableJson } from './terminal.js';

function printNote(message: string): void {
	process.stderr.write(`codex-models: ${toPrintable(message).replaceAll(/\s+/g, ' ')}\n`);
}

function fail(error: unknown): void {
	const isUsage = error instanceof UsageError;
	process.exitCode = isUsage ? 2 : 1;
	printNote(explain(error) + (isUsage ? ' (see codex-models --help)' : ''));
}

/** A fresh list, or one that Codex is asked for; the stale list only if that fails. */
async function obtain(catalog: CodexModelCatalog, args: Arguments): Promise<CatalogSnapshot> {
	const { hidden: includeHidden, refresh } = args;
	const kept = await catalog.read({ includeHidden, refresh });
	if (refresh || kept.isFresh) return kept;
	try {
		return await catalog.read({ includeHidden, refresh: true });
	} catch (error) {
		if (error instanceof CodexModelsError) return { ...kept, refreshError: error };
		throw error;
	}
}

function printList(snapshot: CatalogSnapshot, args: Arguments): void {
	const { models, configured, refreshError } = snapshot;
	if (args.json) {
		const { code, message } = refreshError ?? {};
		const whole = { ...snapshot, refreshError: refreshError && { code, message } };
		process.stdout.write(`${toPrintableJson(args.snapshot ? whole : models)}\n`);
		return;
	}
	const options = {
		configured,
		width: lineWidth(process.stdout),
		isColored: hasColors(process.stdout),
	};
	if (models.length > 0) process.stdout.write(`${formatTable([...models], options)}\n`);
	else printNote('Codex lists no models');
	const unlisted = describeUnlisted([...models], configured);
	if (unlisted) process.stdout.write(`${unlisted}\n`);
}

function printAge({ refreshError }: CatalogSnapshot, ageMs: number): void {
	const age = formatAge(ageMs);
	if (refreshError) {
		printNote(
			`this list is ${age} old, because Codex could not be asked: ${explain(refreshError)}`,
		);
	} else if (ageMs >= 1_000) {
		const note = `(${age} old; --refresh asks Codex)`;
		process.stderr.write(
			`${hasColors(process.stderr) ? styleText('dim', note, { validateStream: false }) : note}\n`,
		);
	}
}

async function list(args: Arguments): Promise<void> {
	const startedAt = Date.now();
	const waiting = showWaiting(process.stderr);
	const notes = new Set<string>();
	const note = (message: string | undefined) => {
		// A failed attempt and the next one may bring the same warning.
		if (message === undefined || notes.has(message)) return;
		notes.add(message);
		waiting.clear();
		printNote(message);
	};
	const catalog = new CodexModelCatalog({
		command: args.codex,
		store: args['no-cache'] ? undefined : fileStore(),
		// A list of any age is better than none, because its age is told.
		staleWhileRevalidateMs: Number.POSITIVE_INFINITY,
		// The fetch may end with the wait, because only this process waits for it.
		deadlineMs: args.timeoutMs,
		fetchTimeoutMs: args.timeoutMs,
		onEvent(event) {
			if (event.type === 'config-warning') note(describeWarning(event));
			if (event.type !== 'store-failed') return;
			note(
				`the kept list could not be ${event.operation === 'get' ? 'read' : 'written'} (${event.reason})`,
			);
		},
	});
	try {
		const snapshot = await obtain(catalog, args);
		waiting.stop();
		printList(snapshot, args);
		printAge(snapshot, Math.max(0, startedAt - snapshot.fetchedAt));
	} catch (error) {
		waiting.stop();
		fail(error);
	} finally {
		await catalog.close();
	}
}

// A reader that has seen enough, such as `head`, closes its pipe (EOF on Windows): no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code !== 'EPIPE' && error.code !== 'EOF') fail(error);
});
// An error of stderr cannot be told to anyone, and the exit code stays.
process.stderr.on('error', () => {});

try {
	const args = parseArguments(process.argv.slice(2));
	if (args.help) process.stdout.write(help);
	else if (args.version) process.stdout.write(`${version}\n`);
	else await list(args);
} catch (error) {
	fail(error);
}
