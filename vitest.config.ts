import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['tests/*.test.ts'],
		setupFiles: ['tests/setup.ts'],
		pool: 'forks',
		// Processes are mostly waited for: more files than processors may be under way.
		maxWorkers: 3,
		testTimeout: 30_000,
		hookTimeout: 30_000,
	},
});
