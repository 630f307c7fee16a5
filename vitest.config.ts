import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['tests/*.test.ts'],
		setupFiles: ['tests/setup.ts'],
		pool: 'forks',
		// Processes are mostly waited for: more files than processors may be under way.
		maxWorkers: 3,
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
