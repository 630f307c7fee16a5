import { expect, test } from 'vitest';
import { afterTest, makeCatalog, neverMs, runHost, untilGone } from '../harness.js';
import { describeOutcome, expectOutcome, limitMs, type Outcome, settle } from './cell.js';
import { bound, openChapter } from './page.js';

const chapter = openChapter('floods');

/** Not by `exec`: a shell stays behind whose output is open. */
const lines = (text: string) => `yes '${text}'`;
const requests = lines('{"id":1,"method":"x"}');

const floods = {
	'empty lines on stderr': `${lines('')} >&2; :`,
	'lines on stderr': `${lines('some words of a log')} >&2; :`,
	'bytes without an end of line on stderr': 'cat /dev/zero >&2; :',
	'empty lines': lines(''),
	'empty objects': lines('{}'),
	notifications: lines('{"method":"x","params":{}}'),
	'what looks like an object': lines('{x}'),
	'requests, and reads no answer': requests,
};

const gets: Outcome = { code: 'ERR_CODEX_TIMEOUT', timeoutMs: limitMs, phase: 'initialize' };

for (const [what, program] of Object.entries(floods)) {
	chapter.declare();
	test(`writes ${what}: neither a timer nor its end is late`, async () => {
		const { catalog, events } = makeCatalog({
			command: '/bin/sh',
			args: ['-c', program],
			retries: 0,
			deadlineMs: neverMs,
			fetchTimeoutMs: limitMs,
		});
		let turns = 0;
		const timer = setInterval(() => turns++, 1);
		afterTest(() => clearInterval(timer));
		const startedAt = performance.now();
		expectOutcome(await settle(catalog.list()), gets);
		const ms = performance.now() - startedAt;
		// A thousand would fit; where a flood is read as it comes, there are one or two.
		expect(turns).toBeGreaterThan(10);
		expect(ms).toBeLessThan(bound('at its limit'));
		const { pid } = await events.nth('spawned');
		await events.nth('exited');
		await untilGone(pid);
		const fault = `writes ${what}`;
		chapter.record({ fault, phase: 'initialize', gets: describeOutcome(gets), time: 'at its limit' }, ms);
	});
}

test('an app-server that asks and does not read does not hold a host that is done', async () => {
	const { done } = runHost(
		`const catalog = new CodexModelCatalog({ ...facts, retries: 0 });
		console.log((await catalog.list({ deadlineMs: 500 }).catch((error) => error)).code);`,
		{ command: '/bin/sh', args: ['-c', requests], fetchTimeoutMs: neverMs },
	);
	expect(await done).toEqual({ exitCode: 0, signal: null, stdout: 'ERR_CODEX_TIMEOUT\n', stderr: '' });
});
