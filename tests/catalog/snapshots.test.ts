import { expect, test } from 'vitest';
import { clock, exitError, limits, makeFilledCatalog, makeHostCatalog } from './harness.js';

const { maxAgeMs } = limits;

const config = { config: { model: 'a' } };
const warnings = [{ type: 'config-ignored' as const, message: 'w' }];
const hidden = { id: 'b', hidden: true };

test('read(), peek() and subscribers get one object for each view, until something in it changes', async () => {
	const made = makeHostCatalog();
	const visible = made.record();
	const all = made.record({ includeHidden: true });
	const snapshot = await made.readWith(['a', hidden]);
	for (const other of [await made.catalog.read(), made.catalog.peek(), visible.heard[0]])
		expect(other).toBe(snapshot);
	const whole = made.catalog.peek({ includeHidden: true });
	for (const other of [await made.catalog.read({ includeHidden: true }), all.heard[0]])
		expect(other).toBe(whole);
	expect(await made.catalog.list()).toBe(made.catalog.peek()?.models);
	expect(whole?.models).not.toBe(made.catalog.peek()?.models);
});

test('when isFresh turns, and after a failure, a snapshot is another object with the same parts', async () => {
	const made = await makeFilledCatalog(['a']);
	const fresh = made.catalog.peek();
	clock.setAge(maxAgeMs);
	const stale = made.catalog.peek();
	expect(stale).toEqual({ ...fresh, isFresh: false });
	expect(made.catalog.peek()).toBe(stale);
	const refreshError = await made.refreshWith(exitError());
	const failed = made.catalog.peek();
	expect(failed?.refreshError).toBe(refreshError);
	expect(made.catalog.peek()).toBe(failed);
	for (const other of [stale, failed]) expect(other?.models).toBe(fresh?.models);
});

test('a refresh that brought the same gives another object with the same parts', async () => {
	const entry = { id: 'a', upgradeInfo: { model: 'b' } };
	const made = await makeFilledCatalog([entry, hidden], {}, undefined, { config, warnings });
	const before = made.catalog.peek();
	clock.setAge(10);
	// A change of hidden models is nothing new for who sees the others.
	const more = structuredClone({ config, warnings });
	await made.refreshWith([structuredClone(entry), { ...hidden, id: 'c' }], { more });
	expect(made.peekIds({ includeHidden: true })).toEqual(['a', 'c']);
	const after = made.catalog.peek();
	expect(after).toEqual({ ...before, fetchedAt: Date.now() });
	for (const part of ['models', 'configured', 'warnings'] as const)
		expect(after?.[part]).toBe(before?.[part]);
});

test('a snapshot is frozen to its last leaf, refreshError excepted', async () => {
	const supportedReasoningEfforts = [{ reasoningEffort: 'low', description: null }];
	const entry = { id: 'a', supportedReasoningEfforts, unheardOf: { list: [{ part: 1 }] } };
	const made = await makeFilledCatalog([entry], {}, undefined, { config, warnings });
	await made.refreshWith(exitError());
	const snapshot = await made.catalog.read();
	const parts: unknown[] = [snapshot];
	for (const part of parts) {
		if (typeof part !== 'object' || part === null || part instanceof Error) continue;
		expect(Object.isFrozen(part)).toBe(true);
		parts.push(...Object.values(part));
	}
	expect(parts.length).toBeGreaterThan(30);
	expect(() => (snapshot.models as unknown[]).push('b')).toThrow(TypeError);
	expect(snapshot.models.toSorted()).not.toBe(snapshot.models);
});

test('the host may go on to change its answer, which is neither frozen nor kept', async () => {
	const made = makeHostCatalog();
	const entry = { id: ' a ', hidden: 'yes', unheardOf: { list: ['before'] } };
	// Entries of another shape are left out.
	const models = [null, 7, [], {}, { id: ' ' }, entry];
	const read = made.catalog.read();
	(await made.fetch(1)).reply({ models, config });
	const snapshot = await read;
	entry.unheardOf.list.push('after');
	models.push(entry);
	const model = { id: 'a', displayName: 'a', hidden: false, unheardOf: { list: ['before'] } };
	expect(snapshot.models).toMatchObject([model]);
	expect([models, entry, config].some(Object.isFrozen)).toBe(false);
});
