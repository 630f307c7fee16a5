import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package as users install it. */
export const builtDirectory = fileURLToPath(new URL('../../dist', import.meta.url));

/** Runs a command to its end. */
export const run = (command: string, ...args: string[]) => execFileSync(command, args);

/** The reason not to run a test that needs a Linux on which this command succeeds. */
export const lackOf = (command: string, ...args: string[]): string | undefined =>
	process.platform === 'linux' && spawnSync(command, args).status === 0
		? undefined
		: [command, ...args].join(' ');

export const lackOfMount = lackOf('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt');

const isRoot = process.getuid?.() === 0;

/** Starts another command as a user that is not root, because limits and permissions do not bind root. */
export const asUser: [string, ...string[]] = isRoot
	? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
	: ['env'];

/** That user must be able to read the package. */
export const lackOfUser = lackOf(...asUser, 'test', '-r', path.join(builtDirectory, 'index.js'));
