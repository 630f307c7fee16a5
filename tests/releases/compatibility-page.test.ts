import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Outcome, updatePage } from './compatibility-page.js';

const columns = ['views', 'configured', 'failedStart', 'binary'] as const;

/** A run in which every test of a release passed, with changes. */
function makeRun(release: string, coldList = '50', ...changes: Outcome[]): Outcome[] {
	return [
		...columns.map((column) => ({ release, column, passed: true })),
		{ release, column: 'coldList', text: coldList, passed: true },
		...changes,
	];
}

const empty = '# Compatibility\n\n| release | both views |\n| --- | --- |\n';
const keepTimes = { rewriteTimes: false };
const rowsOf = (page: string) => page.split('\n').filter((line) => /^\| \d/.test(line));

test('a run adds a row for each of its releases, the oldest first', () => {
	const page = updatePage(empty, [...makeRun('0.100.0'), ...makeRun('0.66.0')], keepTimes);
	expect(page).toMatch(/^# Compatibility\n\n\| release \| both views \| configured model \|/);
	expect(rowsOf(page)).toEqual([
		'| 0.66.0 | yes | yes | – | yes | – | – | yes | 50 |',
		'| 0.100.0 | yes | yes | – | yes | – | – | yes | 50 |',
	]);
});

test('a run keeps the rows of other releases, and the cells that it does not try', () => {
	const stalled: Outcome = { release: '0.150.0', column: 'stalledLogin', passed: true };
	const before = updatePage(
		empty,
		[...makeRun('0.66.0'), ...makeRun('0.150.0', '50', stalled)],
		keepTimes,
	);
	expect(updatePage(before, makeRun('0.150.0'), keepTimes)).toBe(before);
});

test('a run replaces a known time only if it is told to', () => {
	const before = updatePage(empty, makeRun('0.66.0', '50'), keepTimes);
	expect(updatePage(before, makeRun('0.66.0', '90'), keepTimes)).toBe(before);
	const [row] = rowsOf(updatePage(before, makeRun('0.66.0', '90'), { rewriteTimes: true }));
	expect(row).toContain('| 90 |');
});

test('a failed test makes the cell of a new release "no", and leaves a row without failures alone', () => {
	const failure: Outcome = { release: '0.66.0', column: 'views', passed: false };
	const failing = makeRun('0.66.0', '50', failure);
	const broken = updatePage(empty, failing, keepTimes);
	expect(rowsOf(broken)[0]).toMatch(/^\| 0\.66\.0 \| \*\*no\*\* \| yes \|/);
	const repaired = updatePage(broken, makeRun('0.66.0'), keepTimes);
	expect(rowsOf(repaired)[0]).not.toContain('no');
	expect(updatePage(repaired, failing, keepTimes)).toBe(repaired);
});

test('a run of a part of the suite changes no row', () => {
	const before = updatePage(empty, makeRun('0.66.0'), keepTimes);
	const part: Outcome[] = [{ release: '0.100.0', column: 'views', passed: true }];
	expect(updatePage(before, part, keepTimes)).toBe(before);
});

test('the text of docs/compatibility.md explains each column, and names the engines of the package', () => {
	const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
	const page = read('docs/compatibility.md');
	const [, , ...headings] =
		/^\| release .*$/m
			.exec(page)?.[0]
			.split(/ ?\| ?/)
			.slice(0, -1) ?? [];
	expect(headings.length).toBeGreaterThan(5);
	for (const heading of headings) expect(page).toContain(`- **${heading}**: `);
	const { node, bun } = JSON.parse(read('package.json')).engines;
	expect(page).toContain(`Node \`${node}\` and Bun\n\`${bun}\``);
});
