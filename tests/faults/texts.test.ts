import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { makeDirectory, type Step, script } from '../harness.js';
import { runCommandLine, runHost, serve } from './host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('texts');

const token = `sk-proj-${'Ab12'.repeat(10)}`;
const colors = '\u001b[31mred\u001b[0m\u009b2J\u0007';
const unclean = /[\p{Cc}\u200b\u2028-\u202e]|sk-proj/u;
const answers = (...models: object[]): Step => ['answers', { models }];

testFault(
	'a long cursor with a token and terminal codes comes twice',
	'between pages',
	'`ERR_CODEX_PROTOCOL`',
	async () => {
		const nextCursor = `${colors} ${token} ${'x'.repeat(5_000)}`;
		const message = { result: { data: [{ id: 'a' }], nextCursor } };
		const { facts } = serve(['misbehaves', { act: 'answersWith', phase: 'model/list', message }]);
		const [told] = await runHost('await listOnce();', { facts });
		expect(told).toMatchObject({
			code: 'ERR_CODEX_PROTOCOL',
			message: expect.stringContaining('came twice'),
		});
		expect(told.message).not.toMatch(unclean);
		expect(told.message.length).toBeLessThan(500);
	},
);

testFault(
	'a wrong value of `env` or `args` holds a secret',
	'before the spawn',
	'`TypeError` without the value',
	async () => {
		const told = await runHost(
			`const wrong = [
			{ env: { OPENAI_API_KEY: [facts.token] } }, { env: facts.token }, { env: [facts.token] }, { env: { A: facts.token + '\\0' } },
			{ args: ['--key', [facts.token]] }, { args: facts.token }, { args: { key: facts.token } }, { args: [facts.token + '\\0'] },
		];
		for (const options of wrong) {
			try {
				make(options);
			} catch (error) {
				tell({ isTypeError: error instanceof TypeError, message: error.message });
			}
		}`,
			{ facts: { token } },
		);
		expect(told.map(({ isTypeError }) => isTypeError)).toEqual(Array(8).fill(true));
		for (const { message } of told) {
			expect(message).toMatch(/"(?:env|args)/);
			expect(message).not.toContain(token.slice(0, 12));
		}
	},
);

testFault(
	"a store's error is 1 MB long, with a token and terminal codes",
	'before the spawn',
	'the list',
	async () => {
		const { facts } = serve();
		const [{ ids, reasons }] = await runHost(
			`const fail = () => {
			throw new Error(facts.words + 'x'.repeat(1_000_000));
		};
		const reasons = [];
		const onEvent = ({ type, reason }) => type === 'store-failed' && reasons.push(reason);
		const catalog = make({ store: { get: fail, set: fail, delete: fail, lock: fail }, onEvent });
		const { ids } = await settle(catalog.list());
		await catalog.close();
		tell({ ids, reasons });`,
			{ facts: { ...facts, words: `${colors} ${token} ` } },
		);
		expect(ids).toEqual(['a']);
		expect(reasons.length).toBeGreaterThan(0);
		for (const reason of reasons) {
			expect(reason).not.toMatch(unclean);
			expect(reason.length).toBeLessThan(1_000);
		}
	},
);

testFault(
	'options are inherited from a prototype',
	'before the spawn',
	'the list, by these options',
	async () => {
		const { command, args } = script(answers({ id: 'shown' }, { id: 'hidden', hidden: true }));
		const [told, wrong] = await runHost(
			`const catalog = new CodexModelCatalog(Object.create(facts.inherited));
		tell(await settle(catalog.list(Object.create({ includeHidden: true }))));
		tell(await settle(catalog.list(Object.create({ deadlineMs: -1 }))));
		await catalog.close();`,
			{ facts: { inherited: { command, args } } },
		);
		expect(told).toEqual({ ids: ['shown', 'hidden'] });
		expect(wrong).toMatchObject({
			name: 'TypeError',
			message: expect.stringContaining('deadlineMs'),
		});
	},
);

/** Runs the command line without a kept list. */
function print(step: Step, ...args: string[]) {
	const codex = path.join(script(step).installAsCodex(), 'codex');
	return runCommandLine(['--codex', codex, '--no-cache', ...args], {
		env: { HOME: makeDirectory() },
	});
}

testFault(
	'the command line prints invisible characters',
	'after the answer',
	'the list without them',
	async () => {
		const displayName = 'a\u202eb\u2028c\u200bd\u009be';
		const step = answers({ id: 'a', displayName });
		const [table, json] = await Promise.all([print(step), print(step, '--json')]);
		expect(table.stdout.replaceAll('\n', '')).not.toMatch(unclean);
		expect(json.stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
		expect(JSON.parse(json.stdout)[0].displayName).toBe(displayName);
	},
);

testFault(
	'the command line is misused while stderr is closed',
	'before the spawn',
	'exit code 2',
	async () => {
		// Writing to this device fails: ENOSPC.
		const full = openSync('/dev/full', 'w');
		const { exitCode, stdout } = await runCommandLine(['--no-such-option'], { stderr: full });
		closeSync(full);
		expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
	},
);

testFault(
	'Codex warns the command line of a disabled folder',
	'model/list',
	'the list, without the warning',
	async () => {
		const summary =
			'Project-local config, hooks, and exec policies are disabled in the following folders until trusted';
		const { exitCode, stderr } = await print([
			'warns',
			{ warning: { summary, details: null }, models: [{ id: 'a' }] },
		]);
		expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
	},
);
