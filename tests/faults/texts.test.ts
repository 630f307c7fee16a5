import { expect } from 'vitest';
import type { Step } from '../harness.js';
import { serve, startHost } from '../host.js';
import { describeFaults } from './page.js';

const testFault = describeFaults('texts');

/** No pattern of a token, so that nothing redacts it. */
const secret = 'swordfish of the user';
/** The values of options that hold the secret, and what a call comes to. */
const options: [options: string, code: string][] = [
	['{ env: { KEY: facts.secret }, args: [...args, facts.secret] }', 'ERR_CODEX_EXITED'],
	[
		'{ env: { KEY: facts.secret }, args: [...args, facts.secret], deadlineMs: 5 }',
		'ERR_CODEX_TIMEOUT',
	],
	["{ args: [facts.secret], command: '/there/is/none' }", 'ERR_CODEX_NOT_FOUND'],
	["{ args: [facts.secret], cwd: '/there/is/none' }", 'ERR_CODEX_NOT_FOUND'],
	['{ args: [facts.secret], command: script }', 'ERR_CODEX_NOT_FOUND'],
	['{ args: [facts.secret + long] }', 'ERR_CODEX_EXITED'],
	['{ env: { KEY: facts.secret + long } }', 'ERR_CODEX_EXITED'],
	['{ command: () => { throw new Error(facts.secret); } }', 'ERR_CODEX_FETCH'],
	['{ command: () => Promise.reject(facts.secret) }', 'ERR_CODEX_FETCH'],
	["{ command: () => facts.secret + '\\0' }", 'TypeError'],
	['{ command: () => ({ path: facts.secret }) }', 'TypeError'],
	["{ env: { KEY: facts.secret + '\\0' } }", 'TypeError'],
	['{ env: [facts.secret] }', 'TypeError'],
	["{ args: ['--key', [facts.secret]] }", 'TypeError'],
	["{ args: [facts.secret + '\\0'] }", 'TypeError'],
];

testFault(
	'`env`, `args` or a `command` function holds a secret, and is wrong, too long, or for a start that fails',
	'any',
	'an error whose message, JSON and events do not show it',
	async () => {
		const { facts } = serve(['exits', { at: 'initialize', code: 1 }]);
		const source = `
			const { inspect } = await import('node:util');
			const { args } = facts.options;
			const long = 'x'.repeat(4_000_000);
			const script = facts.directory + '/script';
			writeFileSync(script, '#!/there/is/none', { mode: 0o755 });
			const shown = [];
			const onEvent = (event) => shown.push(event);
			for (const getOptions of [${options.map(([each]) => `() => (${each})`)}]) {
				try {
					const catalog = make({ ...getOptions(), onEvent });
					const error = await catalog.list().catch((reason) => reason);
					tell(error.code ?? error.name);
					shown.push(error, catalog.peek());
					// The function's own error is the cause for its host.
					if (error.code !== 'ERR_CODEX_FETCH') shown.push(inspect(error));
					await catalog.close();
				} catch (error) {
					tell(error.name);
					shown.push(error);
				}
			}
			tell(shown.map((each) => [JSON.stringify(each), String(each), each?.hint]));`;
		const env = { NODE_DEBUG: 'codex-models' };
		const { exitCode, stderr, told } = await startHost(source, {
			facts: { ...facts, secret },
			env,
		}).done;
		expect(exitCode).toBe(0);
		const shown = told.pop();
		expect(told).toEqual(options.map(([, code]) => code));
		expect(stderr).toContain('CODEX-MODELS');
		expect(shown.length).toBeGreaterThan(2 * options.length);
		expect(stderr + JSON.stringify(shown)).not.toContain(secret);
	},
);

const token = `sk-proj-${'Ab12'.repeat(10)}`;
const colors = '\u001b[31mred\u001b[0m\u009b2J\u0007';
const unclean = /[\p{Cc}\u200b\u2028-\u202e]|sk-proj/u;

testFault(
	'Codex and a store write long texts with a token and terminal codes',
	'any',
	'errors, warnings and events without them',
	async () => {
		const words = `${colors} ${token} ${'x'.repeat(5_000)}`;
		const answersWith = (message: object): Step => ['answersWith', { message }];
		const { facts } = serve(
			answersWith({ result: { data: [{ id: 'a' }], nextCursor: words } }),
			answersWith({ error: { code: -32000, message: words, data: { [words]: words } } }),
			['exits', { at: 'model/list', code: 1, stderr: `Error: ${words}\n` }],
			[
				'warns',
				{ warning: { summary: `${words} using defaults`, details: words }, models: [{ id: 'a' }] },
			],
		);
		const source = `
			const fail = () => {
				throw new Error(facts.words + 'x'.repeat(1_000_000));
			};
			const events = [];
			const store = { get: fail, set: fail, delete: fail, lock: fail };
			const catalog = make({ store, onEvent: (event) => events.push(event) });
			for (let call = 0; call < 3; call++) tell(await catalog.list().catch((error) => error));
			tell(await catalog.read());
			await catalog.close();
			for (const event of events) tell(event);`;
		const { told, stderr } = await startHost(source, { facts: { ...facts, words } }).done;
		expect(stderr).toBe('');
		const codes = ['ERR_CODEX_PROTOCOL', 'ERR_CODEX_RPC', 'ERR_CODEX_EXITED'];
		expect(told.slice(0, 3).map(({ code }) => code)).toEqual(codes);
		expect(told[3].warnings).toMatchObject([{ type: 'config-ignored' }]);
		const types = new Set(told.slice(4).map(({ type }) => type));
		for (const type of ['store-failed', 'failed', 'config-warning']) expect(types).toContain(type);
		const texts: string[] = [];
		JSON.stringify(told, (_, value) => {
			if (typeof value === 'string') texts.push(value);
			return value;
		});
		for (const text of texts) {
			expect(text.replaceAll(/[\n\t]/g, '')).not.toMatch(unclean);
			expect(text.length).toBeLessThanOrEqual(16_384);
		}
	},
);
