import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { follow, type Step, script } from '../harness.js';

export const commandLine = fileURLToPath(
	new URL('../../dist/cli/command-line.js', import.meta.url),
);

type Start = { env?: NodeJS.ProcessEnv; cwd?: string; nodeArgs?: string[] };

/** The built command line in a process of its own. */
export function start(args: string[], { env, cwd, nodeArgs = [] }: Start = {}) {
	const options = { cwd, env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '', ...env } };
	const { child, done } = follow(
		spawn(process.execPath, [...nodeArgs, commandLine, ...args], options),
	);
	return { child, done: done.then(({ signal: _, ...result }) => result) };
}

export const run = (args: string[], how?: Start) => start(args, how).done;

export const installScript = (...steps: Step[]) => {
	const server = script(...steps);
	return { server, codex: path.join(server.installAsCodex(), 'codex') };
};

/** Asks a scripted app-server, and keeps no list. */
export async function runScripted(step: Step, ...args: string[]) {
	const { server, codex } = installScript(step);
	return { server, ...(await run(['--no-cache', '--codex', codex, ...args])) };
}
