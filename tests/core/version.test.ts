import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { version } from '../../src/core/version.js';

test('is the version in package.json', () => {
	const packageJson = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
	expect(version).toBe(packageJson.version);
});
