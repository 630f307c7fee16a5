// `npm run models`: the command line with the user's own `codex`, or else with the one that is installed for the tests.
// npm puts the folders of installed commands first on PATH, so without this the tests' one would always win.
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const installed = path.join('node_modules', '.bin');
const own = (process.env.PATH ?? '')
	.split(path.delimiter)
	.filter((folder) => !folder.endsWith(installed) && !folder.endsWith('node-gyp-bin'));

const names = process.platform === 'win32' ? ['codex.cmd', 'codex.exe'] : ['codex'];
const hasCodex = own.some((folder) =>
	names.some((name) => {
		try {
			accessSync(path.join(folder, name), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	}),
);
if (hasCodex) process.env.PATH = own.join(path.delimiter);

await import('../dist/cli/command-line.js');
