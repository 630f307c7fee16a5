import { expect, test } from 'vitest';
import { CodexModelsError } from '../../src/index.js';
import * as harness from './harness.js';

const { clock, exitError, limits, makeFilledCatalog, makeHostCatalog, makeStore } = harness;
const { settle } = harness;
const { maxAgeMs, lookIntervalMs } = limits;

test('a subscriber hears of the first list, and of each that differs, but not of a failure without one', async () => {
	const made = makeHostCatalog();
	const { heard, ids } = made.record();
	for (const outcome of [exitError(), [], ['a'], ['a'], ['a', 'b']])
		await made.refreshWith(outcome);
	expect(ids()).toEqual([['a'], ['a', 'b']]);
	expect(heard.at(-1)).toBe(made.catalog.peek());
	const later = made.record();
	clock.setAge(maxAgeMs);
	await made.ids();
	await made.answer(6, ['a', 'b']);
	expect(later.heard).toEqual([]);
});

test('a subscriber hears of a change of the configured model, and of warnings', async () => {
	const made = await makeFilledCatalog(['a']);
	const { heard } = made.record();
	const config = { config: { model: 'a' } };
	const warnings = [{ type: 'config-ignored' as const, message: 'defaults' }];
	for (const more of [{ config }, { config, warnings }, { config, warnings }])
		await made.refreshWith(['a'], { more });
	const configured = { model: 'a' };
	expect(heard).toMatchObject([{ configured }, { configured, warnings }]);
});

test('a subscriber hears of a failed refresh once, of another failure, and of the end of it', async () => {
	const made = await makeFilledCatalog(['a'], { cooldownMs: 0 });
	const { heard } = made.record();
	const timeout = (ms: number) =>
		new CodexModelsError('ERR_CODEX_TIMEOUT', `It failed after ${ms} ms`, { timeoutMs: 9 });
	for (const outcome of [timeout(20), timeout(30), exitError(1), exitError(1), exitError(2)])
		await made.refreshWith(outcome);
	clock.setAge(maxAgeMs);
	await made.ids();
	await made.answer(7, []);
	await made.refreshWith(['a']);
	const words = heard.map((snapshot) => snapshot?.refreshError?.message);
	const exits = [1, 2].map((exitCode) => `Codex ended with exit code ${exitCode}`);
	const empty = expect.stringContaining('empty');
	expect(words).toEqual(['It failed after 20 ms', ...exits, empty, undefined]);
});

test('a subscriber hears of its own view and target only', async () => {
	const made = makeHostCatalog();
	const visible = made.record();
	const whole = made.record({ includeHidden: true });
	const other = made.record({ cwd: '/other' });
	await made.readWith(['a']);
	await made.refreshWith(['a', { id: 'b', hidden: true }]);
	expect(visible.ids()).toEqual([['a']]);
	expect(whole.ids()).toEqual([['a'], ['a', 'b']]);
	expect(other.heard).toEqual([]);
});

test('a subscriber hears of a list from the store, that another login has none, and of its list', async () => {
	const store = makeStore();
	const { home } = await makeFilledCatalog(['of none'], { store });
	const made = makeHostCatalog({ store }, home);
	const { ids } = made.record();
	await made.ids();
	home.logIn('first');
	clock.setAge(lookIntervalMs);
	await made.readWith(['of the first']);
	home.remove('auth.json');
	clock.setAge(2 * lookIntervalMs);
	await made.ids();
	expect(ids()).toEqual([['of none'], undefined, ['of the first'], undefined, ['of none']]);
});

test('clear() calls with undefined the subscribers that had a list; close() calls none', async () => {
	const made = await makeFilledCatalog(['a']);
	const { ids } = made.record();
	const other = made.record({ cwd: '/other' });
	made.catalog.clear();
	made.catalog.clear();
	expect(ids()).toEqual([undefined]);
	await made.readWith(['a']);
	const refresh = made.catalog.list({ refresh: true }).catch(() => {});
	await settle();
	await made.catalog.close();
	await refresh;
	expect(ids()).toEqual([undefined, ['a']]);
	expect(other.heard).toEqual([]);
});

test('an unsubscribed listener is not called again, also when another listener unsubscribes it', async () => {
	const made = makeHostCatalog();
	made.catalog.subscribe(() => second.unsubscribe());
	const second = made.record();
	let calls = 0;
	// A listener that is subscribed twice is called twice, and unsubscribed once each.
	const listener = () => calls++;
	const unsubscribe = made.catalog.subscribe(listener);
	made.catalog.subscribe(listener);
	await made.readWith(['a']);
	expect(calls).toBe(2);
	unsubscribe();
	unsubscribe();
	await made.refreshWith(['b']);
	expect(calls).toBe(3);
	expect(second.heard).toEqual([]);
});

test('a listener that throws or rejects harms nothing', async () => {
	const made = makeHostCatalog();
	const reject = async () => expect.fail('of the listener');
	for (const listener of [() => expect.fail('of the listener'), reject])
		made.catalog.subscribe(listener as never);
	const { ids } = made.record();
	await made.readWith(['a']);
	expect(ids()).toEqual([['a']]);
});

test('a listener may call list(), peek(), subscribe() and clear()', async () => {
	const made = makeHostCatalog();
	const results: unknown[] = [];
	const unsubscribe = made.catalog.subscribe((snapshot) => {
		unsubscribe();
		results.push(snapshot, made.catalog.list(), made.catalog.peek());
		made.catalog.subscribe((cleared) => results.push(cleared));
		made.catalog.clear();
	});
	const snapshot = await made.readWith(['a']);
	expect(await Promise.all(results)).toMatchObject([snapshot, [{ id: 'a' }], snapshot, undefined]);
});

test('a subscriber that closes the catalog is the last one to be called', async () => {
	const made = await makeFilledCatalog(['a']);
	made.catalog.subscribe(() => void made.catalog.close());
	const { heard } = made.record();
	await made.refreshWith(['b']);
	expect(heard).toEqual([]);
});
