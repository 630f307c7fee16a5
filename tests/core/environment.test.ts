import { homedir } from 'node:os';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { findHome } from '../src/home.js';
import { makeDirectory, runHost } from './harness.js';

test('the home directory is that of the moment', () => {
	for (const home of [makeDirectory(), makeDirectory()]) {
		vi.stubEnv('HOME', home);
		expect(findHome()).toBe(home);
		expect(findHome()).toBe(home);
	}
});

test.each(['', 'a/relative/path'])(
	"a HOME that is no absolute path (%j) is not taken, but the user's own",
	(home) => {
		vi.stubEnv('HOME', undefined);
		const own = homedir();
		vi.stubEnv('HOME', home);
		expect(findHome()).toBe(own);
		expect(path.isAbsolute(own)).toBe(true);
	},
);

const mayBeAnother = process.getuid?.() === 0;

test.runIf(mayBeAnother)(
	`a user without a name and a home has the root${mayBeAnother ? '' : ' (SKIPPED: only root may be another)'}`,
	async () => {
		const { done } = runHost(
			`// Loads all that it needs while it may read this folder.
			await new CodexModelCatalog({ ...facts, retries: 0 }).list().catch(() => {});
			process.setgid(54321);
			process.setuid(54321);
			delete process.env.HOME;
			const places = [];
			const catalog = new CodexModelCatalog({ ...facts, retries: 0, onEvent: ({ cwd }) => places.push(cwd) });
			const { code, exitCode } = await catalog.list().catch((error) => error);
			console.log(JSON.stringify([[...new Set(places)], code, exitCode]));`,
			{ command: '/bin/sh', args: ['-c', 'exit 3'] },
		);
		expect(await done).toMatchObject({ exitCode: 0, stdout: '[["/"],"ERR_CODEX_EXITED",3]\n' });
	},
);
