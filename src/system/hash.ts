import { createHash } from 'node:crypto';

/** Tells values apart without holding them: 32 hexadecimal digits. V8 compares a slice of a string more slowly than a string. */
export const hash = (...parts: unknown[]) =>
	createHash('sha256').update(JSON.stringify(parts)).digest().toString('hex', 0, 16);
