import { expect, test } from 'vitest';
import { help, parseArguments, UsageError } from '../../src/cli/parse-arguments.js';

test('parseArguments has a default for each option', () => {
	expect(parseArguments([])).toEqual({
		json: false,
		snapshot: false,
		hidden: false,
		refresh: false,
		'no-cache': false,
		codex: undefined,
		timeoutMs: 15_000,
		help: false,
		version: false,
	});
});

test('parseArguments reads each option', () => {
	const flags = [
		'--json',
		'--snapshot',
		'--hidden',
		'--refresh',
		'--no-cache',
		'--help',
		'--version',
	];
	expect(parseArguments([...flags, '--codex', './codex', '--timeout=2147483647'])).toEqual({
		json: true,
		snapshot: true,
		hidden: true,
		refresh: true,
		'no-cache': true,
		codex: './codex',
		timeoutMs: 2_147_483_647,
		help: true,
		version: true,
	});
});

test.each([
	[['--nope'], /--nope/],
	[['-x'], /-x/],
	[['word'], /word/],
	[['--json=1'], /--json/],
	[['--codex'], /--codex/],
	[['--codex', ' '], /--codex takes the path of a program, got ""/],
	[['--timeout', '0'], /--timeout.*1 to 2147483647.*"0"/],
	[['--timeout', '1.5'], /--timeout.*"1\.5"/],
	[['--timeout', '1e3'], /--timeout.*"1e3"/],
	[['--timeout', '2147483648'], /--timeout.*"2147483648"/],
	[['--timeout', ''], /--timeout.*""/],
	[['--snapshot'], /--snapshot needs --json/],
])('parseArguments refuses %j with a UsageError', (args, message) => {
	const parse = () => parseArguments(args);
	expect(parse).toThrow(UsageError);
	expect(parse).toThrow(message);
});

test('the help names each option and each exit code, in lines of at most 80 columns', () => {
	const names = Object.keys(parseArguments([])).filter((name) => name !== 'timeoutMs');
	for (const name of [...names, 'timeout']) expect(help).toContain(`\n  --${name} `);
	expect(help).toMatch(/Exit code: 0 .* 1 .* 2 /);
	expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});
