import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['tests/runtimes/*.test.ts'],
		globalSetup: ['tests/runtimes/install.ts'],
		setupFiles: ['tests/setup.ts'],
		pool: 'forks',
		testTimeout: 60_000,
		hookTimeout: 60_000,
	},
});
