import { chmodSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inject, TestRunner } from 'vitest';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import type { ModelCatalog } from '../../src/catalog.js';
import { findProcesses, idsOf, makeCatalog, makeDirectory, until } from '../harness.js';
import type { Cell } from './compatibility-page.js';
import type { Release } from './install.js';

export type { Release } from './install.js';

/** The releases that were installed for this run, the oldest first. */
export const releases = inject('releases');

/** The arguments that the library starts Codex with. */
export const appServer = ['app-server', '-c', 'features.plugins=false'];

/** Whether `npm run try-release` tries one release, whose behaviour in detail the tests do not know. */
export const isTrial = inject('triedRelease') !== undefined;

/** The releases of these versions; in a trial the tried one instead. */
export const pickReleases = (...versions: string[]): Release[] =>
	releases.filter(({ version }) => isTrial || versions.includes(version));

/** Names the cell of docs/compatibility.md that the running test decides. */
export function decideCell(release: Release, column: Cell['column'], text?: string): void {
	const test = TestRunner.getCurrentTest();
	if (!test) throw new Error('decideCell works only in a test');
	test.meta.cell = { release: release.version, column, ...(text !== undefined && { text }) };
}

/** A catalog of a release that makes one attempt; its CODEX_HOME is new unless the options name one. */
export function makeReleaseCatalog({ command }: Release, options: CodexModelCatalogOptions = {}) {
	const codexHome = options.codexHome ?? makeDirectory();
	return {
		codexHome,
		...makeCatalog({ command, retries: 0, deadlineMs: 25_000, ...options, codexHome }),
	};
}

/** A release behind a shell script, which hides the native binary: the library has to start the npm launcher. */
export function wrap({ version, command }: Release): Release {
	const file = path.join(makeDirectory(), 'wrapped-codex');
	writeFileSync(file, `#!/bin/sh\nexec '${command}' "$@"\n`);
	chmodSync(file, 0o755);
	return { version, command: file };
}

/** The ways to start a release: the library looks behind the launcher, or not. */
export const ways = [
	{ way: 'the binary', toCommand: (release: Release) => release },
	{ way: 'the launcher', toCommand: wrap },
];

/** Lists until the catalog has looked at the files again, which it does once a second. */
export async function untilListed(catalog: ModelCatalog, ids: string[]): Promise<void> {
	await until(`the list is ${ids}`, () => {
		void catalog.list().catch(() => {});
		return idsOf(catalog.peek()?.models ?? []).join() === ids.join();
	});
}

/** A new CODEX_HOME with these files; `null` makes a directory. */
export function makeHome(files: Record<string, string | null>): string {
	const codexHome = makeDirectory();
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(codexHome, name);
		if (content === null) mkdirSync(file);
		else writeFileSync(file, content);
	}
	return codexHome;
}

/** The native binaries of Codex that this test has running, as Linux reports them. */
export function findBinaries() {
	return findProcesses().flatMap((pid) => {
		try {
			const file = readlinkSync(`/proc/${pid}/exe`);
			if (path.basename(file) !== 'codex') return [];
			const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
			return { pid, file, argv };
		} catch {
			return [];
		}
	});
}
