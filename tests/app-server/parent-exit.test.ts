import { expect, test } from 'vitest';
import { isAlive, runHost, type Step, script, untilGone } from './harness.js';

const a = { models: [{ id: 'a' }] };
const hangs: Step = ['hangs', { at: 'model/list', ignores: ['end', 'SIGTERM'] }];

/** A host with a catalog whose app-server follows these steps. */
function host(source: string, steps: Step[], options: object = {}) {
	const server = script(...steps);
	const { command, args } = server;
	const head = `
		const catalog = new CodexModelCatalog({
			...facts,
			retries: 0,
			deadlineMs: Infinity,
		});
	`;
	return { server, ...runHost(head + source, { command, args, ...options }) };
}

const noSignal = { exitCode: 0, signal: null, stderr: '' };

test('a host that is done ends, though its app-server heeds nothing, and leaves none behind', async () => {
	const { server, done } = host(`console.log((await catalog.list()).length);`, [
		['answers', { ...a, ignores: ['end', 'SIGTERM'] }],
	]);
	expect(await done).toEqual({ ...noSignal, stdout: '1\n' });
	await untilGone(...server.pids);
	// It has not waited for the end of it: else SIGTERM would have come before SIGKILL.
	expect(server.find('SIGTERM')).toEqual([]);
	expect(server.starts).toBe(1);
});

test('a host that waits for a list without a deadline stays alive until it is there', async () => {
	const { server, child, done } = host(`console.log((await catalog.list()).length);`, [
		['answers', { ...a, gates: { 'model/list': 'open' } }],
	]);
	await server.untilAsked('model/list');
	expect(child.exitCode).toBeNull();
	server.open('open');
	expect(await done).toEqual({ ...noSignal, stdout: '1\n' });
	await untilGone(...server.pids);
});

test('a host stays alive through the wait between two attempts', async () => {
	const { server, done } = host(
		`const other = new CodexModelCatalog({ ...facts, retries: 1, deadlineMs: Infinity });
		console.log((await other.list()).length);`,
		[
			['exits', { at: 'initialize', code: 1 }],
			['answers', a],
		],
	);
	expect(await done).toEqual({ ...noSignal, stdout: '1\n' });
	expect(server.starts).toBe(2);
});

test('a host that waits gets its error', async () => {
	const { done } = host(`console.log((await catalog.list().catch((error) => error)).code);`, [
		['exits', { at: 'model/list', code: 1 }],
	]);
	expect(await done).toEqual({ ...noSignal, stdout: 'ERR_CODEX_EXITED\n' });
});

test('a host with a refresh behind a served list ends without waiting for it, and leaves nothing behind', async () => {
	const { server, done, child } = host(
		`await catalog.list();
		console.log((await catalog.list()).length);
		process.stdin.once('data', () => process.stdin.destroy());`,
		[['answers', a], hangs],
		{ freshMs: 0 },
	);
	await server.untilAsked('model/list', 2);
	child.stdin.write('done');
	expect(await done).toEqual({ ...noSignal, stdout: '1\n' });
	await untilGone(...server.pids);
});

test('a host whose callers have all left a fetch ends, and leaves nothing behind', async () => {
	const { server, done } = host(
		`const error = await catalog.list({ deadlineMs: 500 }).catch((error) => error);
		console.log(error.code);`,
		[hangs],
	);
	expect(await done).toEqual({ ...noSignal, stdout: 'ERR_CODEX_TIMEOUT\n' });
	await untilGone(...server.pids);
});

test('a host that awaits close ends with code 0, when its app-server is gone', async () => {
	const { server, done } = host(
		`await catalog.list();
		await catalog.close();
		console.log('closed');`,
		[['answers', { ...a, ignores: ['end', 'SIGTERM'] }]],
	);
	expect(await done).toEqual({ ...noSignal, stdout: 'closed\n' });
	expect(server.pids.filter(isAlive)).toEqual([]);
	expect(server.find('SIGTERM')).toHaveLength(1);
});

test('a host that calls process.exit leaves nothing behind', async () => {
	const { server, done, child } = host(
		`catalog.list();
		process.stdin.once('data', () => process.exit(7));`,
		[hangs],
	);
	await server.untilAsked('model/list');
	child.stdin.write('go');
	expect(await done).toMatchObject({ exitCode: 7, signal: null });
	await untilGone(...server.pids);
	expect(server.starts).toBe(1);
});

test('a host that throws leaves nothing behind', async () => {
	const { server, done, child } = host(
		`catalog.list();
		process.stdin.once('data', () => {
			throw new Error('from the host');
		});`,
		[hangs],
	);
	await server.untilAsked('model/list');
	child.stdin.write('go');
	const { exitCode, stderr } = await done;
	expect(exitCode).toBe(1);
	expect(stderr).toContain('from the host');
	await untilGone(...server.pids);
});

test('a host that a rejection ends leaves nothing behind', async () => {
	const { server, done } = host(
		`catalog.list();
		await catalog.list({ deadlineMs: 500 });`,
		[hangs],
	);
	const { exitCode, stderr } = await done;
	expect(exitCode).toBe(1);
	expect(stderr).toContain('ERR_CODEX_TIMEOUT');
	await untilGone(...server.pids);
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
	'a host that is ended by %s leaves nothing behind',
	async (signal) => {
		const { server, done, child } = host(`await catalog.list();`, [hangs]);
		await server.untilAsked('model/list');
		child.kill(signal);
		expect(await done).toMatchObject({ exitCode: null, signal });
		await untilGone(...server.pids);
	},
);

test.each(['SIGTERM', 'SIGINT'] as const)(
	'a host that is ended by %s while its app-server ends leaves nothing behind, its grandchild neither',
	async (signal) => {
		const { server, done, child } = host(`await catalog.list(); process.stdin.resume();`, [
			['leavesAGrandchild', { ...a, holdsPipes: true, ignoresSigterm: true, ignores: ['end', 'SIGTERM'] }],
		]);
		await server.untilLogged('end of input');
		child.kill(signal);
		expect(await done).toMatchObject({ exitCode: null, signal });
		const grandchildren = server.find('grandchild').map(({ grandchild }) => grandchild);
		expect(grandchildren).toHaveLength(1);
		await untilGone(...server.pids, ...grandchildren);
	},
);

test.each(['on', 'once'])(
	'a host that handles SIGTERM itself, by process.%s, is left to end as it likes',
	async (on) => {
		const { server, done, child } = host(
			`process.${on}('SIGTERM', async () => {
			console.log('handled');
			console.log((await waiting).length);
			await catalog.close();
			process.exit(3);
		});
		const waiting = catalog.list();
		await waiting;
		process.stdin.resume();`,
			[['answers', { ...a, gates: { 'model/list': 'open' } }]],
		);
		await server.untilAsked('model/list');
		child.stdout.once('data', () => server.open('open'));
		child.kill('SIGTERM');
		expect(await done).toEqual({ exitCode: 3, signal: null, stdout: 'handled\n1\n', stderr: '' });
		expect(server.pids.filter(isAlive)).toEqual([]);
	},
);

test('an app-server whose host is killed sees the end of its input', async () => {
	const { server, done, child } = host(`await catalog.list();`, [['hangs', { at: 'model/list' }]]);
	await server.untilAsked('model/list');
	child.kill('SIGKILL');
	await done;
	await untilGone(...server.pids);
	expect(server.find('end of input')).toHaveLength(1);
});

test('a host hears of no failed write to an app-server that has closed its input', async () => {
	const { done } = host(
		`process.on('uncaughtException', (error) => console.log('uncaught', error));
		console.log((await catalog.list().catch((error) => error)).code);`,
		[['closesItsInput', { at: 'initialize' }]],
	);
	expect(await done).toEqual({ ...noSignal, stdout: 'ERR_CODEX_EXITED\n' });
});

test('a host that only imports the package ends at once', async () => {
	const { done } = runHost(`console.log(typeof listCodexModels);`);
	expect(await done).toEqual({ ...noSignal, stdout: 'function\n' });
});
