import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/** The looks at files that may be under way in this process: libuv has four threads, and a dead network mount takes one for each. */
const maxLooks = 3;
let running = 0;
const waiting: (() => void)[] = [];

const looks = new Map<string, { current: Promise<unknown>; next?: Promise<unknown> }>();

/**
 * At most one look at a time for each path and purpose. Callers that come while one is pending share the next, which sees
 * what was written until then.
 */
export async function lookOnce<T>(key: string, look: () => Promise<T>): Promise<T> {
	const pending = looks.get(key);
	if (pending) {
		pending.next ??= pending.current.catch(() => {}).then(() => lookOnce(key, look));
		return pending.next as Promise<T>;
	}
	const current = lookInTurn(look).finally(() => looks.delete(key));
	looks.set(key, { current });
	return current;
}

async function lookInTurn<T>(look: () => Promise<T>): Promise<T> {
	while (running >= maxLooks) await new Promise<void>((resolve) => waiting.push(resolve));
	running++;
	try {
		return await look();
	} finally {
		running--;
		waiting.shift()?.();
	}
}

/** Tells the versions of a regular file apart; 'none' where there is no such file. */
export function describeFile(file: string): Promise<string> {
	return lookOnce(`describe ${file}`, async () => {
		const stats = await stat(file).catch(() => undefined);
		return stats?.isFile()
			? `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`
			: 'none';
	});
}

/**
 * The text of a regular file, or `undefined` where the path does not exist. Rejects when the file cannot be read, is no
 * regular file, or is larger than `maxBytes`.
 */
export function readRegularFile(
	file: string,
	maxBytes: number,
	flags = constants.O_RDONLY,
): Promise<string | undefined> {
	return lookOnce(`read ${maxBytes} ${flags} ${file}`, async () => {
		// Without O_NONBLOCK, opening a FIFO waits for a writer. Windows has neither flag.
		const handle = await open(file, flags | constants.O_NONBLOCK | constants.O_NOCTTY).catch(
			(error: unknown) => {
				if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
			},
		);
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

/** A handler that takes an error of these codes for an absent result. */
export const ignore =
	(...codes: string[]) =>
	(error: unknown) => {
		if (!hasCode(error, ...codes)) throw error;
	};
