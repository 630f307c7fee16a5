import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';

const looks = new Map<string, { current: Promise<unknown>; next?: Promise<unknown> }>();

/**
 * At most one look at a time for each path and purpose, because a look at a dead network mount keeps one of libuv's four
 * threads. Callers that come while one is pending share the next: a look that began earlier may miss what was written since.
 */
export function lookOnce<T>(key: string, look: () => Promise<T>): Promise<T> {
	const pending = looks.get(key);
	if (pending) {
		pending.next ??= pending.current.catch(() => {}).then(() => lookOnce(key, look));
		return pending.next as Promise<T>;
	}
	const current = look().finally(() => looks.delete(key));
	looks.set(key, { current });
	return current;
}

/** `version` tells the states of a path apart: 'none' where no file can be reached. `changedAt` is in epoch ms, and 0 there. */
export type FileState = { version: string; changedAt: number };

/** The state of a path; `undefined` if it cannot be looked at now, as with an I/O error. */
export function lookAt(file: string): Promise<FileState | undefined> {
	return lookOnce(`state ${file}`, async () => {
		try {
			const { ino, size, mtimeMs, ctimeMs } = await stat(file);
			const version = [ino, size, mtimeMs, ctimeMs].join(' ');
			return { version, changedAt: Math.max(mtimeMs, ctimeMs) };
		} catch (error) {
			return toAbsence(error);
		}
	});
}

/** Whether an error is about the file itself, and not about a lack of descriptors, memory or a mount. */
export const isOfFile = (error: unknown) =>
	!hasCode(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EIO', 'ESTALE', 'ETIMEDOUT', 'EBUSY');

/** The state of a path that cannot be reached, by the error of a look. */
export const toAbsence = (error: unknown): FileState | undefined =>
	isOfFile(error) ? { version: 'none', changedAt: 0 } : undefined;

/**
 * The text of a regular file, or `undefined` where the path does not exist. Rejects when the file cannot be read, is no
 * regular file, or is larger than `maxBytes`.
 */
export function readRegularFile(
	file: string,
	maxBytes: number,
	flags = constants.O_RDONLY,
): Promise<string | undefined> {
	return lookOnce(`text ${maxBytes} ${flags} ${file}`, async () => {
		// Without O_NONBLOCK, which Windows has not, opening a FIFO waits for a writer.
		const handle = await open(file, flags | constants.O_NONBLOCK).catch(
			ignore('ENOENT', 'ENOTDIR'),
		);
		if (!handle) return undefined;
		try {
			const stats = await handle.stat();
			if (!stats.isFile()) throw new Error(`Not a regular file: ${file}`);
			if (stats.size > maxBytes) throw new Error(`Larger than ${maxBytes} bytes: ${file}`);
			return await handle.readFile('utf8');
		} finally {
			await handle.close();
		}
	});
}

export const hasCode = (error: unknown, ...codes: string[]) =>
	codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');

/** A handler that takes an error of one of these codes for an absent result. */
export const ignore =
	(...codes: string[]) =>
	(error: unknown): undefined => {
		if (!hasCode(error, ...codes)) throw error;
	};
