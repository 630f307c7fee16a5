import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterTest, makeDirectory, type Step, script, until } from '../harness.js';

/** The package as users install it. */
export const builtDirectory = fileURLToPath(new URL('../../dist', import.meta.url));

const builtFile = (name: string) => new URL(`../../dist/${name}`, import.meta.url).href;

/** The steps of most app-servers here, and what a host tells of their list. */
export const model = { models: [{ id: 'a' }] };
export const answers: Step = ['answers', model];
export const served = { ids: ['a'] };

/** Answers in that phase when the gate `open` is open. */
export const gated = (phase: string, settings: object = {}): Step => [
	'answers',
	{ ...model, gates: { [phase]: 'open' }, ...settings },
];

/** An app-server, and the facts of hosts that use it. */
export function serve(...steps: Step[]) {
	const server = script(...(steps.length > 0 ? steps : [answers]));
	const { command, args } = server;
	const [directory, codexHome] = [makeDirectory(), makeDirectory()];
	return {
		server,
		directory,
		facts: {
			directory,
			index: builtFile('index.js'),
			options: { command, args, cwd: '/', codexHome },
		},
	};
}

/** The names that a host's source can use. The imports are late, so that `before` precedes them. */
const makeHead = (facts: object, before: string) => `
	import { closeSync, existsSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
	import { stat } from 'node:fs/promises';
	const facts = ${JSON.stringify(facts)};
	const tell = (value) => console.log(JSON.stringify(value));
	${before}
	const { CodexModelCatalog } = await import(facts.index);
	const { fileStore } = await import(${JSON.stringify(builtFile('store/file-store.js'))});
	const openStore = () => fileStore({ directory: facts.directory });
	const make = (options) => new CodexModelCatalog({
		...facts.options, retries: 0, deadlineMs: 600_000, fetchTimeoutMs: 600_000, ...options,
	});
	const settle = (list) => list.then(
		(models) => ({ ids: models.map(({ id }) => id) }),
		({ name, code, message, phase, cause }) => ({ name, code, message, phase, cause: cause?.code }),
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
	/** Those of `serve`, and what else the source reads; each catalog gets its `options`. */
	facts: object;
	/** Runs before the package is imported. */
	before?: string;
	/** The commands that start Node. */
	through?: string[];
	env?: NodeJS.ProcessEnv;
};

// biome-ignore lint/suspicious/noExplicitAny: a host's source is a string, and so has no types.
type Told = any;

/** A process of its own that uses the built package; each `tell(value)` in its source arrives in `told`. */
export function startHost(
	source: string,
	{ facts, before = '', through = [], env = {} }: HostOptions,
) {
	const [command = '', ...args] = [
		...through,
		process.execPath,
		'--input-type=module',
		'-e',
		makeHead(facts, before) + source,
	];
	const child = spawn(command, args, { cwd: '/', env: { ...process.env, ...env } });
	afterTest(() => child.kill('SIGKILL'));
	const told: Told[] = [];
	let [stderr, rest] = ['', ''];
	child.stderr.setEncoding('utf8').on('data', (chunk) => {
		stderr += chunk;
	});
	child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
		const lines = (rest + chunk).split('\n');
		rest = lines.pop() ?? '';
		told.push(...lines.map((line) => JSON.parse(line)));
	});
	const done = once(child, 'close').then(([exitCode, signal]) => ({
		exitCode,
		signal,
		stderr,
		told,
	}));
	/** The nth value that the host tells, past or to come. */
	const nth = async (count: number): Promise<Told> => {
		await until(`the host has told ${count} values`, () => told.length >= count);
		return told[count - 1];
	};
	return { child, done, nth, write: (text: string) => child.stdin.write(text) };
}

/** Resolves to the told values of a host that ends with exit code 0 and an empty stderr. */
export async function runHost(source: string, options: HostOptions): Promise<Told[]> {
	const { exitCode, stderr, told } = await startHost(source, options).done;
	if (exitCode !== 0 || stderr !== '')
		throw new Error(`The host ended with ${exitCode}: ${stderr}`);
	return told;
}

/** Runs a command to its end. */
export const run = (command: string, ...args: string[]) => execFileSync(command, args);

/** The reason not to run a test that needs a Linux on which this command succeeds. */
export const lackOf = (command: string, ...args: string[]): string | undefined =>
	process.platform === 'linux' && spawnSync(command, args).status === 0
		? undefined
		: [command, ...args].join(' ');

export const lackOfMount = lackOf('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt');

const isRoot = process.getuid?.() === 0;

/** Starts another command as a user that is not root, because limits and permissions do not bind root. */
export const asUser: [string, ...string[]] = isRoot
	? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
	: ['env'];

/** That user must be able to read the package. */
export const lackOfUser = lackOf(...asUser, 'test', '-r', path.join(builtDirectory, 'index.js'));
