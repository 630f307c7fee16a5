declare module 'fs-native-extensions' {
	/** Whether the lock was granted; on a whole file, as long as it is open. */
	export function tryLock(fd: number): boolean;
}
