import { readFileSync } from 'node:fs';
import { compareVersions } from './versions.js';

const { engines } = JSON.parse(
	readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

/** The columns of docs/compatibility.md, in their order, with their headings. */
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

const head = `# Compatibility

## Support policy

| | supported | until |
| --- | --- | --- |
| Codex | each release in the table below, and every newer one until a row says otherwise | a new major version of this package drops it, at the earliest 12 months after its own publication |
| Node 22, 24, 26 | from 22.9 on | the first major version of this package after the line's end of life |
| Node 20 | from 20.17 on, though its end of life was in April 2026 | the first major version of this package that is published after April 2027 |
| Bun | 1.3 and newer | the first major version of this package after a year without a release of that line |
| this package | the newest release | the next one |

While the major version of this package is 0, a minor version counts as a major one. The package asks for Node \`${engines.node}\` and Bun
\`${engines.bun}\`. Releases of Codex between two rows are expected to work, too; releases before 0.66.0 were not tried. Linux x64 is tested
with real releases of Codex; the Windows suite runs under Wine with a scripted app-server, and macOS is not tested.

## Releases of Codex

\`npm run test:releases\` and \`npm run try-release -- VERSION\` write this page: change its text in
\`tests/releases/compatibility-page.ts\`. A run on Linux x64 replaces the rows of its own releases and keeps the others. "yes" means that
every test of the column passed, and "${notTried}" that the release was not tried for it.

- **${columns.views}**: the list with and without hidden models is that of a bare conversation, every property included, through the launcher
  and the binary. After its answer the process ends at the end of its input with exit code 0, and leaves no process.
- **${columns.configured}**: \`read()\` has the model, provider and effort of \`config.toml\`, of \`-c\` in \`args\`, and from 0.100.0 on of a trusted project.
- **${columns.catalogue}**: after a change of the file that \`model_catalog_json\` names, the list is fetched again (Codex reads it from 0.105.0 on).
- **${columns.failedStart}**: with eleven bad homes, configurations and arguments, the release lists, or fails within seconds with its own words.
  Up to 0.115.0 some failed starts linger and write their words only at the end of their input: those calls fail at the deadline.
- **${columns.rightList}**: with a server of the test's own, no user, plan or token gets the list of another, and Codex's built-in list never
  passes for the server's.
- **${columns.stalledLogin}**: while the token endpoint is silent, a known list is served and a cold call fails at its deadline.
- **${columns.binary}**: the library starts the native binary that the npm launcher would start.
- **${columns.coldList}**: median time to a list with the command that npm installs, in a home used before, without a login, on two cores, rounded
  to 10 ms. A run keeps a known time, and \`npm run try-release -- VERSION --times\` replaces it.
`;

const splitRow = (line: string) =>
	line
		.split('|')
		.slice(1, -1)
		.map((cell) => cell.trim());

/** The rows of an earlier page. The headings name the columns, so that a new order or column loses nothing. */
function parseRows(page: string): Map<string, Row> {
	const lines = page.split('\n');
	const start = lines.findIndex((line) => line.startsWith('| release |'));
	if (start === -1) return new Map();
	const headings = splitRow(lines[start] as string);
	const rows = lines.slice(start + 2).filter((line) => line.startsWith('|'));
	return new Map(
		rows.map((line) => {
			const cells = splitRow(line);
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
	const rows = parseRows(page);
	for (const [release, row] of collectRows(outcomes)) {
		const known = rows.get(release);
		if (!isComplete(row) || (hasFailure(row) && known && !hasFailure(known))) continue;
		const keepsTime = !rewriteTimes && known?.coldList !== undefined && known.coldList !== failed;
		rows.set(release, { ...known, ...row, ...(keepsTime && { coldList: known.coldList }) });
	}
	return `${head}\n${renderTable(rows)}\n`;
}
