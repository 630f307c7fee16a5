import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { follow, makeDirectory, type Step, script, until } from './harness.js';

/** The step of most app-servers of hosts, and what a host tells of its list. */
export const model = { models: [{ id: 'a' }] };
export const answers: Step = ['answers', model];
export const served = { ids: ['a'] };

/** Such an app-server ends by SIGKILL only. */
export const deaf: { ignores: ('end' | 'SIGTERM')[] } = { ignores: ['end', 'SIGTERM'] };

/** Does that step when the gate is open. */
export const gated = (gate: string, [act, settings] = answers, phase = 'model/list'): Step => [
	act,
	{ ...settings, gates: { [phase]: gate } },
];

/** An app-server, and the facts of hosts that use it. */
export function serve(...steps: Step[]) {
	const server = script(...(steps.length > 0 ? steps : [answers]));
	const { command, args } = server;
	const [directory, codexHome] = [makeDirectory(), makeDirectory()];
	return {
		server,
		directory,
		facts: { directory, options: { command, args, cwd: '/', codexHome } },
	};
}

/** The names that a host's source can use. The imports are late, so that `before` precedes them. */
const makeHead = (facts: object, before: string) => `
	import { closeSync, existsSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
	import { stat } from 'node:fs/promises';
	const facts = ${JSON.stringify(facts)};
	const tell = (value) => console.log(JSON.stringify(value));
	${before}
	const { CodexModelCatalog, codexModels, listCodexModels } = await import(facts.index ?? 'codex-models');
	const { fileStore } = await import('codex-models/file-store');
	const openStore = () => fileStore({ directory: facts.directory });
	const make = (options) => new CodexModelCatalog({
		retries: 0, deadlineMs: 600_000, fetchTimeoutMs: 600_000, ...facts.options, ...options,
	});
	const idsOf = (models) => models.map(({ id }) => id);
	const settle = (list) => list.then(
		(models) => ({ ids: idsOf(models) }),
		(error) => ({ ...error.toJSON(), cause: error.cause?.code }),
	);
	const listOnce = async () => {
		const catalog = make();
		tell(await settle(catalog.list()));
		await catalog.close();
	};
	/** The input keeps the host alive until the next text comes. */
	const next = () => new Promise((resolve) => process.stdin.resume().once('data', resolve)).then(() => process.stdin.pause());
`;

type HostOptions = {
	/** The source reads these; its catalogs get their `options`, its stores their `directory`. */
	facts?: object;
	/** Runs before the package is imported. */
	before?: string;
	/** The commands that start the runtime. */
	through?: string[];
	runtime?: string;
	env?: NodeJS.ProcessEnv;
};

// biome-ignore lint/suspicious/noExplicitAny: a host's source is a string, and so has no types.
type Told = any;

// A program in the folder of the package can import the built package by its name.
const cwd = fileURLToPath(new URL('..', import.meta.url));

/** A process of its own that uses the built package; each `tell(value)` in its source arrives in `told`. */
export function startHost(source: string, options: HostOptions = {}) {
	const { facts = {}, before = '', through = [], runtime = process.execPath, env } = options;
	const words = [
		...through,
		runtime,
		'--input-type=module',
		'-e',
		makeHead(facts, before) + source,
	];
	const [command = '', ...args] = words;
	const { child, output, done } = follow(
		spawn(command, args, { cwd, env: { ...process.env, ...env } }),
	);
	const readTold = (): Told[] =>
		output.stdout
			.split('\n')
			.slice(0, -1)
			.map((line) => JSON.parse(line));
	return {
		child,
		done: done.then(({ stdout: _, ...end }) => ({ ...end, told: readTold() })),
		/** The nth value that the host tells, past or to come. */
		nth: async (count: number): Promise<Told> => {
			await until(`the host has told ${count} values`, () => readTold().length >= count);
			return readTold()[count - 1];
		},
		write: (text: string) => child.stdin.write(text),
	};
}

/** Resolves to the told values of a host that ends with exit code 0 and an empty stderr. */
export async function runHost(source: string, options?: HostOptions): Promise<Told[]> {
	const { exitCode, stderr, told } = await startHost(source, options).done;
	if (exitCode !== 0 || stderr !== '')
		throw new Error(`The host ended with ${exitCode}: ${stderr}`);
	return told;
}
