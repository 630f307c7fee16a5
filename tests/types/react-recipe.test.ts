import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const readText = (...parts: string[]) =>
	readFileSync(path.join(import.meta.dirname, ...parts), 'utf8');

test('the React recipe of the README is the one whose types are checked', () => {
	const [, recipe = ''] =
		/```tsx?\n([^`]*useSyncExternalStore.*?)```/s.exec(readText('..', '..', 'README.md')) ?? [];
	const checked = readText('react-recipe.ts')
		.split('\n')
		.filter((line) => !line.includes('expect') && !line.startsWith('// '));
	expect(recipe.trim()).toBe(checked.join('\n').trim());
});
