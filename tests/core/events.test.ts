import { expect, test, vi } from 'vitest';
import { exitedError } from '../../src/api/errors.js';
import { type CatalogEvent, createEmitter } from '../../src/api/events.js';

const target = { cwd: '/a', codexHome: undefined, isDefaultCwd: true, key: 'of the cache' };

test('an event has its time, its target and its own facts, and nothing else', () => {
	vi.useFakeTimers({ now: 1_234, toFake: ['Date'] });
	const events: CatalogEvent[] = [];
	const emit = createEmitter((event) => events.push(event));
	emit?.(target, { type: 'hit', ageMs: 7 });
	emit?.({ ...target, codexHome: '/b' }, { type: 'loaded', ageMs: 8 });
	expect(events).toEqual([
		{ at: 1_234, cwd: '/a', codexHome: undefined, type: 'hit', ageMs: 7 },
		{ at: 1_234, cwd: '/a', codexHome: '/b', type: 'loaded', ageMs: 8 },
	]);
});

test('without a listener there is no emitter, so that a hit makes no event', () => {
	expect(createEmitter(undefined)).toBeUndefined();
});

test.each<[string, () => unknown]>([
	[
		'throws',
		() => {
			throw new Error('of the listener');
		},
	],
	['rejects', () => Promise.reject(new Error('of the listener'))],
	['never settles', () => new Promise(() => {})],
	[
		'returns a thenable that throws',
		() =>
			Object.defineProperty({}, 'then', {
				get() {
					throw new Error('of the thenable');
				},
			}),
	],
])('a listener that %s harms nothing', async (_, listener) => {
	const unhandled = vi.fn();
	process.on('unhandledRejection', unhandled);
	createEmitter(listener)?.(target, { type: 'hit', ageMs: 7 });
	await new Promise((resolve) => setImmediate(resolve));
	process.off('unhandledRejection', unhandled);
	expect(unhandled).not.toHaveBeenCalled();
});

test('the error of an event is the error itself', () => {
	const error = exitedError({
		exitCode: 1,
		signal: null,
		stderr: '',
		stderrSummary: '',
		phase: 'spawn',
		elapsedMs: 1,
	});
	const events: CatalogEvent[] = [];
	createEmitter((event) => events.push(event))?.(target, { type: 'failed', durationMs: 1, error });
	expect((events[0] as Extract<CatalogEvent, { type: 'failed' }>).error).toBe(error);
});
