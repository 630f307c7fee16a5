import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pageFile = path.join(root, 'docs/reliability.md');

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

const head = `# What a caller gets when something goes wrong

The fault suite (\`npm run test:faults\`) writes this page after a run in which every row passed. All processes are real: Linux x64,
Node 20, two cores. A fault of the app-server is run in each of its phases, with no list in memory and with one. Semicolons separate
phases whose outcomes differ. In each run,

- an error is a \`CodexModelsError\`, comes within 10 seconds (an \`ERR_CODEX_TIMEOUT\`: at its limit), and is not remembered;
- a list in memory is still served after a failure, and the next call after a failure on an empty memory gets its list;
- no process is left, no rejection is unhandled, and the host ends by itself.
`;

const tail = `## Windows

Run under Wine with \`npm run test:windows\`, not yet on Windows itself.

| what | shown by |
| --- | --- |
| PATH and PATHEXT find \`codex.cmd\`, \`codex.exe\` and npm's shim; the current directory is not searched | run under Wine |
| \`close()\`, and the end of a host, end an app-server behind \`cmd.exe\` that ignores the end of its input | run under Wine |
| variables have any spelling (\`Path\`); three processes share one list and one app-server through the file store | run under Wine |
| \`%\` in arguments of a \`.cmd\`; \`NoDefaultCurrentDirectoryInExePath\` | reading only |
| an app-server behind \`cmd.exe\` that ignores the end of its input, where \`taskkill\` fails, stays alive | a known limit |
`;

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

/** The page of the rows of all files; `undefined` until each file has passed once. */
function renderPage(): string | undefined {
	const parts = Object.entries(sections).map(([section, heading]) => {
		const rows = readText(partFile(section));
		return rows === undefined ? undefined : renderSection(heading, JSON.parse(rows));
	});
	return parts.includes(undefined) ? undefined : [head, ...parts, tail].join('\n');
}

function renderSection(heading: string, rows: Row[]): string {
	const lines = rows.map((row) => `| ${[row.fault, row.phases, row.outcome].join(' | ')} |`);
	return [
		`## ${heading}`,
		'',
		'| fault | phases | outcome |',
		'| --- | --- | --- |',
		...lines,
		'',
	].join('\n');
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
