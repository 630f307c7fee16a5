import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import {
	chmodSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { CatalogEvent } from '../src/api/events.js';
import type { CodexModelCatalogOptions } from '../src/api/options.js';
import { CodexModelCatalog } from '../src/catalog.js';

const scriptedAppServer = fileURLToPath(new URL('scripted-app-server.js', import.meta.url));

/** The real Codex, which is installed for the tests. */
export const realCodex = fileURLToPath(new URL('../node_modules/.bin/codex', import.meta.url));

/** Longer than any test takes: a promise that settles nevertheless has not waited for it. */
export const neverMs = 300_000;

const cleanups: (() => unknown)[] = [];

/** Run after the test, the last one first. */
export function afterTest(cleanup: () => unknown): void {
	cleanups.push(cleanup);
}

export async function cleanUp(): Promise<void> {
	for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup();
}

/** Polls for a condition that has no event. */
export async function until(what: string, condition: () => boolean): Promise<void> {
	const limit = performance.now() + 20_000;
	while (!condition()) {
		if (performance.now() > limit) throw new Error(`Waited in vain until ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

/** A new directory, which goes after the test. */
export function makeDirectory(): string {
	const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'codex-models-')));
	afterTest(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
	return directory;
}

/** Whether the process lives. A zombie, which waits for its new parent to fetch it, does not. */
export function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
	} catch {
		return false;
	}
	try {
		if (process.platform === 'linux') {
			// The state follows the name, which stands in brackets and may hold some.
			const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1);
			return !/^[ZX]/.test(state ?? '');
		}
		return !/^Z/.test(execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }));
	} catch {
		return false;
	}
}

export async function untilGone(...pids: number[]): Promise<void> {
	await until(`the processes ${pids} are gone`, () => !pids.some(isAlive));
}

/** In the environment of every process that comes from this test file. */
export const marker = `CODEX_MODELS_TEST_${process.pid}_${Date.now()}`;
process.env[marker] = '1';

/** The living processes that come from this test file, its own one aside. */
export function findProcesses(): number[] {
	// The tests that run on Windows start none, and there is no `ps`.
	if (process.platform === 'win32') return [];
	if (process.platform !== 'linux') {
		const table = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], { encoding: 'utf8' });
		const pids = table
			.split('\n')
			.flatMap((row) => (row.includes(marker) ? Number.parseInt(row, 10) : []));
		return pids.filter((pid) => pid !== process.pid && isAlive(pid));
	}
	return readdirSync('/proc').flatMap((name) => {
		const pid = Number(name);
		if (!Number.isInteger(pid) || pid === process.pid) return [];
		try {
			return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(marker) && isAlive(pid)
				? pid
				: [];
		} catch {
			return [];
		}
	});
}

export type Phase =
	| ('spawn' | 'initialize' | 'model/list' | 'config/read' | 'between pages')
	| ('after the answer' | 'while being ended');

type LogEntry = {
	pid: number;
	what: 'start' | 'message' | 'waits' | 'SIGTERM' | 'end of input' | 'grandchild';
	argv: string[];
	cwd: string;
	env: Record<string, string>;
	message: { method?: string };
	grandchild: number;
};

type Settings = {
	at?: Phase;
	gates?: Partial<Record<Phase, string>>;
	ignores?: ('end' | 'SIGTERM')[];
	endsAfterMs?: number;
	models?: unknown[];
	pages?: unknown[][];
	result?: unknown;
	stderr?: string;
	[setting: string]: unknown;
};

/** The name of an act of `scripted-app-server.js`, and its settings. */
export type Step = readonly [act: string, settings?: Settings];

/** A scripted app-server: its nth start follows the nth step, all further ones the last. */
export function script(...steps: Step[]) {
	const directory = makeDirectory();
	const logFile = path.join(directory, 'log');
	writeFileSync(logFile, '');
	writeFileSync(
		path.join(directory, 'settings.json'),
		JSON.stringify(steps.map(([, settings = {}]) => settings)),
	);
	const args = [scriptedAppServer, directory, ...steps.map(([act]) => act)];
	const find = (what: LogEntry['what']) =>
		readFileSync(logFile, 'utf8')
			.split('\n')
			.slice(0, -1)
			.map((line): LogEntry => JSON.parse(line))
			.filter((entry) => entry.what === what);
	return {
		directory,
		command: process.execPath,
		args,
		/** The entries of its log of that kind. */
		find,
		/** How often it was started. */
		get starts() {
			return find('start').length;
		},
		get pids() {
			return find('start').map(({ pid }) => pid);
		},
		/** The processes that it started, and that outlive it. */
		get grandchildren() {
			return find('grandchild').map(({ grandchild }) => grandchild);
		},
		open: (gate: string) => writeFileSync(path.join(directory, gate), ''),
		untilLogged: (what: LogEntry['what']) =>
			until(`"${what}" is in the log`, () => find(what).length > 0),
		untilAsked: (method: string, count = 1) =>
			until(
				`it was asked ${count} times for ${method}`,
				() => find('message').filter(({ message }) => message.method === method).length >= count,
			),
		/** A program that is called `codex`, in a directory for PATH. */
		installAsCodex: () => {
			const file = path.join(directory, 'codex');
			const words = [process.execPath, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
			writeFileSync(file, `#!/bin/sh\nexec ${words.join(' ')} -- "$@"\n`);
			chmodSync(file, 0o755);
			return directory;
		},
	};
}

type EventOf<T extends CatalogEvent['type']> = Extract<CatalogEvent, { type: T }>;

/** Remembers the events of a catalog, and lets tests wait for one. */
export function recordEvents() {
	const events: CatalogEvent[] = [];
	const wakers = new Set<() => void>();
	const ofType = <T extends CatalogEvent['type']>(type: T) =>
		events.filter((event): event is EventOf<T> => event.type === type);
	return {
		onEvent(event: CatalogEvent) {
			events.push(event);
			for (const wake of wakers) wake();
		},
		all: events,
		ofType,
		count: (type: CatalogEvent['type']) => ofType(type).length,
		/** The nth event of that type, past or to come. */
		nth: <T extends CatalogEvent['type']>(type: T, count = 1) =>
			new Promise<EventOf<T>>((resolve) => {
				const wake = () => {
					const event = ofType(type)[count - 1];
					if (!event) return;
					wakers.delete(wake);
					resolve(event);
				};
				wakers.add(wake);
				wake();
			}),
	};
}

/** A catalog that is closed after the test, and its events. */
export function makeCatalog(options: CodexModelCatalogOptions) {
	const events = recordEvents();
	const catalog = new CodexModelCatalog({ onEvent: events.onEvent, ...options });
	afterTest(() => catalog.close());
	return { catalog, events };
}

/** A catalog whose app-server follows these steps, with no further attempts unless they are asked for. */
export function makeScriptedCatalog(steps: Step[], options: CodexModelCatalogOptions = {}) {
	const server = script(...steps);
	const { command, args } = server;
	return {
		server,
		...makeCatalog({
			command,
			args,
			retries: 0,
			deadlineMs: neverMs,
			fetchTimeoutMs: neverMs,
			...options,
		}),
	};
}

/** The reason of a rejection; a promise that resolves fails the test. */
export async function failureOf(
	promise: Promise<unknown>,
): Promise<Error & Record<string, unknown>> {
	const [result] = await Promise.allSettled([promise]);
	if (result.status === 'rejected') return result.reason;
	throw new Error(`Expected a rejection, got ${JSON.stringify(result.value)}`);
}

/** A model as this library shows it, from its id alone. */
export const plainModel = (id: string) => ({
	id,
	model: id,
	displayName: id,
	description: null,
	hidden: false,
	isDefault: false,
	upgrade: null,
	upgradeInfo: null,
	availabilityNux: null,
	supportedReasoningEfforts: [],
	defaultReasoningEffort: null,
	serviceTiers: [],
	defaultServiceTier: null,
	additionalSpeedTiers: [],
	inputModalities: [],
	modelSpecialty: null,
	multiAgentVersion: null,
});

export const idsOf = (models: readonly { id: string }[]) => models.map(({ id }) => id);

type HostResult = {
	exitCode: number | null;
	signal: NodeJS.Signals | null;
	stdout: string;
	stderr: string;
};

/** Collects the output of a process and waits for its end; kills it after the test. */
export function follow<Child extends ChildProcessByStdio<Writable | null, Readable, Readable>>(
	child: Child,
) {
	const output = { stdout: '', stderr: '' };
	for (const name of ['stdout', 'stderr'] as const) {
		child[name].setEncoding('utf8').on('data', (chunk) => {
			output[name] += chunk;
		});
	}
	const done = new Promise<HostResult>((resolve) => {
		child.once('close', (exitCode, signal) => resolve({ exitCode, signal, ...output }));
	});
	afterTest(() => child.kill('SIGKILL'));
	return { child, output, done };
}

/** A process of its own; `source` is that of a module. */
export const runModule = (source: string) =>
	follow(spawn(process.execPath, ['--input-type=module', '-e', source]));
