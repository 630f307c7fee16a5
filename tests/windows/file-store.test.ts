import { expect, test } from 'vitest';
import { makeAppServer, makeFolder, nodeProgram, runHost, startHost, toWindows } from './wine.js';

const writes = 40;

/** Three readers with less of a pause have the file open all the time, and no retry finds a gap. */
const pauseMs = 10;

const reader = `
	const store = fileStore({ directory: facts.directory });
	const counts = { failures: [] };
	report('ready');
	while (!fs.existsSync(facts.stop)) {
		await store.get('list').catch((error) => counts.failures.push(error.code ?? error.message));
		await new Promise((resolve) => setTimeout(resolve, facts.pauseMs));
	}
	report(counts);
`;

const writer = `
	const store = fileStore({ directory: facts.directory });
	const failures = [];
	for (let count = 0; count < facts.writes; count++) {
		await store.set('list', { count, text: 'x'.repeat(20_000) }, 60_000).catch((error) => failures.push(error.code));
	}
	report({ failures });
	fs.writeFileSync(facts.stop, '');
`;

test('writes of a file store get past three processes that read the same list', async () => {
	const folder = makeFolder();
	const directory = toWindows(folder);
	const facts = { directory, stop: `${directory}\\stop`, writes, pauseMs };
	const readers = [1, 2, 3].map(() => startHost(reader, { facts }));
	for (const { untilReported } of readers) await untilReported(1);

	const reports = await runHost(writer, { facts });
	const results = await Promise.all(readers.map(({ done }) => done));

	// Without a second try nearly every write fails; on a busy machine a reader may have the file open for longer than the limit.
	expect(reports[0]?.failures.length).toBeLessThanOrEqual(writes / 4);
	for (const result of results) expect(result.reports[1]).toMatchObject({ failures: [] });
});

test('three processes with the same file store get their list from one app-server', async () => {
	const appServer = makeAppServer('answers');
	const source = `
		const store = fileStore({ directory: facts.directory });
		const catalog = new CodexModelCatalog({ ...facts.options, store });
		report(await listIds(catalog));
		await catalog.close();
	`;
	const options = { command: nodeProgram, args: appServer.args };
	const facts = { directory: toWindows(makeFolder()), options };
	const results = await Promise.all([1, 2, 3].map(() => runHost(source, { facts })));

	expect(results).toEqual([1, 2, 3].map(() => [['gpt-windows']]));
	expect(appServer.starts).toHaveLength(1);
});
