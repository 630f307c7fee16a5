import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { lookOnce, readRegularFile } from '../../src/system/files.js';
import { makeDirectory } from '../harness.js';

test('one look at a path is under way at a time, and one more follows for all that came meanwhile', async () => {
	let end = () => {};
	const look = vi.fn(
		() =>
			new Promise<number>((resolve) => {
				end = () => resolve(look.mock.calls.length);
			}),
	);
	const first = lookOnce('a', look);
	const others = [lookOnce('a', look), lookOnce('a', look)];
	expect(await lookOnce('b', async () => 'another path')).toBe('another path');
	expect(look).toHaveBeenCalledTimes(1);
	end();
	expect(await first).toBe(1);
	await vi.waitFor(() => expect(look).toHaveBeenCalledTimes(2));
	end();
	expect(await Promise.all(others)).toEqual([2, 2]);
});

test('files that are read at the same time have a text each', async () => {
	const directory = makeDirectory();
	const names = ['a', 'b', 'c'];
	const read = (name: string) => readRegularFile(path.join(directory, name), 1);
	for (const name of names) writeFileSync(path.join(directory, name), name);
	expect(await Promise.all(['gone', ...names].map(read))).toEqual([undefined, ...names]);
});
