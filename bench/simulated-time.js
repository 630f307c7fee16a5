// One real millisecond is a hundred simulated ones, and the time in which nobody does anything is skipped: `Date.now`,
// by which this library tells the age of a list, is put forward by it. Timers are real.
export const scale = 100;

const realNow = Date.now.bind(Date);

export const clock = {
	offsetMs: 0,
	now: () => realNow() + clock.offsetMs,
};

Date.now = clock.now;

/** The library's defaults, at that scale. */
export const scaledOptions = {
	deadlineMs: 15_000 / scale,
	fetchTimeoutMs: 60_000 / scale,
	freshMs: 300_000 / scale,
	staleMs: 86_400_000 / scale,
	cooldownMs: 30_000 / scale,
};

/** Rejects after so many real milliseconds. */
export function after(ms, error) {
	let timer;
	const promise = new Promise((_, reject) => {
		timer = setTimeout(reject, ms, error);
	});
	return { promise, cancel: () => clearTimeout(timer) };
}
