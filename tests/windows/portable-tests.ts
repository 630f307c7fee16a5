/** Tests that start no process: they run on Windows, and in this suite on Node for Windows under Wine. */
export const include = [
	'tests/core/*.test.ts',
	'tests/catalog/*.test.ts',
	'tests/app-server/{line-splitter,parse-message,stderr-tail}.test.ts',
	'tests/store/sharing-violation.test.ts',
];

/** Tests that set HOME, which Windows ignores, or make FIFOs, POSIX paths and programs without a suffix. */
export const exclude = ['tests/catalog/{app-servers,targets}.test.ts'];

export const setupFiles = ['tests/windows/in-process-setup.ts'];
