import { spawn, spawnSync } from 'node:child_process';
import {
	closeSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, inject } from 'vitest';
import { afterTest, findProcesses, marker } from '../harness.js';

const machine = inject('windows');

/** The folder of the drive C:. */
export const drive = machine.root ?? '';

beforeEach(({ skip }) => {
	if (machine.missing !== undefined) skip(`skipped: ${machine.missing}`);
});

afterEach(async () => {
	const left = await findLeft();
	if (left.length > 0) await endAll();
	expect(left, 'processes that the test left behind').toEqual([]);
});

/** The command lines of this test's processes that are there. Wine shows each process of Windows as one of Linux. */
export const findCommandLines = () =>
	findProcesses().flatMap((pid) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
		} catch {
			return [];
		}
	});

/** The processes that are still there after a time in which those that are about to end do so. */
export async function findLeft(): Promise<string[]> {
	const limit = performance.now() + 2_000;
	for (;;) {
		const left = findCommandLines();
		if (left.length === 0 || performance.now() > limit) return left;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** Ends every process of the test. */
export async function endAll(): Promise<void> {
	spawnSync('kill', ['-KILL', ...findProcesses().map(String)]);
	await findLeft();
}

/** The path that Windows has for a file of the drive C:. */
export const toWindows = (file: string) =>
	`C:\\${path.relative(machine.root, file).replaceAll('/', '\\')}`;

/** A new folder on the drive C:, removed after the test. */
export function makeFolder(...names: string[]): string {
	const base = mkdtempSync(path.join(machine.run, 'test-'));
	afterTest(() => rmSync(base, { recursive: true, force: true, maxRetries: 5 }));
	const folder = path.join(base, ...names);
	mkdirSync(folder, { recursive: true });
	return folder;
}

export const nodeProgram = 'C:\\node\\node.exe';

type Behaviour = 'answers' | 'deaf' | 'fails';

type Start = {
	program: string;
	behaviour: Behaviour;
	rest: string[];
	path: string;
};

/** An app-server that is started as a program with arguments, and what it logged of its starts. */
export function makeAppServer(behaviour: Behaviour) {
	const log = path.join(makeFolder(), 'starts');
	const args = [toWindows(path.join(machine.run, 'app-server.mjs')), behaviour, toWindows(log)];
	return {
		args,
		get starts(): Start[] {
			return readLines(log).map((line) => JSON.parse(line));
		},
	};
}

/** Writes a `codex.cmd` that starts the app-server; returns its folder. */
export function makeCommand({ args }: { args: string[] }, folder = makeFolder()): string {
	const words = [nodeProgram, ...args].map((word) => `"${word}"`).join(' ');
	writeFileSync(path.join(folder, 'codex.cmd'), `@${words} %*\r\n`);
	return folder;
}

export const readLines = (file: string): string[] =>
	existsSync(file) ? readFileSync(file, 'utf8').split(/\r?\n/).filter(Boolean) : [];

type HostOptions = {
	/** The properties of `facts` in the source. */
	facts?: object;
	/** The current directory, a folder of the drive C:. */
	cwd?: string;
	/** Variables that the host sets for itself before it loads the package. */
	env?: Record<string, string>;
};

// biome-ignore lint/suspicious/noExplicitAny: a host's source is a string, and so has no types.
type Report = any;

type NodeResult = { exitCode: number | null; output: string };

const prelude = `
import fs, { appendFileSync } from 'node:fs';
import { CodexModelCatalog } from 'codex-models';
import { fileStore } from 'codex-models/file-store';
const report = (value) => appendFileSync(facts.reports, JSON.stringify(value) + '\\n');
/** How long a promise takes, up to a limit, and what became of it. */
const time = async (promise, limitMs = 8_000) => {
	const startedAt = performance.now();
	const limit = new Promise((resolve) => setTimeout(resolve, limitMs, { outcome: 'pending' }).unref());
	const settled = promise.then((value) => ({ outcome: 'resolved', value }), (error) => ({ outcome: 'rejected: ' + error.message, error }));
	return { ...(await Promise.race([settled, limit])), elapsedMs: performance.now() - startedAt };
};
const listIds = async (catalog) => (await catalog.list()).map(({ id }) => id);
`;

export const systemFolder = 'C:\\windows\\system32';

/** The source of a host that lists once and closes its catalog. */
export const listAndClose = `
	const catalog = new CodexModelCatalog({ deadlineMs: 10_000, retries: 0, ...facts.options });
	report(await time(listIds(catalog)));
	report(await time(catalog.close()));
`;

/** Both reports of a host that has ended. */
export const runListAndClose = (options: object, host: Omit<HostOptions, 'facts'> = {}) =>
	runHost(listAndClose, { ...host, facts: { options } });

/** The reports of a host that got its list, and closed its catalog. */
export const listed = [{ outcome: 'resolved', value: ['gpt-windows'] }, { outcome: 'resolved' }];

/** A process on Windows that uses the installed package; `source` is a module in which its names and `report` are there. */
export function startHost(
	source: string,
	{ facts = {}, cwd = makeFolder(), env = {} }: HostOptions = {},
) {
	const folder = makeFolder();
	const reports = path.join(folder, 'reports');
	const output = path.join(folder, 'output');
	const all = JSON.stringify({ ...facts, reports: toWindows(reports) });
	const head = `const facts = ${all};\nObject.assign(process.env, ${JSON.stringify(env)});\n`;
	const file = path.join(folder, 'host.mjs');
	writeFileSync(file, head + prelude + source);

	const { done, kill } = startNode([toWindows(file)], { cwd, output });
	const reportsSoFar = (): Report[] => readLines(reports).map((line) => JSON.parse(line));
	return {
		done: done.then((result) => ({ ...result, reports: reportsSoFar() })),
		kill,
		reportsSoFar,
		/** Waits until the host has made that many reports. */
		untilReported: (count: number) =>
			expect.poll(() => reportsSoFar().length, { timeout: 20_000 }).toBe(count),
	};
}

/** Starts Node for Windows, with both of its outputs in a file. */
function startNode(
	args: string[],
	{ cwd, output, limitMs = 40_000 }: { cwd: string; output: string; limitMs?: number },
) {
	// A pipe can fail with EBADF in Node under Wine 8; a file does not.
	const descriptor = openSync(output, 'a');
	const { PATH, HOME } = process.env;
	const child = spawn('wine', [nodeProgram, ...args], {
		cwd,
		env: { PATH, HOME, LC_ALL: 'C.UTF-8', ...machine.environment, [marker]: '1' },
		stdio: ['ignore', descriptor, descriptor],
	});
	closeSync(descriptor);
	const kill = () => child.kill('SIGKILL');
	const limit = setTimeout(kill, limitMs);
	const done = new Promise<NodeResult>((resolve) => {
		child.once('exit', (exitCode) => {
			clearTimeout(limit);
			resolve({ exitCode, output: readFileSync(output, 'utf8') });
		});
	});
	afterTest(() => kill() && done);
	return { done, kill };
}

/** Runs Node for Windows to its end. */
export const runNode = (
	args: string[],
	options: { cwd: string; limitMs: number },
): Promise<NodeResult> =>
	startNode(args, { ...options, output: path.join(makeFolder(), 'output') }).done;

/** The reports of a host that has ended; one that fails, fails the test with what the host printed. */
export async function runHost(source: string, options?: HostOptions): Promise<Report[]> {
	const { exitCode, output, reports } = await startHost(source, options).done;
	if (exitCode !== 0) throw new Error(`The host ended with ${exitCode}:\n${output}`);
	return reports;
}
