import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** The rooms that the files of a room may import; "." is the entry, in `src` itself. */
const roomsBelow: Record<string, string[]> = {
	cli: ['.', 'store', 'api', 'system'],
	testing: ['api'],
	'.': ['cache', 'app-server', 'api', 'system'],
	cache: ['api', 'system'],
	'app-server': ['api', 'system'],
	store: ['api', 'system'],
	api: ['system'],
	system: [],
};

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
	file.endsWith('.ts'),
);
const read = (file: string) => readFileSync(path.join(source, file), 'utf8');

/** The files of this package that a file imports, relative to `src`. */
function findImports(file: string): string[] {
	const specifiers = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)];
	return specifiers.map(([, name]) =>
		path.join(path.dirname(file), name as string).replace(/\.js$/, '.ts'),
	);
}

/** The files that an import of one loads. */
function findLoaded(entry: string): string[] {
	const loaded = new Set<string>();
	const load = (file: string) => {
		if (loaded.has(file)) return;
		loaded.add(file);
		for (const imported of findImports(file)) load(imported);
	};
	load(entry);
	return [...loaded];
}

/** Counts the words that a reader has to take in: the names, numbers, strings and signs of the code, without comments. */
function countTokens(file: string): number {
	const code = read(file)
		.replaceAll(/^\s*\/\*[\s\S]*?\*\/.*$/gm, '')
		.replaceAll(/^\s*\/\/.*$/gm, '');
	const token = /[A-Za-z_$#][\w$]*|\d[\w.]*|'[^'\n]*'|"[^"\n]*"|`[^`\n]*`|[^\s\w]/g;
	return code.match(token)?.length ?? 0;
}

const sumTokens = (some: string[]) => some.reduce((sum, file) => sum + countTokens(file), 0);

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

test('the entry loads neither the command line, nor the file store, nor the testing kit', () => {
	const loaded = findLoaded('index.ts');
	const rooms = files.filter((file) => !loaded.includes(file)).map((file) => path.dirname(file));
	expect([...new Set(rooms)].sort()).toEqual(['cli', 'store', 'testing']);
});

test('no module is loaded lazily', () => {
	expect(files.filter((file) => /\bimport\(|\brequire\(/.test(read(file)))).toEqual([]);
});

test('the source stays small, as a whole and in each file', () => {
	const large = files.filter(
		(file) => countTokens(file) > 1_600 || read(file).split('\n').length > 260,
	);
	expect(large).toEqual([]);
	expect(sumTokens(files)).toBeLessThanOrEqual(26_000);
	expect(sumTokens(findLoaded('index.ts'))).toBeLessThanOrEqual(21_000);
});
