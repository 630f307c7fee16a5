/** The result of a step during which `process.platform` has another value, and Windows no users. */
export async function pretendPlatform<T>(
	value: NodeJS.Platform,
	step: () => Promise<T>,
): Promise<T> {
	const own = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
	const { geteuid } = process;
	Object.defineProperty(process, 'platform', { ...own, value });
	if (value === 'win32') process.geteuid = undefined;
	try {
		return await step();
	} finally {
		Object.defineProperty(process, 'platform', own);
		process.geteuid = geteuid;
	}
}
