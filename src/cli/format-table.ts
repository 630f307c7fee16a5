import { styleText } from 'node:util';
import measureText from 'fast-string-truncated-width';
import type { CodexConfiguredModel, CodexModel } from '../core/codex-model.js';
import { toPrintable } from './printable.js';

/** The spaces after each column; those after the last one keep a full line off the edge of the terminal. */
const gap = 2;

/**
 * No column is padded to more than this, so that one long name does not widen 50,000 lines. A longer text stands out of
 * its column in a pipe, and is cut on a terminal.
 */
const maxWidth = 80;

/** On a narrow terminal these columns shrink first, to `minWidth`, and then go. Ids stay whole: users copy them. */
const shrinkOrder = ['EFFORTS', 'NAME', 'TIERS'];
const dropOrder = ['TIERS', 'NAME', 'EFFORTS'];
const minWidth = 10;

/** Whether the configuration picks this model. */
const isConfigured = ({ id, model }: CodexModel, configured: CodexConfiguredModel) =>
	configured.model !== null && (id === configured.model || model === configured.model);

type Cell = { text: string; width: number };
type Column = { title: string; width: number; cells: Cell[] };

const toCell = (text: string): Cell => ({ text, width: measureText(text).width });

function toColumns(models: CodexModel[], configured: CodexConfiguredModel): Column[] {
	const readers: Record<string, (model: CodexModel) => string> = {
		'': (model) => (isConfigured(model, configured) ? '>' : '') + (model.isDefault ? '*' : ''),
		ID: ({ id }) => id,
		NAME: ({ displayName, hidden }) => displayName + (hidden ? ' (hidden)' : ''),
		EFFORTS: ({ supportedReasoningEfforts }) => supportedReasoningEfforts.map(({ effort }) => effort).join(' '),
		TIERS: ({ serviceTiers }) => serviceTiers.map(({ id, name }) => name ?? id).join(' '),
	};
	return Object.entries(readers).map(([title, read]) => {
		const cells = models.map((model) => toCell(toPrintable(read(model))));
		const width = cells.reduce((widest, cell) => Math.max(widest, cell.width), title.length);
		return { title, cells, width: Math.min(width, maxWidth) };
	});
}

function fitColumns(columns: Column[], available: number): Column[] {
	const least = ({ title, width }: Column) => (shrinkOrder.includes(title) ? Math.min(width, minWidth) : width);
	const sum = (widths: number[]) => widths.reduce((total, width) => total + width + gap, 0);
	let kept = columns;
	for (const title of dropOrder) {
		if (sum(kept.map(least)) <= available) break;
		kept = kept.filter((column) => column.title !== title);
	}
	for (const title of shrinkOrder) {
		const column = kept.find((candidate) => candidate.title === title);
		const excess = sum(kept.map(({ width }) => width)) - available;
		if (column && excess > 0) column.width = Math.max(least(column), column.width - excess);
	}
	return kept;
}

/** One row; on a terminal a text that is wider than its column is cut. */
function formatRow(columns: Column[], cells: Cell[], isCut: boolean): string {
	const parts = columns.map((column, index) => {
		const cell = cells[index] as Cell;
		const { text, width } =
			isCut && shrinkOrder.includes(column.title) && cell.width > column.width ? cutCell(cell, column.width) : cell;
		return text + ' '.repeat(Math.max(0, column.width - width) + gap);
	});
	return parts.join('').trimEnd();
}

function cutCell({ text }: Cell, limit: number): Cell {
	const { index, width } = measureText(text, { limit, ellipsis: '…', ellipsisWidth: 1 });
	return { text: `${text.slice(0, index)}…`, width: width + 1 };
}

type TableOptions = {
	configured: CodexConfiguredModel;
	/** The width of the terminal in columns; infinite where nothing is to be cut. */
	width: number;
	isColored: boolean;
};

/** The models as a table; `*` marks Codex's default, and `>` the configured model. Takes linear time. */
export function formatTable(models: CodexModel[], { configured, width, isColored }: TableOptions): string {
	const columns = fitColumns(toColumns(models, configured), width);
	const isCut = width !== Number.POSITIVE_INFINITY;
	// Newer releases of Node would look at `process.stdout` themselves.
	const style = (format: 'bold' | 'dim', text: string) => (isColored ? styleText(format, text, { validateStream: false }) : text);
	const titles = columns.map(({ title }) => ({ text: title, width: title.length }));
	const rows = models.map((model, at) => {
		const cells = columns.map((column) => column.cells[at] as Cell);
		const row = formatRow(columns, cells, isCut);
		return model.isDefault || isConfigured(model, configured) ? style('bold', row) : row;
	});
	return [style('dim', formatRow(columns, titles, false)), ...rows].join('\n');
}

/** A sentence about a configured model that is not on the list. */
export function describeUnlisted(models: CodexModel[], configured: CodexConfiguredModel): string | undefined {
	const { model, modelProvider } = configured;
	if (model === null || models.some((listed) => isConfigured(listed, configured))) return undefined;
	const provider = modelProvider === null ? '' : ` (provider ${modelProvider})`;
	return toPrintable(`config.toml picks ${model}${provider}, which is not on this list.`);
}
