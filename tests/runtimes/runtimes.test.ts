import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { follow, makeDirectory, realCodex, type Step, untilGone } from '../harness.js';
import { deaf, runHost, serve, served, startHost } from '../host.js';

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const runtimes = inject('runtimes');
const onEach = test.each(runtimes);

const answers: Step = ['answers', { models: [{ id: 'a' }, { id: 'b', hidden: true }] }];
const hangs: Step = ['hangs', { at: 'model/list', ...deaf }];
const closed = { code: 'ERR_CODEX_CLOSED' };

const callWhenSpawned = `
	let onSpawned;
	const spawned = new Promise((resolve) => (onSpawned = resolve));
	const catalog = make({ onEvent: ({ type }) => type === 'spawned' && onSpawned() });
	const controller = new AbortController();
	const failure = catalog.list({ signal: controller.signal }).catch((error) => error);
	await spawned;
`;

type Scene = {
	what: string;
	/** The steps of the app-server, all of which it must have started to follow. */
	steps: Step[];
	options?: object;
	source: string;
	told: object;
};

const scenes: Scene[] = [
	{
		what: 'a frozen list in both views, from one app-server',
		steps: [answers],
		source: `
			const catalog = make();
			const ids = idsOf(await catalog.list());
			const all = await catalog.list({ includeHidden: true });
			tell({ ids, all: idsOf(all), isFrozen: Object.isFrozen(all[0]) });`,
		told: { ids: ['a'], all: ['a', 'b'], isFrozen: true },
	},
	{
		what: 'an early exit is told at once, with its words',
		steps: [['exits', { at: 'model/list', code: 3, stderr: 'no more\n' }]],
		source: 'tell(await settle(make().list()));',
		told: {
			...{ name: 'CodexModelsError', code: 'ERR_CODEX_EXITED', exitCode: 3, phase: 'model/list' },
			message: expect.stringContaining('no more'),
		},
	},
	{
		what: 'a command that is not there',
		steps: [],
		source: "tell(await settle(make({ command: 'no-such-codex' }).list()));",
		told: { code: 'ERR_CODEX_NOT_FOUND', command: 'no-such-codex' },
	},
	{
		what: 'a deadline, whose host leaves nothing behind',
		steps: [hangs],
		source: 'tell(await settle(make({ deadlineMs: 1_500 }).list()));',
		told: { code: 'ERR_CODEX_TIMEOUT', timeoutMs: 1_500 },
	},
	{
		what: 'an abort rejects with its reason',
		steps: [hangs],
		source: `
			${callWhenSpawned}
			const reason = { isTheReason: true };
			controller.abort(reason);
			tell({ isTheReason: (await failure) === reason });
			await catalog.close();`,
		told: { isTheReason: true },
	},
	{
		what: 'close ends a caller that waits, and the process',
		steps: [hangs],
		source: `
			${callWhenSpawned}
			await catalog.close();
			tell([await failure, await settle(catalog.list())]);`,
		told: [closed, closed],
	},
	{
		what: 'a refresh that hangs does not hold a host that is done',
		steps: [answers, hangs],
		source: `
			const catalog = make({ maxAgeMs: 0 });
			await catalog.list();
			const ids = idsOf(await catalog.list());
			await new Promise((resolve) => setTimeout(resolve));
			tell({ ids });`,
		told: served,
	},
];

const played = runtimes.flatMap(({ name, file }) =>
	scenes.map((scene) => ({ ...scene, name, file })),
);

test.each(played)('$name: $what', async ({ file, steps, source, told }) => {
	const { server, facts } = serve(...steps);
	expect(await runHost(source, { runtime: file, facts })).toMatchObject([told]);
	expect(server.starts).toBeLessThanOrEqual(steps.length);
	await untilGone(...server.pids);
});

onEach('$name: the real Codex, asked by the drop-in', async ({ file }) => {
	const PATH = `${fileOf('../../node_modules/.bin')}:${process.env.PATH}`;
	const source = `
		const visible = await listCodexModels();
		const all = await listCodexModels(true);
		tell({ visible: idsOf(visible), all: idsOf(all), names: Object.keys(visible[0]) });
		await codexModels.close();`;
	const env = { PATH, CODEX_HOME: makeDirectory() };
	const [{ visible, all, names }] = await runHost(source, { runtime: file, env });
	expect(visible.length).toBeGreaterThan(1);
	expect(all).toEqual(expect.arrayContaining(visible));
	expect(names).toHaveLength(7);
});

onEach('$name: a second process has the list from the file store', async ({ file }) => {
	const { server, facts } = serve(answers);
	const source = `
		const types = [];
		const catalog = make({ store: openStore(), onEvent: ({ type }) => types.push(type) });
		const told = await settle(catalog.list());
		await catalog.close();
		tell({ ...told, types });`;
	const [first] = await runHost(source, { runtime: file, facts });
	expect(first.types).toContain('spawned');
	const second = await runHost(source, { runtime: file, facts });
	expect(second).toEqual([{ ...served, types: ['loaded', 'miss'] }]);
	expect(server.starts).toBe(1);
});

const stay = 'setInterval(() => {}, 60_000);';
const ways: [way: string, act: string, ending: { exitCode?: number; signal?: NodeJS.Signals }][] = [
	// A host that returns stays for its call until the deadline.
	['returns', '', { exitCode: 0 }],
	['calls process.exit', 'process.exit(7);', { exitCode: 7 }],
	['throws', "throw new Error('thrown by the host');", { exitCode: 1 }],
	['is ended by SIGTERM', stay, { signal: 'SIGTERM' }],
	['is ended by SIGINT', stay, { signal: 'SIGINT' }],
	['is ended by SIGHUP', stay, { signal: 'SIGHUP' }],
];

test.each(
	runtimes.flatMap(({ name, file }) =>
		ways.map(([way, act, ending]) => ({ name, file, way, act, ending })),
	),
)('$name: a host that $way leaves no app-server, though that ignores every end', async (row) => {
	const { server, facts } = serve(hangs);
	const options = { ...facts.options, ...(row.act === '' && { deadlineMs: 500 }) };
	const source = `${callWhenSpawned} tell('spawned'); ${row.act}`;
	const { child, nth, done } = startHost(source, { runtime: row.file, facts: { options } });
	await nth(1);
	const { signal } = row.ending;
	if (signal) {
		await server.untilAsked('model/list');
		child.kill(signal);
	}
	expect(await done).toMatchObject({ exitCode: null, signal: null, ...row.ending });
	await untilGone(...server.pids);
});

onEach('$name: the command line', async ({ file }) => {
	const env = { ...process.env, CODEX_HOME: makeDirectory(), HOME: makeDirectory() };
	const args = [fileOf('../../dist/cli/command-line.js'), '--json', '--codex', realCodex];
	const list = async () => {
		const { stdout, ...end } = await follow(spawn(file, args, { env })).done;
		expect(end).toEqual({ exitCode: 0, signal: null, stderr: '' });
		return JSON.parse(stdout);
	};
	const first = await list();
	expect(first.length).toBeGreaterThan(1);
	expect(await list()).toEqual(first);
});
