import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectory } from '../harness.js';

const root = path.join(import.meta.dirname, '..', '..');
const read = (...parts: string[]) => readFileSync(path.join(root, ...parts), 'utf8');
const { bin, dependencies, exports } = JSON.parse(read('package.json'));
const entries: { types: string; default: string }[] = Object.values(exports).filter(
	(entry) => typeof entry === 'object',
) as never;

function pack(): { unpackedSize: number; files: { path: string }[] } {
	const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
		cwd: root,
		encoding: 'utf8',
		shell: process.platform === 'win32',
	});
	return JSON.parse(output)[0];
}

test('the package holds each entry with its declarations, the command line, what they share, and nothing else', () => {
	const names = pack().files.map((file) => file.path);
	const isShared = (name: string) => /^dist\/shared-[^/]+\.js$/.test(name);
	expect(names.filter((name) => !isShared(name)).sort()).toEqual(
		[
			...['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'],
			...Object.values<string>(bin),
			...entries.flatMap((entry) => [entry.types.slice(2), entry.default.slice(2)]),
		].sort(),
	);
});

test('the package has at most 220 kB unpacked, and five dependencies', () => {
	expect(pack().unpackedSize).toBeLessThanOrEqual(220_000);
	expect(Object.keys(dependencies).length).toBeLessThanOrEqual(5);
});

test('the code and the declarations keep the doc comments', () => {
	const contents = pack().files.map((file) => [path.extname(file.path), read(file.path)] as const);
	for (const kind of ['.js', '.ts']) {
		const text = contents.flatMap(([extension, content]) => (extension === kind ? content : []));
		expect(text.join('')).toContain('* The models that a user of the Codex CLI can pick');
		expect(text.join('')).toContain('* A store in files');
	}
});

test('the declarations of an entry are one file, without what is internal', () => {
	for (const { types } of entries) expect(read(types)).not.toMatch(/@internal|from '\./);
});

function nameRepository(readme: string): { readme: string; json: Record<string, unknown> } {
	const folder = makeDirectory();
	mkdirSync(path.join(folder, 'docs'));
	writeFileSync(path.join(folder, 'docs', 'a.md'), '');
	writeFileSync(path.join(folder, 'package.json'), '{ "version": "1.2.3" }');
	writeFileSync(path.join(folder, 'README.md'), readme);
	const script = path.join(root, 'scripts', 'name-repository.js');
	execFileSync(process.execPath, [script, 'https://host.example/owner/name'], {
		cwd: folder,
		stdio: 'pipe',
	});
	const readBack = (name: string) => readFileSync(path.join(folder, name), 'utf8');
	return { readme: readBack('README.md'), json: JSON.parse(readBack('package.json')) };
}

test('a package that is published names its repository, and the links of its README lead there', () => {
	const { readme, json } = nameRepository(
		'[a](docs/a.md) [b](docs/a.md#b) ![c](docs/a.md) [d](https://d.example) [e](#e)',
	);
	const address = 'https://host.example/owner/name';
	expect(readme).toBe(
		`[a](${address}/blob/v1.2.3/docs/a.md) [b](${address}/blob/v1.2.3/docs/a.md#b) ` +
			`![c](${address}/raw/v1.2.3/docs/a.md) [d](https://d.example) [e](#e)`,
	);
	expect(json).toMatchObject({ repository: { type: 'git', url: `git+${address}.git` } });
});

test('a package whose README has a link to nothing is not published', () => {
	expect(() => nameRepository('[a](docs/b.md)')).toThrow('docs/b.md, which is not there');
});

test('the links of the README lead to files', () => {
	const files = [...read('README.md').matchAll(/\]\((?![a-z]+:|#)([^)#]+)/g)].map(
		([, file]) => file,
	);
	expect(files.length).toBeGreaterThan(5);
	expect(files.filter((file) => !existsSync(path.join(root, file as string)))).toEqual([]);
});
