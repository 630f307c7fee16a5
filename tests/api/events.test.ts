import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { makeCatalog, plainModel } from '../harness.js';

const fetchModels = async () => ({ models: [plainModel('a')] });

test('an event has its time, its target and its own facts, and nothing else', async () => {
	vi.useFakeTimers({ now: 1_234, toFake: ['Date', 'performance'] });
	const { catalog, events } = makeCatalog({ fetchModels, cwd: path.resolve('/a') });
	await catalog.list({ codexHome: '/b' });
	await catalog.list({ codexHome: '/b' });
	const target = { at: 1_234, cwd: path.resolve('/a'), codexHome: '/b' };
	expect(events.all).toStrictEqual([
		{ ...target, type: 'refreshed', durationMs: 0, models: 1, attempts: 1 },
		{ ...target, type: 'miss', waitedMs: 0 },
		{ ...target, type: 'hit', ageMs: 0 },
	]);
});

test('an event is written to the log of NODE_DEBUG, also without a listener', async () => {
	const debuglog = vi.fn((_: string) => debug);
	const debug = vi.fn();
	vi.doMock('node:util', () => ({ debuglog }));
	vi.resetModules();
	const { createEmitter } = await import('../../src/api/events.js');
	vi.doUnmock('node:util');
	createEmitter(undefined)({ cwd: '/', codexHome: undefined }, { type: 'hit', ageMs: 7 });
	expect(debuglog.mock.calls).toEqual([['codex-models']]);
	expect(debug.mock.calls).toEqual([['%j', { type: 'hit', ageMs: 7 }]]);
});

const throws = () => {
	throw new Error('of the listener');
};

test.each<[string, () => unknown]>([
	['throws', throws],
	['rejects', async () => throws()],
	['never settles', () => new Promise(() => {})],
	['returns a thenable that throws', () => Object.defineProperty({}, 'then', { get: throws })],
])('a listener that %s harms nothing', async (_, onEvent) => {
	const unhandled = vi.fn();
	process.on('unhandledRejection', unhandled);
	const { catalog } = makeCatalog({ fetchModels, onEvent });
	for (let count = 0; count < 2; count++) expect(await catalog.list()).toHaveLength(1);
	await new Promise((resolve) => setImmediate(resolve));
	process.off('unhandledRejection', unhandled);
	expect(unhandled).not.toHaveBeenCalled();
});

test('the error of an event is the error that the caller gets', async () => {
	const { catalog, events } = makeCatalog({ fetchModels: () => Promise.reject(new Error('no')) });
	const error = await catalog.list().catch((reason) => reason);
	expect(events.ofType('failed')[0]?.error).toBe(error);
});
