/** The time that a process has for each of the first two steps of its end, in milliseconds; the third is SIGKILL. */
type ShutdownTimeouts = { endOfInputMs: number; terminateMs: number };

/**
 * For an app-server that has answered: nobody waits for its end. An idle one exits 18 ms after the end of its input, one with
 * an API key takes 3.2 s offline, and one with plugins up to 5 s (Codex 0.169.0).
 */
const gracefulShutdown: ShutdownTimeouts = { endOfInputMs: 6_000, terminateMs: 1_000 };

/**
 * For an app-server that failed, or that `close()` waits for. Stalled in a token refresh, it ignores the end of its input
 * and ends 10 ms after SIGTERM (0.136.0); with a stalled list it ignores both for 30 s (0.155.0).
 */
const fastShutdown: ShutdownTimeouts = { endOfInputMs: 700, terminateMs: 500 };

/** Every wait of a `ProcessSupervisor`, in milliseconds. */
export type ProcessTimings = typeof defaultTimings;

export const defaultTimings = {
	gracefulShutdown,
	fastShutdown,
	/** The wait for the exit after SIGKILL. A process in an uninterruptible system call ignores SIGKILL, too. */
	killMs: 2_000,
	/**
	 * The longest gap between the end of the output and the exit, in either order. Short, because a grandchild may hold the
	 * pipes open, and then `close` never comes.
	 */
	outputToExitMs: 100,
	/**
	 * The wait for the rest of the process group after SIGTERM and after SIGKILL. Short, because a dead process that its new
	 * parent has not reaped looks alive (the first process of a container may take seconds, or never reap).
	 */
	groupTerminateMs: 300,
	groupKillMs: 100,
	groupPollMs: 10,
	/**
	 * The time after which the input of a process that does not read is closed: a write that the pipe has no room for keeps
	 * the parent process alive, and cannot be unreferenced (Node 20).
	 */
	unreadInputMs: 1_000,
};
