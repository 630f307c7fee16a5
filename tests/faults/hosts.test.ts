import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { isAlive, type Step, until, untilGone } from '../harness.js';
import { answers, builtFile, runHost, serve, served, startHost } from './host.js';
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

const ways: [way: string, act: string, end: End][] = [
	['returns', '', { exitCode: 0, signal: null }],
	['calls `process.exit`', 'process.exit(7)', { exitCode: 7, signal: null }],
	['throws', 'throw new Error("thrown")', { exitCode: 1, signal: null }],
	[
		'leaves a rejection unhandled',
		'Promise.reject(new Error("rejected"))',
		{ exitCode: 1, signal: null },
	],
	...(['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal): [string, string, End] => [
		`is ended by ${signal}`,
		`setInterval(() => {}, 60_000); process.kill(process.pid, '${signal}')`,
		{ exitCode: null, signal },
	]),
];

for (const [way, act, end] of ways) {
	const fault = `the host ${way}, and its app-server ignores the end of its input and SIGTERM`;
	testFault(
		fault,
		'spawn, initialize, model/list, while being ended',
		'no process is left',
		async () => {
			const runs = phases.map(async ([step, sign]) => {
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
				await untilGone(
					...server.pids,
					...server.find('grandchild').map(({ grandchild }) => grandchild),
				);
				expect(server.starts).toBe(1);
			});
			await Promise.all(runs);
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
	'the global timers of the host are numbers (Electron, jsdom)',
	'any',
	'the list; `ERR_CODEX_TIMEOUT`',
	async () => {
		const { facts } = serve(answers, ['answers', { gates: { 'model/list': 'never' } }]);
		const before = `
		const timers = [undefined];
		for (const kind of ['Timeout', 'Interval']) {
			const [set, clear] = [globalThis['set' + kind], globalThis['clear' + kind]];
			globalThis['set' + kind] = (...args) => timers.push(set(...args)) - 1;
			globalThis['clear' + kind] = (id) => clear(timers[id]);
		}
	`;
		const [first, second] = await runHost(
			`const catalog = make();
		tell(await settle(catalog.list()));
		tell(await settle(catalog.list({ refresh: true, deadlineMs: 300 })));
		await catalog.close();`,
			{ facts, before },
		);
		expect([first, second]).toMatchObject([served, { code: 'ERR_CODEX_TIMEOUT' }]);
	},
);

testFault(
	'50 callers share one signal',
	'any',
	'the list, without a `MaxListenersExceededWarning`',
	async () => {
		const { facts } = serve();
		const told = await runHost(
			`const catalog = make();
		const { signal } = new AbortController();
		tell(await Promise.all(Array.from({ length: 50 }, () => settle(catalog.list({ signal })))));
		await catalog.close();`,
			{ facts },
		);
		expect(told).toEqual([Array(50).fill(served)]);
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

for (const [where, outer] of Object.entries(nested)) {
	testFault(`the host is ${where}`, 'any', 'the list; no process is left', async () => {
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
	});
}

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
