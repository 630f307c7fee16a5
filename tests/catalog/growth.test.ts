import { expect, test, vi } from 'vitest';
import { clock, limits, makeHostCatalog, settle } from './harness.js';

const { maxAgeMs } = limits;

test('the work of 1,000 callers and 1,000 subscribers does not grow with their product', async () => {
	const made = makeHostCatalog();
	let calls = 0;
	const heard = new Set<unknown>();
	for (let count = 0; count < 1_000; count++) {
		made.catalog.subscribe((snapshot) => {
			calls++;
			heard.add(snapshot);
		});
	}
	const reads = Array.from({ length: 1_000 }, () => made.catalog.read());
	await settle();
	// Each caller and each subscriber is served by some looks at the clock.
	const now = vi.spyOn(Date, 'now');
	await made.answer(1, ['a']);
	const snapshots = new Set(await Promise.all(reads));
	for (let count = 0; count < 1_000; count++) snapshots.add(await made.catalog.read());
	expect([snapshots.size, calls]).toEqual([1, 1_000]);
	expect(heard).toEqual(snapshots);
	await made.refreshWith(['b']);
	expect(calls).toBe(2_000);
	expect(now.mock.calls.length).toBeLessThan(30_000);
});

test('the work of 2,000 callers for 3,000 models does not grow with their product', async () => {
	let reads = 0;
	const entry = (index: number) => ({
		get id() {
			reads++;
			return `model-${index}`;
		},
	});
	const models = Array.from({ length: 3_000 }, (_, index) => entry(index));
	const countReads = async (callers: number) => {
		const made = makeHostCatalog();
		reads = 0;
		const lists = Array.from({ length: callers }, () => made.catalog.list());
		await made.answer(1, models);
		const [list] = await Promise.all(lists);
		expect(list).toHaveLength(3_000);
		const later = Array.from({ length: callers }, () => made.catalog.list());
		expect(new Set(await Promise.all([...lists, ...later]))).toEqual(new Set([list]));
		clock.setAge(maxAgeMs);
		expect(await made.catalog.list()).toBe(list);
		return reads;
	};
	expect(await countReads(2_000)).toBe(await countReads(1));
});
