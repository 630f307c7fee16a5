// The real Codex: a cold list beside the bare conversation, and the import and the first call of a new process.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { converse, dist, findRealProgram, importIndex, launcher, makeUsedHome } from './codex.js';
import { interleave, makeDirectory, median, medianRatio, runNode } from './measure.js';

/** Times a cold list. Returns after the exit of the app-server, as the bare conversation does. */
export async function makeLibrary(folder, codexHome) {
	const { CodexModelCatalog } = await importIndex(folder);
	return async () => {
		let catalog;
		const exited = new Promise((resolve) => {
			const onEvent = ({ type }) => type === 'exited' && resolve();
			// By its name, as npm installs it: the launcher is on PATH.
			const env = { PATH: `${path.dirname(launcher)}${path.delimiter}${process.env.PATH}` };
			catalog = new CodexModelCatalog({ codexHome, env, onEvent });
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

/** The built-in modules and the dependencies that an import of the index loads. */
function findPackages() {
	const read = new Set();
	const specifiers = new Set();
	const visit = (file) => {
		if (read.has(file)) return;
		read.add(file);
		for (const [, name] of readFileSync(file, 'utf8').matchAll(
			/^(?:import|export) .*?["']([^"']+)["'];/gm,
		)) {
			if (name.startsWith('.')) visit(path.join(path.dirname(file), name));
			else specifiers.add(name);
		}
	};
	visit(path.join(dist, 'index.js'));
	return [...specifiers].sort();
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
	const packages = findPackages();
	// Beside the build, from where the packages can be found.
	const empty = path.join(dist, 'empty.js');
	writeFileSync(empty, packages.map((name) => `import '${name}';\n`).join(''));
	process.once('exit', () => rmSync(empty, { force: true }));
	const { codexHome, env } = await makeUsedHome();
	const facts = JSON.stringify([launcher, codexHome, path.join(folder, 'store')]);
	const prepare = (store) => `
		import { CodexModelCatalog } from ${urlOf(entry)};
		import { fileStore } from ${urlOf(path.join(dist, 'store', 'file-store.js'))};
		const [command, codexHome, directory] = ${facts};
		const catalog = new CodexModelCatalog({ command, codexHome, store: ${store} });`;
	const contenders = {
		ours: () => timeInNewProcess(`import(${urlOf(entry)})`),
		packages: () => timeInNewProcess(`import(${urlOf(empty)})`),
		cold: () => timeInNewProcess('catalog.list()', prepare('undefined')),
		warm: () => timeInNewProcess('catalog.list()', prepare('fileStore({ directory })')),
		bare: () => converse({ command: launcher, env }),
	};
	await contenders.warm();
	const { samples } = await interleave(rounds, contenders);
	const ms = Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, median(all)]));
	const toPackages = medianRatio(samples.ours, samples.packages);
	const warmToBare = medianRatio(samples.warm, samples.bare);
	return { rounds, packages, ms, toPackages, warmToBare };
}
