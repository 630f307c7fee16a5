import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { type Cell, type Outcome, updatePage } from './compatibility-page.js';
import { runScript } from './run-script.js';

/** A release of Codex: its version, and the command that npm made for it. */
export type Release = { version: string; command: string };

declare module 'vitest' {
	export interface ProvidedContext {
		releases: Release[];
		/** The version that `npm run try-release` was given. */
		triedRelease: string | undefined;
	}
	export interface TaskMeta {
		/** The cell of docs/compatibility.md that the test decides. */
		cell?: Cell;
	}
}

const page = fileURLToPath(new URL('../../docs/compatibility.md', import.meta.url));

/** Installs the releases before the suite, and writes the table of docs/compatibility.md after it. */
export default async function install(project: TestProject): Promise<() => void> {
	project.provide('releases', await runScript<Release[]>('install-releases.js'));
	project.provide('triedRelease', process.env.CODEX_MODELS_RELEASE || undefined);
	return () => {
		const before = readFileSync(page, 'utf8');
		const after = updatePage(before, collectOutcomes(project), {
			rewriteTimes: process.env.CODEX_MODELS_REWRITE_TIMES === '1',
		});
		if (after !== before) writeFileSync(page, after);
	};
}

function collectOutcomes(project: TestProject): Outcome[] {
	const modules = project.vitest.state
		.getTestModules()
		.filter((module) => module.project === project);
	return modules.flatMap((module) =>
		[...module.children.allTests()].flatMap((test) => {
			const { cell } = test.meta();
			const { state } = test.result();
			// A test that skips itself decides nothing.
			return cell && state !== 'skipped' ? { ...cell, passed: state === 'passed' } : [];
		}),
	);
}
