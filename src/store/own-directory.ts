import { access, lstat, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { ignore, lookOnce } from '../system/files.js';

/** Whether the directory exists. Rejects where another user may put files into it; Windows shows neither owners nor modes. */
export async function hasOwnDirectory(directory: string): Promise<boolean> {
	// A link of this user may lead to a larger disk, one of another user anywhere.
	const look = () => Promise.all([lstat(directory), stat(directory)]);
	const entries = await lookOnce(`own ${directory}`, look).catch(ignore('ENOENT', 'ENOTDIR'));
	const user = process.geteuid?.();
	if (!entries || user === undefined) return entries !== undefined;
	const [link, target] = entries;
	const isShared = link.uid !== user || target.uid !== user || (target.mode & 0o022) !== 0;
	if (isShared || !target.isDirectory())
		throw new Error(
			`Expected a directory of this user that no other may write to (chmod go-w): ${directory}`,
		);
	return true;
}

export async function makeOwnDirectory(directory: string): Promise<void> {
	if (await hasOwnDirectory(directory)) return;
	// Not with `recursive`, which does not end where a parent cannot be made, such as one in /proc (Node 20).
	const parent = path.dirname(directory);
	if (parent !== directory) await access(parent).catch(() => makeOwnDirectory(parent));
	await mkdir(directory, { mode: 0o700 }).catch(ignore('EEXIST'));
	// Another user may have been faster.
	await hasOwnDirectory(directory);
}
