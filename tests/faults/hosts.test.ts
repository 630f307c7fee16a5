import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import * as harness from '../harness.js';
import { isAlive, type Step, untilGone } from '../harness.js';
import { answers, deaf, gated, model, runHost, serve, served, startHost } from '../host.js';
import { describeFaults } from './page.js';
import { lackOf } from './system.js';

const testFault = describeFaults('hosts');

const stubborn = { holdsPipes: true, ignoresSigterm: true };
const deafAnswers: Step = ['answers', { ...model, ...deaf }];
const waitsAt = (phase: string) => gated('never', deafAnswers, phase);
/** An app-server that ignores all requests to end, and the entry of its log that shows how far it is. */
const phases: [step: Step, sign: 'waits' | 'end of input'][] = [
	[waitsAt('spawn'), 'waits'],
	[waitsAt('initialize'), 'waits'],
	[waitsAt('model/list'), 'waits'],
	[deafAnswers, 'end of input'],
	[['answers', { ...model, ...deaf, grandchild: stubborn }], 'end of input'],
];

const raise = (signal: string): [string, number | string] => [
	`setInterval(() => {}, 60_000); process.kill(process.pid, '${signal}')`,
	signal,
];

/** The acts of hosts, and the exit code or the signal that each ends with. */
const waysToEnd: Record<string, [act: string, end: number | string][]> = {
	'the host returns, calls `process.exit`, throws, or leaves a rejection unhandled': [
		['', 0],
		['process.exit(7)', 7],
		['throw new Error("thrown")', 1],
		['Promise.reject(new Error("rejected"))', 1],
	],
	'SIGTERM, SIGINT or SIGHUP ends the host': [raise('SIGTERM'), raise('SIGINT'), raise('SIGHUP')],
};

for (const [fault, ways] of Object.entries(waysToEnd)) {
	const where = 'spawn, initialize, model/list, while being ended';
	const isDeaf = 'Codex ignores the end of its input and SIGTERM';
	testFault(`${fault}, and ${isDeaf}`, where, 'no process is left', async () => {
		const endHost = async (act: string, end: unknown, [step, sign]: (typeof phases)[number]) => {
			const { server, facts } = serve(step);
			const { done, write } = startHost(
				`// A caller that waits keeps the host alive, and so this one leaves.
				const controller = new AbortController();
				make().list({ deadlineMs: Infinity, signal: controller.signal }).catch(() => {});
				await next();
				controller.abort();
				${act};`,
				{ facts },
			);
			await server.untilLogged(sign);
			write('now');
			const { exitCode, signal } = await done;
			expect(exitCode ?? signal).toBe(end);
			await untilGone(...server.pids, ...server.grandchildren);
			expect(server.starts).toBe(1);
		};
		for (const [act, end] of ways)
			await Promise.all(phases.map((phase) => endHost(act, end, phase)));
	});
}

testFault(
	'SIGKILL ends the host',
	'any',
	'a Codex stays that ignores the end of its input',
	async () => {
		for (const isDeaf of [false, true]) {
			const step = isDeaf ? waitsAt('model/list') : gated('never');
			const { server, facts } = serve(step);
			const { child, done } = startHost('make().list().catch(() => {});', { facts });
			await server.untilLogged('waits');
			child.kill('SIGKILL');
			await done;
			await server.untilLogged('end of input');
			const [pid = 0] = server.pids;
			if (isDeaf) process.kill(pid, 'SIGKILL');
			await untilGone(pid);
			expect(server.find('SIGTERM')).toEqual([]);
		}
	},
);

testFault('the host is stopped and goes on', 'initialize, model/list', 'the list', async () => {
	for (const phase of ['initialize', 'model/list']) {
		const { server, facts } = serve(gated('open', answers, phase));
		const { child, done } = startHost('await listOnce();', { facts });
		await server.untilLogged('waits');
		child.kill('SIGSTOP');
		const state = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1)?.[0];
		await harness.until('the host is stopped', () => state() === 'T');
		server.open('open');
		// The app-server answers at once, and the answer waits in the pipe.
		child.kill('SIGCONT');
		expect(await done).toMatchObject({ exitCode: 0, stderr: '', told: [served] });
	}
});

const container = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;

testFault(
	'the host is the first process of a container, and Codex leaves a process',
	'model/list, after the answer',
	'`ERR_CODEX_EXITED`, then the list; a zombie delays neither a fetch nor `close()`',
	async () => {
		const { server, facts } = serve(
			['exits', { code: 1, grandchild: {} }],
			['answers', { ...model, grandchild: {} }],
		);
		const [failure, list, signals, ...states] = await runHost(
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
			for (const pid of readdirSync('/proc').filter(Number))
				tell(readFileSync('/proc/' + pid + '/stat', 'utf8').split(') ').at(-1)[0]);`,
			{ facts, through: [...container] },
		);
		expect([failure.code, list]).toEqual(['ERR_CODEX_EXITED', served]);
		// SIGKILL follows where a group seems to live on.
		expect(new Set(signals)).toEqual(new Set([0, 'SIGTERM']));
		expect(states).toEqual(['R', 'Z', 'Z']);
		expect(server.starts).toBe(2);
	},
	lackOf(...container, 'true'),
);

testFault('the host is a worker thread', 'any', 'the list; no process is left', async () => {
	const { server, facts } = serve();
	const inner = `
		import { parentPort, workerData } from 'node:worker_threads';
		const { CodexModelCatalog } = await import(workerData);
		const catalog = new CodexModelCatalog(${JSON.stringify(facts.options)});
		parentPort.postMessage({ ids: (await catalog.list()).map(({ id }) => id) });`;
	const source = `
		import { Worker } from 'node:worker_threads';
		const url = new URL('data:text/javascript,' + encodeURIComponent(facts.inner));
		new Worker(url, { workerData: import.meta.resolve('codex-models') }).on('message', tell);`;
	expect(await runHost(source, { facts: { ...facts, inner } })).toEqual([served]);
	await untilGone(...server.pids);
});

testFault('Codex starts a process by `setsid`', 'any', 'the list; that process stays', async () => {
	const grandchild = { ...stubborn, isDetached: true };
	const { server, facts } = serve(['answers', { ...model, grandchild }]);
	expect(await runHost('await listOnce();', { facts })).toEqual([served]);
	await untilGone(...server.pids);
	const pid = server.grandchildren[0] as number;
	expect(isAlive(pid)).toBe(true);
	process.kill(pid, 'SIGKILL');
});
