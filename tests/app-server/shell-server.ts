import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { FetchRequest } from '../../src/api/model-list.js';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { spawnProcess, timings } from '../../src/app-server/child-process.js';
import { AppServerSession } from '../../src/app-server/session.js';
import { afterTest, idsOf, makeCatalog, makeDirectory, neverMs, until } from '../harness.js';

/** Waits that are short enough for a test, and long enough for a shell on a busy machine. */
const quickTimings = {
	gracefulShutdown: { endOfInputMs: 3_000, terminateMs: 200 },
	fastShutdown: { endOfInputMs: 100, terminateMs: 100 },
	killMs: 300,
};

/** Changes waits for processes until the end of the test. */
export function setTimings(changes: Partial<typeof timings> = quickTimings): void {
	const before = { ...timings };
	Object.assign(timings, changes);
	afterTest(() => Object.assign(timings, before));
}

/** The shell code for each moment of a conversation. `$id` holds the id of a request, and `$n` the number of lists. */
export type Shell = Partial<
	Record<'start' | 'initialize' | 'config' | 'list' | 'other' | 'end', string>
>;

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Writes a line, in which `$id` is the id of the request. */
export const say = (line: string) => `printf '%s\\n' ${quote(line).replaceAll('$id', `'"$id"'`)}`;
/** Answers a request with any members. */
export const answerWith = (members: object) =>
	`printf '%s,"id":%s}\\n' ${quote(JSON.stringify({ jsonrpc: '2.0', ...members }).slice(0, -1))} "$id"`;
export const answer = (result: unknown) => answerWith({ result });
export const refuse = (error: unknown) => answerWith({ error });
export const list = (...ids: string[]) =>
	answer({ data: ids.map((id) => ({ id })), nextCursor: null });
/** Writes words to stderr, and nothing else. */
export const complain = (words: string) => `printf '%s\\n' ${quote(words)} >&2`;
/** Writes many bytes, which an argument cannot hold. */
export const fill = (count: number, character = 'x') =>
	`head -c ${count} /dev/zero | tr '\\0' '${character}'`;
/** Lives on after the end of its input, and after SIGTERM. */
export const deaf = `trap '' TERM; while :; do sleep 60; done`;

/** The script of an app-server that answers as a healthy one, unless `shell` says otherwise. A shell starts in 2 ms. */
function makeScript(shell: Shell, log: string): string {
	const {
		start = ':',
		initialize = answer({}),
		config = answer({ config: {} }),
		other = ':',
		end = ':',
	} = shell;
	return `
		n=0
		${start}
		while read -r line; do
			printf '%s\\n' "$line" >> ${quote(log)}
			id=\${line#*'"id":'}; id=\${id%%,*}
			case $line in
			*'"method":"initialize"'*) ${initialize} ;;
			*'"method":"config/read"'*) ${config} ;;
			*'"method":"model/list"'*) n=$((n + 1)); ${shell.list ?? list('a')} ;;
			*) ${other} ;;
			esac
		done
		${end}
	`;
}

/** An empty log, and the messages that a script has read. */
function makeLog() {
	const file = path.join(makeDirectory(), 'log');
	writeFileSync(file, '');
	const messages = () =>
		readFileSync(file, 'utf8')
			.split('\n')
			.slice(0, -1)
			.map((line) => JSON.parse(line));
	return {
		file,
		messages,
		methods: (): string[] => messages().map(({ method }) => method),
		untilLines: (count: number) =>
			until(`the log has ${count} lines`, () => messages().length >= count),
	};
}

/** A session with a shell script, which is ended after the test. */
export function startSession(shell: Shell, { cwd = '/' } = {}) {
	const log = makeLog();
	const warnings: [summary: string, details: string | null][] = [];
	const args = ['-c', makeScript(shell, log.file)];
	const child = spawnProcess({ file: '/bin/sh', args, cwd, env: process.env });
	const request: FetchRequest = {
		target: { key: '', cwd, codexHome: undefined, home: '/' },
		command: 'codex',
		inputs: '',
		signal: new AbortController().signal,
		emit: (_, event) => {
			if (event.type === 'config-warning') warnings.push([event.summary, event.details]);
		},
	};
	const session = new AppServerSession(child, request, { name: 'tests', version: '1' });
	afterTest(async () => {
		session.process.shutDown('fastShutdown');
		await session.process.exited;
	});
	const untilSaid = (words: string) =>
		until(`"${words}" is on stderr`, () => session.progress.stderr.includes(words));
	return { session, log, warnings, untilSaid };
}

/** A catalog whose nth app-server follows the nth shell code, and each further one the last. */
export function makeShellCatalog(shells: Shell[], options: CodexModelCatalogOptions = {}) {
	const log = makeLog();
	const home = makeDirectory();
	const counter = path.join(home, 'starts');
	writeFileSync(counter, '0\n');
	const cases = shells.map(
		(shell, index) =>
			`${index + 1 < shells.length ? index + 1 : '*'}) ${makeScript(shell, log.file)} ;;`,
	);
	const script = `read -r s < ${counter}; s=$((s + 1)); echo $s > ${counter}; case $s in ${cases.join('\n')} esac`;
	const { catalog, events } = makeCatalog({
		command: '/bin/sh',
		args: ['-c', script],
		codexHome: home,
		deadlineMs: neverMs,
		fetchTimeoutMs: neverMs,
		...options,
	});
	return {
		catalog,
		events,
		log,
		home,
		starts: () => Number(readFileSync(counter, 'utf8')),
		/** The ids of a list that is asked for now. */
		refresh: async (target = {}) => idsOf(await catalog.list({ refresh: true, ...target })),
	};
}
