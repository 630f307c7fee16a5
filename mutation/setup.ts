import { afterEach, vi } from 'vitest';
import { cleanUp } from '../tests/harness.js';

// The part of `tests/setup.ts` that looks for no processes: a mutant that leaves one must not wait for its end.
afterEach(async () => {
	vi.useRealTimers();
	await cleanUp();
	vi.restoreAllMocks();
	vi.unstubAllEnvs();
});
