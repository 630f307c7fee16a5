import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** The rooms that the files of a room may import; "." is the public API in `src` itself. */
const roomsBelow: Record<string, string[]> = {
	cli: ['.', 'store', 'core'],
	'.': ['cache', 'fetch', 'core'],
	fetch: ['app-server', 'core'],
	'app-server': ['core'],
	cache: ['core'],
	store: ['core'],
	core: [],
};

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
	file.endsWith('.ts'),
);
const read = (file: string) => readFileSync(path.join(source, file), 'utf8');

/** The files of this package that a file imports, relative to `src`. */
function findImports(file: string): string[] {
	const specifiers = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(
		([, name]) => name as string,
	);
	return specifiers.map((name) => path.join(path.dirname(file), name).replace(/\.js$/, '.ts'));
}

test('the source has the files that the rules below are about', () => {
	expect(files.length).toBeGreaterThan(20);
	expect(findImports('catalog.ts').length).toBeGreaterThan(5);
});

test('a file imports only its own room and the rooms below it', () => {
	const upward = files.flatMap((file) => {
		const room = path.dirname(file);
		const allowed = [room, ...(roomsBelow[room] ?? [])];
		return findImports(file)
			.filter((imported) => !allowed.includes(path.dirname(imported)))
			.map((imported) => `${file} imports ${imported}`);
	});
	expect(upward).toEqual([]);
});

test('no file imports itself by way of others', () => {
	const visit = (file: string, way: string[]): string[] => {
		if (way.includes(file)) return [[...way, file].join(' -> ')];
		return findImports(file).flatMap((imported) => visit(imported, [...way, file]));
	};
	expect(files.flatMap((file) => visit(file, []))).toEqual([]);
});

test('only the command line and the file store are outside of what the entry loads', () => {
	const loaded = new Set<string>();
	const load = (file: string) => {
		if (loaded.has(file)) return;
		loaded.add(file);
		for (const imported of findImports(file)) load(imported);
	};
	load('index.ts');
	const rooms = new Set(
		files.filter((file) => !loaded.has(file)).map((file) => path.dirname(file)),
	);
	expect([...rooms].sort()).toEqual(['cli', 'store']);
});

test('no module is loaded lazily', () => {
	expect(files.filter((file) => /\bimport\(|\brequire\(/.test(read(file)))).toEqual([]);
});

test('the source stays small: 4,000 lines in all, 250 in a file', () => {
	const lengths = files.map((file) => [file, read(file).split('\n').length - 1] as const);
	expect(lengths.filter(([, length]) => length > 250)).toEqual([]);
	expect(lengths.reduce((sum, [, length]) => sum + length, 0)).toBeLessThanOrEqual(4_000);
});
