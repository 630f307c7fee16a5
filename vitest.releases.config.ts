import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['tests/releases/*.test.ts'],
		globalSetup: ['tests/releases/install.ts'],
		setupFiles: ['tests/setup.ts'],
		pool: 'forks',
		maxWorkers: 3,
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
