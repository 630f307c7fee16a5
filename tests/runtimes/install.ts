import type { TestProject } from 'vitest/node';
import { runScript } from '../releases/run-script.js';

/** A runtime of JavaScript: a name such as `node-22`, and its executable. */
export type Runtime = { name: string; file: string };

declare module 'vitest' {
	export interface ProvidedContext {
		runtimes: Runtime[];
	}
}

export default async function install(project: TestProject): Promise<void> {
	project.provide('runtimes', await runScript<Runtime[]>('install-runtimes.js'));
}
