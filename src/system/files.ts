import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';

const looks = new Map<string, { current: Promise<unknown>; next?: Promise<unknown> }>();

/**
 * At most one look at a time for each path and purpose, because a look at a dead network mount keeps one of libuv's four
 * threads. Callers that come while one is pending share the next, which sees what was written until then.
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

/** `version` tells the states of a path apart, and is 'none' where nothing is there; `changedAt` is in epoch ms. */
export type FileState = { version: string; changedAt: number };

/** The state of a path; `undefined` if it cannot be looked at now, as with an I/O error. */
export function lookAt(file: string): Promise<FileState | undefined> {
	return lookOnce(`state ${file}`, async () => {
		try {
			const { ino, size, mtimeMs, ctimeMs } = await stat(file);
			return {
				version: `${ino} ${size} ${mtimeMs} ${ctimeMs}`,
				changedAt: Math.max(mtimeMs, ctimeMs),
			};
		} catch (error) {
			if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { version: 'none', changedAt: 0 };
			return isOfFile(error)
				? { version: (error as NodeJS.ErrnoException).code as string, changedAt: 0 }
				: undefined;
		}
	});
}

/** Whether an error is about the file itself, and not about a lack of descriptors, memory or a mount. */
export const isOfFile = (error: unknown) =>
	!hasCode(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EIO', 'ESTALE', 'ETIMEDOUT', 'EBUSY');

/**
 * The text of a regular file, or `undefined` where the path does not exist. Rejects when the file cannot be read, is no
 * regular file, or is larger than `maxBytes`.
 */
export function readRegularFile(file: string, maxBytes: number): Promise<string | undefined> {
	// Without O_NONBLOCK, opening a FIFO waits for a writer. Windows has neither flag.
	const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
	return lookOnce(`text ${maxBytes} ${file}`, async () => {
		const handle = await open(file, flags).catch((error: unknown) => {
			if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
		});
		if (!handle) return undefined;
		try {
			const stats = await handle.stat();
			if (!stats.isFile()) throw new Error(`Not a regular file: ${file}`);
			if (stats.size > maxBytes) throw new Error(`Larger than ${maxBytes} bytes: ${file}`);
			// Not more than that, because the file may grow meanwhile, and one of /proc has no size.
			const { buffer, bytesRead } = await handle.read(
				Buffer.allocUnsafe(stats.size),
				0,
				stats.size,
				0,
			);
			return buffer.toString('utf8', 0, bytesRead);
		} finally {
			await handle.close();
		}
	});
}

export const hasCode = (error: unknown, ...codes: string[]) =>
	codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');

/** A handler that takes an error of this code for an absent result. */
export const ignore = (code: string) => (error: unknown) => {
	if (!hasCode(error, code)) throw error;
};
