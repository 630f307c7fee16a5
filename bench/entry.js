import { gzipSync } from 'node:zlib';
import { build, stop } from 'esbuild';

/** What an import of the package loads of its own, and what comes later: minified, dependencies aside, in bytes. */
export async function weighEntry(file) {
	const { outputFiles, metafile } = await build({
		entryPoints: [file],
		bundle: true,
		packages: 'external',
		platform: 'node',
		format: 'esm',
		target: 'node20',
		splitting: true,
		outdir: 'out',
		minify: true,
		metafile: true,
		write: false,
	});
	await stop();
	// What `import()` loads, when an app-server is to be started or a store to be asked, is no part of it.
	const names = new Set(['out/index.js']);
	for (const name of names) {
		for (const { path, kind, external } of metafile.outputs[name]?.imports ?? []) {
			if (kind === 'import-statement' && !external) names.add(path);
		}
	}
	const isLoaded = ({ path }) => [...names].some((name) => path.replaceAll('\\', '/').endsWith(name));
	const join = (files) => Buffer.concat(files.map(({ contents }) => contents));
	const entry = join(outputFiles.filter(isLoaded));
	const later = join(outputFiles.filter((output) => !isLoaded(output)));
	const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length;
	return { minifiedBytes: entry.length, gzippedBytes: gzip(entry), laterBytes: gzip(later) };
}
