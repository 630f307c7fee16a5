import { styleText } from 'node:util';
import measureText from 'fast-string-truncated-width';
import type { CodexConfiguredModel } from '../api/codex-config.js';
import type { CodexModel } from '../api/codex-model.js';
import { toPrintable } from './terminal.js';

/** The spaces after each column; those after the last one keep a full line off the edge of the terminal. */
const gap = 2;
/** No column is padded to more than this, so that one long name does not widen 50,000 lines. */
const maxWidth = 80;
/** On a narrow terminal these columns are cut, in this order, to `minWidth` at least. Ids stay whole: users copy them. */
const cutOrder = ['EFFORTS', 'NAME', 'TIERS'];
const minWidth = 10;

const isConfigured = ({ id, model }: CodexModel, configured: CodexConfiguredModel) =>
	configured.model !== null && (id === configured.model || model === configured.model);

type Column = { title: string; width: number; isCut: boolean; cells: string[] };

function toColumns(models: CodexModel[], configured: CodexConfiguredModel): Column[] {
	const readers: Record<string, (model: CodexModel) => string> = {
		'': (model) => (isConfigured(model, configured) ? '>' : '') + (model.isDefault ? '*' : ''),
		ID: ({ id }) => id,
		NAME: ({ displayName, hidden }) => displayName + (hidden ? ' (hidden)' : ''),
		EFFORTS: ({ supportedReasoningEfforts }) =>
			supportedReasoningEfforts.map(({ reasoningEffort }) => reasoningEffort).join(' '),
		TIERS: ({ serviceTiers }) => serviceTiers.map(({ id, name }) => name ?? id).join(' '),
	};
	return Object.entries(readers).map(([title, read]) => {
		const cells = models.map((model) => toPrintable(read(model)));
		const width = cells.reduce(
			(widest, cell) => Math.max(widest, measureText(cell).width),
			title.length,
		);
		return { title, cells, width: Math.min(width, maxWidth), isCut: false };
	});
}

function fitColumns(columns: Column[], available: number): void {
	for (const title of cutOrder) {
		const excess = columns.reduce((sum, { width }) => sum + width + gap, 0) - available;
		const column = columns.find((candidate) => candidate.title === title);
		if (!column || available === Number.POSITIVE_INFINITY) return;
		column.isCut = true;
		column.width = Math.max(Math.min(column.width, minWidth), column.width - Math.max(0, excess));
	}
}

function padCell(text: string, { width, isCut }: Column): string {
	const full = measureText(text).width;
	if (full <= width || !isCut) return text + ' '.repeat(Math.max(0, width - full) + gap);
	const shown = measureText(text, { limit: width, ellipsis: '…', ellipsisWidth: 1 });
	return `${text.slice(0, shown.index)}…${' '.repeat(width - shown.width - 1 + gap)}`;
}

type TableOptions = {
	configured: CodexConfiguredModel;
	/** The width of the terminal in columns; infinite where nothing is to be cut. */
	width: number;
	isColored: boolean;
};

/** The models as a table; `*` marks Codex's default, and `>` the configured model. Takes linear time. */
export function formatTable(
	models: CodexModel[],
	{ configured, width, isColored }: TableOptions,
): string {
	const columns = toColumns(models, configured);
	fitColumns(columns, width);
	const formatRow = (read: (column: Column) => string) =>
		columns
			.map((column) => padCell(read(column), column))
			.join('')
			.trimEnd();
	// Newer releases of Node would look at `process.stdout` themselves.
	const style = (format: 'bold' | 'dim', text: string) =>
		isColored ? styleText(format, text, { validateStream: false }) : text;
	const rows = models.map((model, index) => {
		const row = formatRow(({ cells }) => cells[index] as string);
		return model.isDefault || isConfigured(model, configured) ? style('bold', row) : row;
	});
	const titles = formatRow(({ title }) => title);
	return [style('dim', titles), ...rows].join('\n');
}

/** A sentence about a configured model that is not on the list. */
export function describeUnlisted(
	models: CodexModel[],
	configured: CodexConfiguredModel,
): string | undefined {
	const { model, modelProvider } = configured;
	if (model === null || models.some((listed) => isConfigured(listed, configured))) return undefined;
	const provider = modelProvider === null ? '' : ` (provider ${modelProvider})`;
	return toPrintable(`config.toml picks ${model}${provider}, which is not on this list.`);
}
