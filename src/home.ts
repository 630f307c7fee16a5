import { homedir, userInfo } from 'node:os';
import path from 'node:path';

let lastRead: string | undefined;
let lastHome: string | undefined;

/** The user's home directory; the root where there is none, as for a user id of a container that has no name. */
export function findHome(): string {
	const read = attempt(homedir);
	// The same string as last time, which every hit compares.
	if (lastHome !== undefined && read === lastRead) return lastHome;
	lastRead = read;
	// HOME may be set to nothing, and is then nothing here (Node 20).
	lastHome =
		[read, attempt(() => userInfo().homedir)].find((home) => home !== undefined && path.isAbsolute(home)) ??
		path.parse(process.execPath).root;
	return lastHome;
}

/** Without a HOME, and an entry of the user's in the password file, Node throws (20). */
function attempt(find: () => string): string | undefined {
	try {
		return find();
	} catch {
		return undefined;
	}
}
