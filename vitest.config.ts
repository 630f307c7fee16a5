import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import * as onWindows from './tests/windows/portable-tests.js';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/** A suite of its own: `npx vitest run --project NAME`. */
function project(name: string, include: string[], globalSetup: string[] = []) {
	return {
		define: { PACKAGE_VERSION: JSON.stringify(version) },
		test: {
			name,
			include,
			globalSetup,
			setupFiles: ['tests/setup.ts'],
			pool: 'forks' as const,
			testTimeout: 60_000,
			hookTimeout: 60_000,
		},
	};
}

const unit = project('unit', [
	'tests/{catalog,api,app-server,machine,store,testing}/**/*.test.ts',
	'tests/*.test.ts',
]);
if (process.platform === 'win32') {
	console.warn(
		'Windows runs the tests without processes: the others need /bin/sh, ps or signals. test:windows covers them under Wine.',
	);
	Object.assign(unit.test, onWindows);
}

export default defineConfig({
	test: {
		// A test mostly waits for processes: more files than processors may be under way.
		maxWorkers: 3,
		// Of what runs in the process of a test; the command line and the built package run in processes of their own.
		coverage: { include: ['src/**'], reporter: ['text-summary', 'text'] },
		projects: [
			unit,
			project('system', ['tests/{system,cli,examples,types}/**/*.test.ts']),
			project('faults', ['tests/faults/**/*.test.ts']),
			project('releases', ['tests/releases/**/*.test.ts'], ['tests/releases/install.ts']),
			project('runtimes', ['tests/runtimes/**/*.test.ts'], ['tests/runtimes/install.ts']),
			project('bundles', ['tests/bundles/**/*.test.ts'], ['tests/runtimes/install.ts']),
			project('windows', ['tests/windows/**/*.test.ts'], ['tests/windows/install.ts']),
		],
	},
});
