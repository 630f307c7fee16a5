/** How long the first two steps of the end may take, in milliseconds; the third, SIGKILL, is not refused. */
export type Grace = { endOfInputMs: number; terminateMs: number };

/**
 * For one that has answered: nobody waits for it. An idle one exits 18 ms after the end of its input, one with an API key
 * took 3.2 s offline, and one at its plugins up to 5 s (Codex 0.169.0).
 */
export const patientGrace: Grace = { endOfInputMs: 6_000, terminateMs: 1_000 };

/**
 * For one that failed, or is in the way of `close()`. Stalled in a token refresh it does not heed the end of its input, but
 * SIGTERM within 10 ms (0.136.0); with a stalled list it heeds neither for 30 s (0.155.0).
 */
export const briskGrace: Grace = { endOfInputMs: 700, terminateMs: 500 };
