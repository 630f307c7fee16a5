import { expect, test } from 'vitest';
import { afterTest, failureOf, makeCatalog, neverMs, runHost, untilGone } from '../harness.js';

/** Not by `exec`: a shell stays behind whose output is open. */
const line = (text: string) => `yes '${text}'`;

const floods = {
	'empty lines on stderr': `${line('')} >&2; :`,
	'lines on stderr': `${line('some words of a log')} >&2; :`,
	'empty lines': line(''),
	'empty objects': line('{}'),
	notifications: line('{"method":"x","params":{}}'),
	'what looks like an object': line('{x}'),
	requests: line('{"id":1,"method":"x"}'),
	'bytes without an end of line': 'cat /dev/zero >&2; :',
};

test.each(Object.entries(floods))(
	'%s without an end delay neither timers nor the end',
	async (_, program) => {
		const { catalog, events } = makeCatalog({
			command: '/bin/sh',
			args: ['-c', program],
			retries: 0,
			deadlineMs: 1_000,
			fetchTimeoutMs: 1_200,
		});
		let turns = 0;
		const timer = setInterval(() => turns++, 1);
		afterTest(() => clearInterval(timer));
		expect(await failureOf(catalog.list())).toMatchObject({ code: 'ERR_CODEX_TIMEOUT', timeoutMs: 1_000 });
		// A thousand would fit; where a flood is read as it comes, there are one or two.
		expect(turns).toBeGreaterThan(10);
		const { pid } = await events.nth('spawned');
		await events.nth('exited');
		await untilGone(pid);
	},
);

test('an app-server that asks and does not read does not hold a host that is done', async () => {
	const { done } = runHost(
		`const catalog = new CodexModelCatalog({ ...facts, retries: 0 });
		console.log((await catalog.list({ deadlineMs: 500 }).catch((error) => error)).code);`,
		{ command: '/bin/sh', args: ['-c', floods.requests], fetchTimeoutMs: neverMs },
	);
	expect(await done).toEqual({ exitCode: 0, signal: null, stdout: 'ERR_CODEX_TIMEOUT\n', stderr: '' });
});
