/** For `p-timeout`, whose own timer keeps the host alive. */
export const unrefTimers = {
	setTimeout: ((step: () => void, ms: number) => setTimeout(step, ms).unref()) as typeof setTimeout,
	clearTimeout,
};
