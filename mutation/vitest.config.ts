import { defineConfig } from 'vitest/config';

/** The tests of the mutated modules that run in one process, which Stryker's mutant switch needs. */
export default defineConfig({
	define: { PACKAGE_VERSION: '"0.0.0"' },
	test: {
		include: [
			'tests/{api,app-server,catalog,machine,store,testing}/**/*.test.ts',
			'tests/{environment,find-executable}.test.ts',
		],
		setupFiles: ['mutation/setup.ts'],
		pool: 'threads',
		testTimeout: 8_000,
	},
});
