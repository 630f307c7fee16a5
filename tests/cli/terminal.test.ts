import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hasColors, lineWidth, showWaiting } from '../../src/cli/terminal.js';

test.each([
	['a terminal', true, { TERM: 'xterm' }, true],
	['a terminal of Windows, without TERM', true, {}, true],
	['a terminal with NO_COLOR', true, { NO_COLOR: '1' }, false],
	['a terminal with an empty NO_COLOR', true, { NO_COLOR: '' }, true],
	['a terminal with FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, false],
	['a terminal with FORCE_COLOR=false', true, { FORCE_COLOR: 'false' }, false],
	[
		'a terminal with an empty FORCE_COLOR and NO_COLOR',
		true,
		{ FORCE_COLOR: '', NO_COLOR: '1' },
		false,
	],
	['a dumb terminal', true, { TERM: 'dumb' }, false],
	['a pipe', undefined, { TERM: 'xterm' }, false],
	['a pipe with FORCE_COLOR', undefined, { FORCE_COLOR: '3' }, true],
	['a pipe with FORCE_COLOR and NO_COLOR', undefined, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
])('hasColors decides for %s', (_, isTTY, env, expected) => {
	expect(hasColors(isTTY ? { isTTY } : {}, env)).toBe(expected);
});

test('lineWidth is infinite in a pipe, and on a terminal of 0 columns', () => {
	expect([{}, { columns: 0 }, { columns: 80 }].map(lineWidth)).toEqual([Infinity, Infinity, 80]);
});

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

function makeTerminal(columns = 80) {
	const written: string[] = [];
	const write = (text: string) => written.push(text) > 0;
	return { isTTY: true, columns, written, write: write as NodeJS.WriteStream['write'] };
}

const clearLine = '\r\u001b[K';

test('showWaiting tells the seconds, and leaves an empty line', () => {
	const terminal = makeTerminal();
	const waiting = showWaiting(terminal, {});
	vi.advanceTimersByTime(3_000);
	expect(terminal.written.at(-1)).toBe(`${clearLine}Asking Codex … 3 s`);
	waiting.stop();
	expect(terminal.written.at(-1)).toBe(clearLine);
	const count = terminal.written.length;
	vi.advanceTimersByTime(5_000);
	waiting.stop();
	expect(terminal.written).toHaveLength(count);
});

test('showWaiting makes room for a message, and comes back', () => {
	const terminal = makeTerminal();
	const waiting = showWaiting(terminal, {});
	vi.advanceTimersByTime(1_000);
	waiting.clear();
	expect(terminal.written.at(-1)).toBe(clearLine);
	vi.advanceTimersByTime(1_000);
	expect(terminal.written.at(-1)).toContain('2 s');
	waiting.stop();
});

test('showWaiting writes nothing when the answer comes at once', () => {
	const terminal = makeTerminal();
	const waiting = showWaiting(terminal, {});
	vi.advanceTimersByTime(150);
	waiting.stop();
	expect(terminal.written).toEqual([]);
});

test('showWaiting stays narrower than the terminal, which would fold the line', () => {
	const terminal = makeTerminal(10);
	showWaiting(terminal, {}).stop();
	const waiting = showWaiting(terminal, {});
	vi.advanceTimersByTime(1_000);
	expect(terminal.written.at(-1)).toBe(`${clearLine}Asking Co`);
	waiting.stop();
});

test.each([
	['a pipe', { isTTY: false }, {}],
	['a dumb terminal', {}, { TERM: 'dumb' }],
])('showWaiting writes nothing to %s', (_, stream, env) => {
	const terminal = { ...makeTerminal(), ...stream };
	const waiting = showWaiting(terminal, env);
	vi.advanceTimersByTime(5_000);
	waiting.clear();
	waiting.stop();
	expect(terminal.written).toEqual([]);
});
