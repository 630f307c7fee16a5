/** How long after the last event nothing more is to be expected, in milliseconds. */
const quietMs = 30;

/** What the events of a catalog say of a call, and of what is under way behind it. */
export function watchCatalog() {
	let isWaiting = false;
	let calls = 0;
	let living = 0;
	let lastAt = 0;
	return {
		onEvent({ type }) {
			lastAt = performance.now();
			if (type === 'waited' || type === 'timed-out') isWaiting = true;
			if (type === 'spawned') living++;
			if (type === 'exited') living--;
		},
		isIdle: () => calls === 0 && living === 0 && performance.now() - lastAt > quietMs,
		/** How long the call waited for an app-server; one that is served from memory or a file has not. */
		async time(act) {
			isWaiting = false;
			calls++;
			const startedAt = performance.now();
			const error = await act().then(
				() => undefined,
				(reason) => reason,
			);
			calls--;
			lastAt = performance.now();
			const waitedMs = isWaiting || error ? performance.now() - startedAt : 0;
			if (error) throw Object.assign(error, { waitedMs });
			return { waitedMs };
		},
	};
}
