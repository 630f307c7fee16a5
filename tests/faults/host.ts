import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterTest, makeDirectory, type Step, script, until } from '../harness.js';

/** The package as users install it. */
export const builtDirectory = fileURLToPath(new URL('../../dist', import.meta.url));

export const builtFile = (name: string) => new URL(`../../dist/${name}`, import.meta.url).href;

/** The step of most app-servers here, and what a host tells of its list. */
export const answers: Step = ['answers', { models: [{ id: 'a' }] }];
export const served = { ids: ['a'] };

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
	const { CodexModelCatalog } = await import(facts.index ?? ${JSON.stringify(builtFile('index.js'))});
	const { fileStore } = await import(${JSON.stringify(builtFile('store/file-store.js'))});
	const openStore = () => fileStore({ directory: facts.directory });
	const make = (options) => new CodexModelCatalog({
		...facts.options, retries: 0, deadlineMs: 600_000, fetchTimeoutMs: 600_000, ...options,
	});
	const settle = (list) => list.then(
		(models) => ({ ids: models.map(({ id }) => id) }),
		({ name, code, message, phase, cause }) => ({ name, code, message, phase, cause: cause?.code }),
	);
	const listOnce = async (options, listOptions) => {
		const catalog = make(options);
		tell(await settle(catalog.list(listOptions)));
		await catalog.close();
	};
	const next = () => new Promise((resolve) => process.stdin.once('data', resolve));
`;

type HostOptions = {
	/** The value that the source reads as `facts`; each catalog gets its `options`. */
	facts?: object;
	/** Runs before the package is imported. */
	before?: string;
	/** The commands that start Node. */
	through?: string[];
	env?: NodeJS.ProcessEnv;
};

type HostEnd = {
	exitCode: number | null;
	signal: NodeJS.Signals | null;
	stderr: string;
	told: Told[];
};

// biome-ignore lint/suspicious/noExplicitAny: a host's source is a string, and so has no types.
type Told = any;

/** A process of its own that uses the built package; each `tell(value)` in its source arrives in `told`. */
export function startHost(
	source: string,
	{ facts = {}, before = '', through = [], env = {} }: HostOptions = {},
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
	const done = new Promise<HostEnd>((resolve) => {
		child.once('close', (exitCode, signal) => resolve({ exitCode, signal, stderr, told }));
	});
	/** The nth value that the host tells, past or to come. */
	const nth = async (count: number): Promise<Told> => {
		await until(`the host has told ${count} values`, () => told.length >= count);
		return told[count - 1];
	};
	return { child, done, nth, write: (text: string) => child.stdin.write(text) };
}

/** Resolves to the told values of a host that ends with exit code 0 and an empty stderr. */
export async function runHost(source: string, options?: HostOptions): Promise<Told[]> {
	const { exitCode, stderr, told } = await startHost(source, options).done;
	if (exitCode !== 0 || stderr !== '')
		throw new Error(`The host ended with ${exitCode}: ${stderr}`);
	return told;
}

/** Runs a command to its end. */
export const run = (command: string, ...args: string[]) => execFileSync(command, args);

/** Runs a shell's commands with these variables. */
export const sh = (commands: string, variables: Record<string, string>) =>
	execFileSync('sh', ['-ec', commands], { env: { ...process.env, ...variables } });

/** The reason not to run a test that needs a Linux on which this command succeeds. */
export const lackOf = (command: string, ...args: string[]): string | undefined =>
	process.platform === 'linux' && spawnSync(command, args).status === 0
		? undefined
		: [command, ...args].join(' ');

export const lackOfMount = lackOf('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt');

const isRoot = process.getuid?.() === 0;
const words = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : ['env'];

/** A user whom limits and permissions bind, unlike root. */
export const user = {
	/** The command that starts another as this user. */
	words,
	/** The user must be able to read the package. */
	lack: lackOf(
		words[0] as string,
		...words.slice(1),
		'test',
		'-r',
		path.join(builtDirectory, 'index.js'),
	),
	/** Lets any user use a directory and its files. */
	share(directory: string): void {
		chmodSync(directory, 0o777);
		for (const name of readdirSync(directory)) chmodSync(path.join(directory, name), 0o666);
	},
	give(directory: string): void {
		if (isRoot) run('chown', '-Rh', '65534:65534', directory);
	},
};
