import { defineConfig } from 'vitest/config';

/** The tests of the mutated modules that run in one process, which Stryker's mutant switch needs. */
export default defineConfig({
	define: { PACKAGE_VERSION: '"0.0.0"' },
	test: {
		include: [
			'tests/{api,machine,catalog}/*.test.ts',
			'tests/app-server/{line-splitter,parse-message,stderr-tail}.test.ts',
			'tests/cli/{format-table,messages,parse-arguments,printable,terminal}.test.ts',
		],
		// These tests start processes.
		exclude: ['tests/catalog/app-servers.test.ts'],
		setupFiles: ['tests/windows/in-process-setup.ts'],
		pool: 'threads',
		testTimeout: 4_000,
	},
});
