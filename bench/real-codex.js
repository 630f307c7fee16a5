// The real Codex: a cold list beside the bare conversation, and the import and the first call of a new process.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
	converse,
	dist,
	findRealProgram,
	importIndex,
	launcher,
	makeUsedHome,
	manifest,
} from './codex.js';
import { interleave, makeDirectory, median, medianRatio, runNode } from './measure.js';

/** Times a cold list. Returns after the exit of the app-server, as the bare conversation does. */
async function makeLibrary(folder, codexHome) {
	const { CodexModelCatalog } = await importIndex(folder);
	return async () => {
		let catalog;
		const exited = new Promise((resolve) => {
			const onEvent = ({ type }) => type === 'exited' && resolve();
			catalog = new CodexModelCatalog({ command: launcher, codexHome, onEvent });
		});
		const startedAt = performance.now();
		await catalog.list();
		const tookMs = performance.now() - startedAt;
		await exited;
		return tookMs;
	};
}

/** The samples of a cold list: the time until the list is there, and the CPU time until the app-server is gone. */
export async function measureCold(rounds) {
	const { codexHome, env } = await makeUsedHome();
	const { samples, cpu } = await interleave(rounds, {
		ours: await makeLibrary(dist, codexHome),
		program: () => converse({ command: findRealProgram(), env }),
		launcher: () => converse({ command: launcher, env }),
	});
	return { rounds, ms: samples, cpu };
}

export async function compareCold(rounds, baseline) {
	const { codexHome } = await makeUsedHome();
	const builds = {
		ours: await makeLibrary(dist, codexHome),
		baseline: await makeLibrary(baseline, codexHome),
	};
	return (await interleave(rounds, builds)).samples;
}

/** The runtime dependencies that an import of the index loads. */
function findPackages() {
	const files = readdirSync(dist, { recursive: true }).filter((name) =>
		/^(?!cli|store).*\.js$/.test(name),
	);
	const source = files.map((name) => readFileSync(path.join(dist, name), 'utf8')).join('\n');
	return Object.keys(manifest.dependencies).filter((name) => source.includes(` from "${name}";`));
}

const urlOf = (file) => JSON.stringify(pathToFileURL(file).href);

/** Times an expression in a new process, which looks packages up from its working directory. */
function timeInNewProcess(expression, preparation = '') {
	const source = `setInterval(() => {}, 60_000);
		${preparation}
		const startedAt = performance.now();
		await ${expression};
		console.log(performance.now() - startedAt);
		if (typeof catalog === 'object') await catalog.close();
		process.exit(0);`;
	return runNode(['--input-type=module', '--eval', source], { cwd: path.dirname(dist) });
}

export async function measureStart(rounds) {
	const folder = makeDirectory();
	const entry = path.join(dist, 'index.js');
	const empty = path.join(folder, 'empty.mjs');
	writeFileSync(empty, '');
	const packages = findPackages();
	const floor = [urlOf(empty), ...packages.map((name) => `'${name}'`)].map(
		(name) => `import(${name})`,
	);
	const { codexHome } = await makeUsedHome();
	const facts = JSON.stringify([launcher, codexHome, path.join(folder, 'store')]);
	const prepare = (store) => `
		import { CodexModelCatalog } from ${urlOf(entry)};
		import { fileStore } from ${urlOf(path.join(dist, 'store', 'file-store.js'))};
		const [command, codexHome, directory] = ${facts};
		const catalog = new CodexModelCatalog({ command, codexHome, store: ${store} });`;
	const contenders = {
		ours: () => timeInNewProcess(`import(${urlOf(entry)})`),
		packages: () => timeInNewProcess(`Promise.all([${floor}])`),
		empty: () => timeInNewProcess(`import(${urlOf(empty)})`),
		cold: () => timeInNewProcess('catalog.list()', prepare('undefined')),
		warm: () => timeInNewProcess('catalog.list()', prepare('fileStore({ directory })')),
	};
	await contenders.warm();
	const { samples } = await interleave(rounds, contenders);
	const ms = Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, median(all)]));
	return { rounds, packages, ms, toPackages: medianRatio(samples.ours, samples.packages) };
}
