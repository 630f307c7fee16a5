import type { TestProject } from 'vitest/node';
import { runScript } from './run-script.js';

/** A release of Codex: its version, and the command that npm made for it. */
export type Release = { version: string; command: string };

declare module 'vitest' {
	export interface ProvidedContext {
		releases: Release[];
	}
}

export default async function install(project: TestProject): Promise<void> {
	project.provide('releases', await runScript<Release[]>('install-releases.js'));
}
