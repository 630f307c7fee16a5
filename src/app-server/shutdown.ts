/** The time that a process has for each of the first two steps of its end, in milliseconds; the third is SIGKILL. */
type ShutdownTimeouts = { endOfInputMs: number; terminateMs: number };

export type ShutdownKind = 'gracefulShutdown' | 'fastShutdown';

/** Every wait of a `ProcessSupervisor`, in milliseconds. */
export type ProcessTimings = typeof defaultTimings;

export const defaultTimings = {
	/**
	 * For an app-server that has answered: no caller waits for its end. An idle one exits 18 ms after the end of its input, one
	 * with an API key takes 3.2 s offline, and one with plugins up to 5 s (Codex 0.169.0).
	 */
	gracefulShutdown: { endOfInputMs: 6_000, terminateMs: 1_000 } as ShutdownTimeouts,
	/**
	 * For an app-server that failed, or that `close()` waits for. Stalled in a token refresh, it ignores the end of its input
	 * and ends 10 ms after SIGTERM (0.136.0); with a stalled list it ignores both for 30 s (0.155.0).
	 */
	fastShutdown: { endOfInputMs: 700, terminateMs: 500 } as ShutdownTimeouts,
	/** The wait for the exit after SIGKILL. A process in an uninterruptible system call ignores SIGKILL, too. */
	killMs: 2_000,
	/** The longest gap between the end of the output and the exit, in either order. A grandchild may hold the pipes open. */
	outputToExitMs: 100,
	/**
	 * The wait for the rest of the process group after SIGTERM and after SIGKILL. Short, because a dead process that its new
	 * parent has not reaped looks alive (the first process of a container may take seconds, or never reap).
	 */
	groupTerminateMs: 300,
	groupKillMs: 100,
	groupPollMs: 10,
	/** The time after which the input of a process that does not read is closed: a stuck write keeps the parent alive (Node 20). */
	unreadInputMs: 1_000,
};
