import { homedir, userInfo } from 'node:os';
import path from 'node:path';

/** The user's home directory; the root where there is none, as for a user id of a container that has no name. */
export function findHome(): string {
	for (const find of [homedir, () => userInfo().homedir]) {
		try {
			const home = find();
			// HOME may be set to nothing, and is then nothing here (Node 20).
			if (path.isAbsolute(home)) return home;
		} catch {
			// No HOME, and no entry of the user's in the password file.
		}
	}
	return path.parse(process.execPath).root;
}
