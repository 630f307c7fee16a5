import { expect, test } from 'vitest';
import { makeFolder, runHost, startHost, toWindows } from './wine.js';

/** Time that three busy readers and a writer have on two processors. */
const writes = 60;

const reader = `
	const store = fileStore({ directory: facts.directory });
	const counts = { hits: 0, misses: 0, failures: [] };
	report('ready');
	const { existsSync } = await import('node:fs');
	while (!existsSync(facts.stop)) {
		try {
			const value = await store.get('list');
			if (value === undefined) counts.misses++;
			else counts.hits++;
		} catch (error) {
			counts.failures.push(error.code ?? error.message);
		}
	}
	report(counts);
`;

const writer = `
	const store = fileStore({ directory: facts.directory });
	const failures = [];
	for (let count = 0; count < facts.writes; count++) {
		await store.set('list', { count, text: 'x'.repeat(20_000) }, 60_000).catch((error) => failures.push(error.code));
	}
	report({ failures, last: (await store.get('list'))?.count });
	(await import('node:fs')).writeFileSync(facts.stop, '');
`;

test('every write of a file store succeeds while three processes read the same list', async () => {
	const folder = makeFolder();
	const facts = { directory: toWindows(folder), stop: `${toWindows(folder)}\\stop`, writes };
	const readers = [1, 2, 3].map(() => startHost<'ready' | { failures: string[]; hits: number }>(reader, { facts }));
	for (const { reportsSoFar } of readers) {
		await expect.poll(() => reportsSoFar().length, { timeout: 20_000 }).toBe(1);
	}

	const { reports } = await runHost<{ failures: string[] }>(writer, { facts });
	const results = await Promise.all(readers.map(({ done }) => done));

	expect(reports.map(({ failures }) => failures)).toEqual([[]]);
	for (const result of results) expect(result.reports[1]).toMatchObject({ failures: [] });
});
