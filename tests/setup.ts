import { afterEach, beforeEach, expect, vi } from 'vitest';
import { cleanUp, findProcesses, until } from './harness.js';

// Two rules hold for every test: no process is left, and no listener is left on this process.

const hostEvents = [
	'exit',
	'beforeExit',
	'SIGTERM',
	'SIGINT',
	'SIGHUP',
	'SIGQUIT',
	'uncaughtException',
];
const countListeners = () => hostEvents.map((name) => `${name}: ${process.listenerCount(name)}`);
let listenersBefore: string[];

beforeEach(() => {
	listenersBefore = countListeners();
});

afterEach(async () => {
	vi.useRealTimers();
	await cleanUp();
	vi.restoreAllMocks();
	vi.unstubAllEnvs();
	try {
		// They were told to end, or waited for; only the system's part of it may take a moment.
		await until('no process is left', () => findProcesses().length === 0);
	} catch {
		const left = findProcesses();
		for (const pid of left) process.kill(pid, 'SIGKILL');
		expect(left, 'processes that the test left behind').toEqual([]);
	}
	expect(countListeners(), 'listeners that the test left behind').toEqual(listenersBefore);
});
