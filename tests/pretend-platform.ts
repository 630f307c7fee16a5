/** The result of a step during which `process.platform` has another value. */
export async function pretendPlatform<T>(
	value: NodeJS.Platform,
	step: () => Promise<T>,
): Promise<T> {
	const own = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
	Object.defineProperty(process, 'platform', { ...own, value });
	try {
		return await step();
	} finally {
		Object.defineProperty(process, 'platform', own);
	}
}
