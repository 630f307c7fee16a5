/** Tests that start no process: they run on Windows, and in this suite on Node for Windows under Wine. */
export const include = [
	'tests/{api,machine,catalog}/*.test.ts',
	'tests/store/sharing-violation.test.ts',
];

/** Tests that set HOME, which Windows ignores, use POSIX paths, or start programs without a suffix. */
export const exclude = ['tests/catalog/{app-servers,files,targets}.test.ts'];
