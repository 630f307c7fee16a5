import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['tests/faults/*.test.ts'],
		setupFiles: ['tests/setup.ts'],
		pool: 'forks',
		maxWorkers: 3,
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
