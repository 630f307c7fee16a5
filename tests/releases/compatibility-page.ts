import { compareVersions } from './versions.js';

/** The columns of docs/compatibility.md, in their order, with their headings. The text above its table explains them. */
const columns = {
	views: 'both views',
	configured: 'configured model',
	catalogue: 'own catalogue',
	failedStart: 'failed start',
	rightList: 'right list',
	stalledLogin: 'stalled login',
	binary: 'binary behind the launcher',
	coldList: 'cold list, ms',
} as const;

type Column = keyof typeof columns;

const columnNames = Object.keys(columns) as Column[];

/** The columns that only some releases are tried for. */
const optionalColumns: Column[] = ['catalogue', 'rightList', 'stalledLogin'];

/** A cell that a test decides; `text` is its value where that is more than "yes". */
export type Cell = { release: string; column: Column; text?: string };

export type Outcome = Cell & { passed: boolean };

type Row = Partial<Record<Column, string>>;

const failed = '**no**';
const notTried = '–';

const splitRow = (line: string) =>
	line
		.split('|')
		.slice(1, -1)
		.map((cell) => cell.trim());

/** The rows of an earlier table. Its headings name the columns, so that a new order or column loses nothing. */
function parseRows(table: string): Map<string, Row> {
	const [headings = [], , ...rows] = table.trim().split('\n').map(splitRow);
	return new Map(
		rows.map((cells) => {
			const row = columnNames.flatMap((column) => {
				const cell = cells[headings.indexOf(columns[column])];
				return cell === undefined || cell === notTried ? [] : [[column, cell]];
			});
			return [cells[0] as string, Object.fromEntries(row) as Row];
		}),
	);
}

/** The rows of a run: a cell is "no" if any of its tests failed. */
function collectRows(outcomes: readonly Outcome[]): Map<string, Row> {
	const rows = new Map<string, Row>();
	for (const { release, column, text = 'yes', passed } of outcomes) {
		const row = rows.get(release) ?? {};
		rows.set(release, row);
		if (row[column] !== failed) row[column] = passed ? text : failed;
	}
	return rows;
}

const isComplete = (row: Row) =>
	columnNames.every((column) => row[column] !== undefined || optionalColumns.includes(column));

const hasFailure = (row: Row) => Object.values(row).includes(failed);

function renderTable(rows: Map<string, Row>): string {
	const sorted = [...rows].sort(([a], [b]) => compareVersions(a, b));
	const lines = sorted.map(([release, row]) => [
		release,
		...columnNames.map((column) => row[column] ?? notTried),
	]);
	return [
		['release', ...Object.values(columns)],
		['---', ...columnNames.map(() => '---')],
		...lines,
	]
		.map((cells) => `| ${cells.join(' | ')} |`)
		.join('\n');
}

/**
 * The page after a run. A run of a part of the suite changes no row, a failure never replaces a row without one (the machine
 * may have been busy), and a known time stays, so that the page changes only with what it says.
 */
export function updatePage(
	page: string,
	outcomes: readonly Outcome[],
	{ rewriteTimes }: { rewriteTimes: boolean },
): string {
	const text = page.slice(0, page.indexOf('| release |'));
	const rows = parseRows(page.slice(text.length));
	for (const [release, row] of collectRows(outcomes)) {
		const known = rows.get(release);
		if (!isComplete(row) || (hasFailure(row) && known && !hasFailure(known))) continue;
		const keepsTime = !rewriteTimes && known?.coldList !== undefined && known.coldList !== failed;
		rows.set(release, { ...known, ...row, ...(keepsTime && { coldList: known.coldList }) });
	}
	return `${text}${renderTable(rows)}\n`;
}
