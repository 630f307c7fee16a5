import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import {
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	neverMs,
	type Step,
	until,
	untilGone,
} from '../harness.js';
import { answers, builtFile, lackOf, runHost, serve, served, startHost } from './host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('hosts');

const deaf = { models: [{ id: 'a' }], ignores: ['end', 'SIGTERM'] as ('end' | 'SIGTERM')[] };
const waitsAt = (phase: string): Step => ['answers', { ...deaf, gates: { [phase]: 'never' } }];
/** An app-server that ignores all requests to end, and the entry of its log that shows how far it is. */
const phases: [step: Step, sign: 'waits' | 'end of input'][] = [
	[waitsAt('start'), 'waits'],
	[waitsAt('initialize'), 'waits'],
	[waitsAt('model/list'), 'waits'],
	[['answers', deaf], 'end of input'],
	[['leavesAGrandchild', { ...deaf, holdsPipes: true, ignoresSigterm: true }], 'end of input'],
];

type End = { exitCode: number | null; signal: NodeJS.Signals | null };

type Way = [act: string, end: End];

const raise = (signal: NodeJS.Signals): Way => [
	`setInterval(() => {}, 60_000); process.kill(process.pid, '${signal}')`,
	{ exitCode: null, signal },
];

const waysToEnd: Record<string, Way[]> = {
	'the host returns, calls `process.exit`, throws, or leaves a rejection unhandled': [
		['', { exitCode: 0, signal: null }],
		['process.exit(7)', { exitCode: 7, signal: null }],
		['throw new Error("thrown")', { exitCode: 1, signal: null }],
		['Promise.reject(new Error("rejected"))', { exitCode: 1, signal: null }],
	],
	'SIGTERM, SIGINT or SIGHUP ends the host': [raise('SIGTERM'), raise('SIGINT'), raise('SIGHUP')],
};

/** Ends a host when its app-server has come to that sign. */
async function endHost([act, end]: Way, step: Step, sign: 'waits' | 'end of input') {
	const { server, facts } = serve(step);
	const { done, write } = startHost(
		`// A caller that waits keeps the host alive, and so this one leaves.
		const controller = new AbortController();
		make().list({ deadlineMs: Infinity, signal: controller.signal }).catch(() => {});
		process.stdin.once('data', () => {
			process.stdin.destroy();
			controller.abort();
			${act};
		});`,
		{ facts },
	);
	await server.untilLogged(sign);
	write('now');
	expect(await done).toMatchObject(end);
	await untilGone(...server.pids, ...server.find('grandchild').map(({ grandchild }) => grandchild));
	expect(server.starts).toBe(1);
}

for (const [fault, ways] of Object.entries(waysToEnd)) {
	testFault(
		`${fault}, and its app-server ignores the end of its input and SIGTERM`,
		'spawn, initialize, model/list, while being ended',
		'no process is left',
		async () => {
			for (const way of ways)
				await Promise.all(phases.map(([step, sign]) => endHost(way, step, sign)));
		},
	);
}

testFault(
	'SIGKILL ends the host',
	'model/list',
	'an app-server that ignores the end of its input stays',
	async () => {
		const well: Step = ['answers', { gates: { 'model/list': 'never' } }];
		const pids = await Promise.all(
			[well, waitsAt('model/list')].map(async (step) => {
				const { server, facts } = serve(step);
				const { child, done } = startHost('make().list().catch(() => {});', { facts });
				await server.untilLogged('waits');
				child.kill('SIGKILL');
				await done;
				await server.untilLogged('end of input');
				return server.pids[0] as number;
			}),
		);
		const [healthy, stubborn] = pids as [number, number];
		await untilGone(healthy);
		expect(isAlive(stubborn)).toBe(true);
		process.kill(stubborn, 'SIGKILL');
		expect(
			readFileSync(new URL('../../README.md', import.meta.url), 'utf8'),
			'the README',
		).toContain('SIGKILL');
	},
);

testFault(
	'the host is stopped (SIGSTOP) and goes on (SIGCONT)',
	'initialize, model/list',
	'the list',
	async () => {
		for (const phase of ['initialize', 'model/list']) {
			const { server, facts } = serve([
				'answers',
				{ models: [{ id: 'a' }], gates: { [phase]: 'open' } },
			]);
			const { child, done } = startHost('await listOnce();', { facts });
			await server.untilLogged('waits');
			child.kill('SIGSTOP');
			const state = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1)?.[0];
			await until('the host is stopped', () => state() === 'T');
			server.open('open');
			// The app-server answers at once, and the answer waits in the pipe.
			child.kill('SIGCONT');
			expect(await done).toMatchObject({ exitCode: 0, stderr: '', told: [served] });
		}
	},
);

testFault(
	'2,000 callers share one signal, and their deadlines end at once, after 64 KB on stderr',
	'model/list',
	'`ERR_CODEX_TIMEOUT`, without a `MaxListenersExceededWarning`; then the list',
	async () => {
		const stderr = `WARN ${'x-api_key-'.repeat(10)}\n`.repeat(600);
		const { server, facts } = serve([
			'answers',
			{ models: [{ id: 'a' }], stderr, gates: { 'model/list': 'open' } },
		]);
		const { done, nth } = startHost(
			`const catalog = make();
			const { signal } = new AbortController();
			const list = (deadlineMs) => settle(catalog.list({ deadlineMs, signal }));
			const stays = list(Infinity);
			const all = await Promise.all(Array.from({ length: 2_000 }, () => list(1_500)));
			tell(all.map(({ code }) => code));
			tell(await stays);
			await catalog.close();`,
			{ facts },
		);
		expect(await nth(1)).toEqual(Array(2_000).fill('ERR_CODEX_TIMEOUT'));
		server.open('open');
		expect(await nth(2)).toEqual(served);
		expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
		expect(server.starts).toBe(1);
	},
);

testFault(
	'300 working directories are asked for at once',
	'any',
	'the lists; never more than four app-servers that have not answered',
	async () => {
		const log = path.join(makeDirectory(), 'log');
		const program = `
			echo start >> ${log}
			read initialize; echo '{"id":1,"result":{}}'
			read initialized; read list; read config
			echo '{"id":3,"result":{}}'
			echo answer >> ${log}
			echo '{"id":2,"result":{"data":[{"id":"a"}]}}'
			cat`;
		const { catalog } = makeCatalog({
			...{ command: '/bin/sh', args: ['-c', program], retries: 0 },
			...{ deadlineMs: neverMs, fetchTimeoutMs: neverMs, codexHome: makeDirectory() },
		});
		const cwds = Array.from({ length: 300 }, () => makeDirectory());
		const lists = await Promise.all(cwds.map((cwd) => catalog.list({ cwd })));
		expect(lists.flatMap(idsOf)).toEqual(Array(300).fill('a'));
		const entries = readFileSync(log, 'utf8').trim().split('\n');
		let [working, most] = [0, 0];
		for (const entry of entries) {
			working += entry === 'start' ? 1 : -1;
			most = Math.max(most, working);
		}
		expect(entries).toHaveLength(600);
		expect(most).toBe(4);
	},
);

const container = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;

testFault(
	'the host is the first process of a container, and its app-server leaves a process',
	'model/list, after the answer',
	'`ERR_CODEX_EXITED`, then the list; a zombie delays neither a fetch nor `close()`',
	async () => {
		const { server, facts } = serve(
			['leavesAGrandchild', { at: 'model/list', code: 1 }],
			['leavesAGrandchild', { models: [{ id: 'a' }] }],
		);
		const [failure, list, signals, zombies] = await runHost(
			`const signals = [];
			const { kill } = process;
			process.kill = (pid, signal) => {
				if (pid < 0) signals.push(signal);
				return kill.call(process, pid, signal);
			};
			const catalog = make();
			tell(await settle(catalog.list()));
			tell(await settle(catalog.list()));
			await catalog.close();
			tell(signals);
			const stats = readdirSync('/proc').filter(Number).map((pid) => readFileSync('/proc/' + pid + '/stat', 'utf8'));
			tell(process.pid === 1 ? stats.filter((stat) => stat.includes(') Z ')).length : 'another pid');`,
			{ facts, through: [...container] },
		);
		expect(failure).toMatchObject({ code: 'ERR_CODEX_EXITED' });
		expect(list).toEqual(served);
		// SIGKILL follows where the group seems to live on.
		expect(new Set(signals)).toEqual(new Set([0, 'SIGTERM']));
		expect(zombies).toBe(2);
		expect(server.starts).toBe(2);
	},
	lackOf(...container, 'true'),
);

testFault(
	'a test runner empties the globals of `signal-exit` (Jest 30 on Node 20)',
	'model/list, while being ended',
	'the list; no process is left',
	async () => {
		const { server, facts } = serve(
			['answers', { models: [{ id: 'a' }], gates: { 'model/list': 'open' } }],
			['answers', deaf],
		);
		const { done, nth, write } = startHost(
			`const catalog = make();
			const list = catalog.list();
			await next();
			process.stdin.destroy();
			const emitter = globalThis[Symbol.for('signal-exit emitter')];
			const state = { ...emitter };
			for (const name of Object.keys(emitter)) delete emitter[name];
			tell('is empty');
			tell(await settle(list));
			await catalog.close();
			await listOnce();
			// The runner's own process is another one.
			Object.assign(emitter, state);`,
			{ facts },
		);
		await server.untilAsked('model/list');
		write('now');
		await nth(1);
		server.open('open');
		const told = ['is empty', served, served];
		expect(await done).toMatchObject({ exitCode: 0, stderr: '', told });
		await untilGone(...server.pids);
	},
);

testFault('the stdout and stderr of the host are closed', 'any', 'the list', async () => {
	const { server, facts } = serve();
	const { child, done } = startHost(
		`await next();
		const models = await make().list();
		process.exit(models.length === 1 ? 5 : 6);`,
		{ facts },
	);
	child.stdout.destroy();
	child.stderr.destroy();
	child.stdin.write('now');
	expect(await done).toMatchObject({ exitCode: 5 });
	await untilGone(...server.pids);
});

/** Programs that start `facts.inner`, a module that uses the package and posts its list. */
const nested = {
	'a worker thread': `
		import { Worker } from 'node:worker_threads';
		const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(facts.inner)));
		worker.on('message', tell);
		await new Promise((resolve) => worker.once('exit', resolve));`,
	'a cluster of two workers': `
		import cluster from 'node:cluster';
		writeFileSync(facts.directory + '/worker.mjs', facts.inner);
		cluster.setupPrimary({ exec: facts.directory + '/worker.mjs', execArgv: [] });
		await Promise.all([1, 2].map(() => new Promise((resolve) => cluster.fork().on('message', tell).once('exit', resolve))));`,
};

testFault(
	`the host is ${Object.keys(nested).join(', or ')}`,
	'any',
	'the list; no process is left',
	async () => {
		for (const outer of Object.values(nested)) {
			const { server, facts } = serve();
			const inner = `
				import { parentPort } from 'node:worker_threads';
				import { CodexModelCatalog } from ${JSON.stringify(builtFile('index.js'))};
				const catalog = new CodexModelCatalog(${JSON.stringify(facts.options)});
				const ids = (await catalog.list()).map(({ id }) => id);
				await catalog.close();
				if (parentPort) parentPort.postMessage({ ids });
				else process.send({ ids }, () => process.disconnect());`;
			const told = await runHost(outer, { facts: { ...facts, inner } });
			expect(told.length).toBeGreaterThan(0);
			for (const each of told) expect(each).toEqual(served);
			await untilGone(...server.pids);
		}
	},
);

testFault(
	'the app-server starts a process by `setsid`',
	'after the answer',
	'the list; that process stays',
	async () => {
		const step: Step = [
			'leavesAGrandchild',
			{ models: [{ id: 'a' }], isDetached: true, holdsPipes: true, ignoresSigterm: true },
		];
		const { server, facts } = serve(step);
		expect(await runHost('await listOnce();', { facts })).toEqual([served]);
		await untilGone(...server.pids);
		const [{ grandchild } = { grandchild: 0 }] = server.find('grandchild');
		expect(isAlive(grandchild)).toBe(true);
		process.kill(grandchild, 'SIGKILL');
	},
);
