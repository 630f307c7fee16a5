import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pageFile = path.join(root, 'docs/reliability.md');
const partsDirectory = path.join(root, '.cache/reliability');

/** The phases of a fetch, in their order. */
const phases = [
	'before the spawn',
	'spawn',
	'initialize',
	'model/list',
	'between pages',
	'after the answer',
	'while being ended',
	'any',
] as const;

export type FaultPhase = (typeof phases)[number];

/**
 * How long the caller waits for the outcome, counted from the fault; and where a run fails, in milliseconds: far from
 * what is said, for the machine may be busy, and far from the limits of minutes that the calls have.
 */
const times = {
	'at once (< 0.1 s)': 5_000,
	'< 1 s': 10_000,
	'at its limit': 30_000,
	'when it is written': 30_000,
} as const;

export type Time = keyof typeof times;

export const bound = (time: Time) => times[time];

type PageRow = { fault: string; phase: FaultPhase; gets: string; time: Time };

/** The chapters, each from the test file of its name. */
const chapters = {
	endings: 'It ends',
	silences: 'It hangs, stops, or closes a pipe',
	answers: 'It says more than its answers, or says them oddly',
	results: 'Its answers are wrong',
	afterwards: 'It has answered, and does not end as it should',
	floods: 'It writes without an end',
	surroundings: 'The machine, the files and the clock',
} as const;

type Chapter = keyof typeof chapters;

const head = `# What a caller gets when something goes wrong

Written by the test run: \`tests/faults/\` holds a table of faults crossed with the phases of a fetch, each row is run with real
processes, and a run in which every row passed writes this page anew where the rows have changed. Measured on Linux x64 with
Node 20 on two shared cores, with \`retries: 0\` so that the first failure is the one that is seen.

Unless a row says otherwise it is run twice, beside one another: with nothing known before, and with a list that was. Then

- the call has limits of minutes, and does not wait for them; where it says "at its limit", that limit is ${'`fetchTimeoutMs`'}, set to 1.2 s;
- after a failure nothing is remembered where nothing was; a list that was known before is still served, at once and without
  another process, and only the \`refresh\` that asked for a new one rejects;
- the next call after a failure starts an app-server anew, and gets its list;
- every process is gone afterwards, whatever it heeds, and no later than \`close()\` resolves.

"Time to it" counts from the fault to the caller's list or error: what a machine with nothing else to do takes. A run measures
it, and fails where it is far longer; what each row took last is in \`.cache/reliability/\`, for the machine may be busy.
`;

function renderTable(rows: PageRow[]): string {
	const order = (row: PageRow) => phases.indexOf(row.phase);
	const sorted = rows.toSorted((a, b) => order(a) - order(b) || (a.fault < b.fault ? -1 : 1));
	const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
	return [
		'| phase | fault | what the caller gets | time to it |',
		'| --- | --- | --- | --- |',
		...sorted.map(({ fault, phase, gets, time }) => `| ${phase} | ${cell(fault)} | ${cell(gets)} | ${time} |`),
	].join('\n');
}

const partFile = (chapter: Chapter) => path.join(partsDirectory, `${chapter}.json`);

function readText(file: string): string | undefined {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return undefined;
	}
}

/** Files of tests run side by side: a half-written file must not be read. */
function replaceFile(file: string, text: string): void {
	if (readText(file) === text) return;
	mkdirSync(path.dirname(file), { recursive: true });
	const draft = `${file}.${process.pid}`;
	writeFileSync(draft, text);
	renameSync(draft, file);
}

const readParts = () => (Object.keys(chapters) as Chapter[]).map((chapter) => readText(partFile(chapter)));

/** Writes the page from all chapters; again where another file has written its own meanwhile. */
function writePage(): void {
	for (let seen = '', now = readParts(); seen !== now.join(); now = readParts()) {
		seen = now.join();
		// A run of one file alone, in a new checkout: there is no page of one chapter.
		if (now.some((part) => part === undefined)) return;
		const sections = Object.values(chapters).map((title, index) => {
			const rows: PageRow[] = JSON.parse(now[index] as string);
			return `## ${title}\n\n${renderTable(rows)}\n`;
		});
		replaceFile(pageFile, [head, ...sections].join('\n'));
	}
}

/** Collects the rows of a chapter; the page is written when all that were declared have passed. */
export function openChapter(chapter: Chapter) {
	const rows: PageRow[] = [];
	const taken: Record<string, number> = {};
	let declared = 0;
	afterAll(() => {
		if (declared === 0 || rows.length !== declared) return;
		replaceFile(path.join(partsDirectory, `${chapter}-ms.json`), `${JSON.stringify(taken, null, '\t')}\n`);
		replaceFile(partFile(chapter), JSON.stringify(rows));
		writePage();
	});
	return {
		declare: () => {
			declared++;
		},
		record: (row: PageRow, ms: number) => {
			rows.push(row);
			taken[`${row.phase}: ${row.fault}`] = Math.round(ms);
		},
	};
}
