import { afterEach, vi } from 'vitest';
import { cleanUp } from '../harness.js';

// The part of `tests/setup.ts` that needs no list of processes, which `ps` gives on POSIX systems only.
afterEach(async () => {
	vi.useRealTimers();
	await cleanUp();
	vi.restoreAllMocks();
	vi.unstubAllEnvs();
});
