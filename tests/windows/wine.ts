import { spawn } from 'node:child_process';
import {
	closeSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, inject } from 'vitest';

const machine = inject('windows');

/** The folder of the drive C:. */
export const drive = machine.root ?? '';

/** In the environment of every process that comes from this test file. */
const marker = `CODEX_MODELS_WINDOWS_TEST_${process.pid}_${Date.now()}`;

const folders: string[] = [];
const hosts: Promise<unknown>[] = [];

beforeEach(({ skip }) => {
	if (machine.missing !== undefined) skip(`skipped: ${machine.missing}`);
});

afterEach(async () => {
	if (machine.missing !== undefined) return;
	const left = await findLeft();
	const names = left.map(({ commandLine }) => commandLine);
	await endAll();
	await Promise.all(hosts.splice(0));
	for (const folder of folders.splice(0))
		rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
	expect(names, 'processes that the test left behind').toEqual([]);
});

/** The living processes that come from this test file. Wine shows each process of Windows as one of Linux. */
function findProcesses(): { pid: number; commandLine: string }[] {
	return readdirSync('/proc').flatMap((name) => {
		const pid = Number(name);
		if (!Number.isInteger(pid) || pid === process.pid) return [];
		try {
			if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(marker)) return [];
			const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
			return [{ pid, commandLine }];
		} catch {
			return [];
		}
	});
}

/** The processes that are still there after a time in which those that are about to end do so. */
export async function findLeft(withinMs = 2_000) {
	const limit = performance.now() + withinMs;
	for (;;) {
		const left = findProcesses();
		if (left.length === 0 || performance.now() > limit) return left;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** Ends every process of the test file, for a test that expects some to be left. */
export async function endAll(): Promise<void> {
	for (const { pid } of findProcesses()) {
		try {
			process.kill(pid, 'SIGKILL');
		} catch {
			// The process ended by itself.
		}
	}
	await findLeft();
}

/** The path that Windows has for a file of the drive C:. */
export const toWindows = (file: string) =>
	`C:\\${path.relative(machine.root, file).replaceAll('/', '\\')}`;

/** A new folder on the drive C:, removed after the test. */
export function makeFolder(...names: string[]): string {
	const base = mkdtempSync(path.join(machine.run, 'test-'));
	folders.push(base);
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

type NodeResult = { exitCode: number | null; elapsedMs: number; output: string };
type HostResult<T> = NodeResult & { reports: T[] };

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
export async function runListAndClose(options: object, host: Omit<HostOptions, 'facts'> = {}) {
	const { reports } = await runHost<Timed<string[]>>(listAndClose, { ...host, facts: { options } });
	return reports as [Timed<string[]>, Timed<string[]>];
}

/** The reports of a host that got its list, and closed its catalog. */
export const listed = [{ outcome: 'resolved', value: ['gpt-windows'] }, { outcome: 'resolved' }];

/** A process on Windows that uses the installed package; `source` is a module in which its names and `report` are there. */
export function startHost<T>(
	source: string,
	{ facts = {}, cwd = makeFolder(), env = {} }: HostOptions = {},
) {
	const folder = mkdtempSync(path.join(machine.run, 'host-'));
	folders.push(folder);
	const reports = path.join(folder, 'reports');
	const output = path.join(folder, 'output');
	const all = JSON.stringify({ ...facts, reports: toWindows(reports) });
	const head = `const facts = ${all};\nObject.assign(process.env, ${JSON.stringify(env)});\n`;
	const file = path.join(folder, 'host.mjs');
	writeFileSync(file, head + prelude + source);

	const { done, kill } = startNode([toWindows(file)], { cwd, output });
	const reportsSoFar = (): T[] => readLines(reports).map((line) => JSON.parse(line));
	return {
		done: done.then((result): HostResult<T> => ({ ...result, reports: reportsSoFar() })),
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
	const startedAt = performance.now();
	const { PATH, HOME } = process.env;
	const child = spawn('wine', [nodeProgram, ...args], {
		cwd,
		env: { PATH, HOME, LC_ALL: 'C.UTF-8', ...machine.environment, [marker]: '1' },
		stdio: ['ignore', descriptor, descriptor],
	});
	closeSync(descriptor);
	const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
	const done = new Promise<NodeResult>((resolve) => {
		child.once('exit', (exitCode) => {
			clearTimeout(limit);
			resolve({
				exitCode,
				elapsedMs: performance.now() - startedAt,
				output: readFileSync(output, 'utf8'),
			});
		});
	});
	hosts.push(done);
	return { done, kill: () => child.kill('SIGKILL') };
}

/** Runs Node for Windows to its end. */
export const runNode = (
	args: string[],
	options: { cwd: string; limitMs: number },
): Promise<NodeResult> =>
	startNode(args, { ...options, output: path.join(makeFolder(), 'output') }).done;

/** Runs a host to its end; one that fails, fails the test with what the host printed. */
export async function runHost<T>(source: string, options?: HostOptions): Promise<HostResult<T>> {
	const result = await startHost<T>(source, options).done;
	if (result.exitCode !== 0)
		throw new Error(`The host ended with ${result.exitCode}:\n${result.output}`);
	return result;
}

export type Timed<T> = {
	/** `resolved`, `pending`, or `rejected: ` and the message. */
	outcome: string;
	elapsedMs: number;
	value: T;
	error: { code: string; message: string; exitCode?: number; stderr?: string };
};
