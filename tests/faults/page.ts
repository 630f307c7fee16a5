import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pageFile = path.join(root, 'docs/reliability.md');
const mark = '<!-- written by the fault suite -->';

/** The test files, and the headings of their rows. */
const sections = {
	endings: 'The app-server ends, or does not',
	answers: 'The app-server answers oddly',
	machine: 'The program and the machine',
	homes: 'The login, the configuration and the disk',
	store: 'The file store',
	texts: 'Secrets and other texts',
	hosts: 'The host',
};

type Section = keyof typeof sections;
type Row = { fault: string; phases: string; outcome: string };

const partFile = (section: string) => path.join(root, '.cache/reliability', `${section}.json`);

function readText(file: string): string | undefined {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return undefined;
	}
}

/** Writes by a rename, because the test files run side by side. */
function replaceFile(file: string, text: string): void {
	if (readText(file) === text) return;
	mkdirSync(path.dirname(file), { recursive: true });
	const draft = `${file}.${process.pid}`;
	writeFileSync(draft, text);
	renameSync(draft, file);
}

/** The page with the rows of all files between its marks; `undefined` until each file has passed once. */
function renderPage(): string | undefined {
	const parts = Object.entries(sections).map(([section, heading]) => {
		const rows = readText(partFile(section));
		return rows === undefined ? undefined : renderSection(heading, JSON.parse(rows));
	});
	const [before, , after] = readText(pageFile)?.split(mark) ?? [];
	return parts.includes(undefined)
		? undefined
		: [before, `\n\n${parts.join('\n')}\n`, after].join(mark);
}

function renderSection(heading: string, rows: Row[]): string {
	const lines = rows.map((row) => `| ${row.fault} | ${row.phases} | ${row.outcome} |\n`);
	return `## ${heading}\n\n| fault | phases | outcome |\n| --- | --- | --- |\n${lines.join('')}`;
}

/** The tests of one file, each of which is a row of the page. */
export function describeFaults(section: Section) {
	const rows: (Row | undefined)[] = [];
	afterAll(() => {
		if (rows.includes(undefined)) return;
		replaceFile(partFile(section), JSON.stringify(rows));
		// Another file may add its rows between the look and the write.
		for (
			let page = renderPage();
			page !== undefined && page !== readText(pageFile);
			page = renderPage()
		) {
			replaceFile(pageFile, page);
		}
	});
	return (
		fault: string,
		phases: string,
		outcome: string,
		run: () => Promise<void>,
		lack?: string,
	): void => {
		const index = rows.push(undefined) - 1;
		if (lack) console.warn(`NOT RUN, because this machine lacks ${lack}: ${fault}`);
		test.skipIf(lack !== undefined)(
			`${fault} (${phases}): ${outcome.replaceAll('`', '')}`,
			async () => {
				await run();
				rows[index] = { fault, phases, outcome };
			},
		);
	};
}
