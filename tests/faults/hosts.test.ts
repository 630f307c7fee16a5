import { expect, test } from 'vitest';
import { runHost, type Step, script, untilGone } from '../harness.js';

const deaf = { models: [{ id: 'a' }], ignores: ['end', 'SIGTERM'] as ('end' | 'SIGTERM')[] };
const waitsAt = (phase: string): Step => ['answers', { ...deaf, gates: { [phase]: 'never' } }];

/** An app-server that heeds nothing, and what its log says when it has come so far. */
const phases = [
	{ phase: 'spawn', step: waitsAt('start'), sign: 'waits' },
	{ phase: 'initialize', step: waitsAt('initialize'), sign: 'waits' },
	{ phase: 'model/list', step: waitsAt('model/list'), sign: 'waits' },
	{ phase: 'while being ended', step: ['answers', deaf], sign: 'end of input' },
	{
		phase: 'while being ended, with a grandchild that holds its pipes',
		step: ['leavesAGrandchild', { ...deaf, holdsPipes: true, ignoresSigterm: true }],
		sign: 'end of input',
	},
] as const;

const ways = [
	{ way: 'returns', act: '', ends: { exitCode: 0, signal: null } },
	{ way: 'calls process.exit', act: 'process.exit(7)', ends: { exitCode: 7, signal: null } },
	{ way: 'throws', act: 'throw new Error("thrown")', ends: { exitCode: 1, signal: null } },
	{ way: 'rejects', act: 'Promise.reject(new Error("rejected"))', ends: { exitCode: 1, signal: null } },
	...(['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal) => ({
		way: `is ended by ${signal}`,
		// Alive until it comes.
		act: `setInterval(() => {}, 60_000); process.kill(process.pid, '${signal}')`,
		ends: { exitCode: null, signal },
	})),
];

test.each(phases.flatMap((row) => ways.map((way) => ({ ...row, ...way }))))(
	'a host that $way ($phase) leaves nothing behind',
	async ({ step, sign, act, ends }) => {
		const server = script(step as Step);
		const { command, args } = server;
		const { child, done } = runHost(
			`const catalog = new CodexModelCatalog({ ...facts, retries: 0 });
			// A caller that waits would keep it: this one leaves when the time has come.
			const controller = new AbortController();
			catalog.list({ deadlineMs: Infinity, signal: controller.signal }).catch(() => {});
			process.stdin.once('data', () => {
				process.stdin.destroy();
				controller.abort();
				${act};
			});`,
			{ command, args },
		);
		await server.untilLogged(sign);
		child.stdin.write('now');
		expect(await done).toMatchObject(ends);
		await untilGone(...server.pids, ...server.find('grandchild').map(({ grandchild }) => grandchild));
		expect(server.starts).toBe(1);
	},
);
