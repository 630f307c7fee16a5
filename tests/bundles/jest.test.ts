import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { makeDirectory } from '../harness.js';
import { installTool, makeConsumer } from './consumer.js';

const run = promisify(execFile);

/** Leaves its catalog open: the app-server ends while Jest empties the globals of the test, or with the process. */
const makeTest = (options: string) => `
	import { CodexModelCatalog } from 'codex-models';
	import { modelEntry, scriptedCodex } from 'codex-models/testing';
	test('the models', async () => {
		const codex = await scriptedCodex({ models: [modelEntry({ id: 'a' })] });
		const catalog = new CodexModelCatalog({ ...codex.options, ${options} });
		expect((await catalog.list()).map(({ id }) => id)).toEqual(['a']);
		expect(codex.starts).toBe(1);
	});
`;

test.each(['soft', 'on'])(
	'the tests of a consumer end without an error in Jest 30 on Node 20, with globalsCleanup "%s"',
	async (globalsCleanup) => {
		const node = inject('runtimes').find(({ name }) => name === 'node-20')?.file as string;
		const jest = path.join(await installTool('jest', '30'), 'bin', 'jest.js');
		const config = { transform: {}, testEnvironmentOptions: { globalsCleanup } };
		const cwd = makeConsumer({
			'jest.config.json': JSON.stringify(config),
			'ending.test.js': makeTest(''),
			'kept.test.js': makeTest('keepAliveMs: 60_000'),
		});
		// A module of ESM needs the flag, and Jest with one worker runs tests in its own process.
		const args = ['--experimental-vm-modules', jest, '--runInBand', '--ci'];
		const env = { ...process.env, TMPDIR: makeDirectory(), FORCE_COLOR: '0' };
		const { stderr } = await run(node, args, { cwd, env });
		expect(stderr).toMatch(/^Tests: +2 passed, 2 total$/m);
		expect(stderr).not.toMatch(/RangeError|TypeError/);
	},
);
