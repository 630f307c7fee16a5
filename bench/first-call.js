// What the file store and a kept app-server save, on the real Codex that is installed for the tests; medians.
// Run: npm run build && node bench/first-call.js
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CodexModelCatalog } from 'codex-models';

const run = promisify(execFile);
const rounds = 15;
const codex = fileURLToPath(new URL('../node_modules/.bin/codex', import.meta.url));
const folder = await mkdtemp(path.join(tmpdir(), 'codex-models-bench-'));
const home = await mkdtemp(path.join(folder, 'home-'));

/** One call in a process of its own: how long it took, without the start of that process and the import. */
async function callInNewProcess(directory) {
	const source = `
		import { CodexModelCatalog } from 'codex-models';
		import { fileStore } from 'codex-models/file-store';
		const [command, codexHome, directory] = process.argv.slice(1);
		const store = directory ? fileStore({ directory }) : undefined;
		const catalog = new CodexModelCatalog({ command, codexHome, store });
		const startedAt = performance.now();
		await catalog.list();
		console.log(performance.now() - startedAt);
		await catalog.close();`;
	const args = ['--input-type=module', '-e', source, codex, home, ...(directory ? [directory] : [])];
	const { stdout } = await run(process.execPath, args, {
		cwd: fileURLToPath(new URL('..', import.meta.url)),
	});
	return Number(stdout);
}

async function timeSecondFetch(keepAliveMs) {
	const catalog = new CodexModelCatalog({ command: codex, codexHome: home, keepAliveMs });
	await catalog.list();
	const startedAt = performance.now();
	await catalog.list({ refresh: true });
	const ms = performance.now() - startedAt;
	await catalog.close();
	return ms;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const columns = {
	'first call of a new process, no store': () => callInNewProcess(),
	'first call of a new process, warm file store': () => callInNewProcess(path.join(folder, 'store')),
	'second fetch, an app-server each': () => timeSecondFetch(0),
	'second fetch, keepAliveMs: 60_000': () => timeSecondFetch(60_000),
};
const times = Object.fromEntries(Object.keys(columns).map((name) => [name, []]));
// Once without being counted: the home is made, and the store filled.
for (const measure of Object.values(columns)) await measure();
for (let round = 0; round < rounds; round++) {
	for (const [name, measure] of Object.entries(columns)) times[name].push(await measure());
}
console.table(
	Object.fromEntries(Object.entries(times).map(([name, all]) => [name, { ms: median(all).toFixed(1) }])),
);
await rm(folder, { recursive: true, force: true });
