/** Tests that start no process: they run on Windows, and in this suite on Node for Windows under Wine. */
export const include = ['tests/{api,machine}/*.test.ts'];

/** Tests that set HOME, which Windows ignores, or make FIFOs, POSIX paths and programs without a suffix. */
export const exclude: string[] = [];

export const setupFiles = ['tests/windows/in-process-setup.ts'];
