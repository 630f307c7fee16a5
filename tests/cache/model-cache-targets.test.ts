import { homedir } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { answer, makeCache, makeFilledCache, type TestCache } from './cache-harness.js';
import { checkIntervalMs, failureOf, isPending, pass, setAge, settle, stopClock } from './fakes.js';

/** Asks for a list, and answers the fetch if one starts. */
async function fill(made: TestCache, options: { cwd?: string; codexHome?: string }, id = 'a') {
	const before = made.fetches.count;
	const list = made.ids(options);
	await settle();
	if (made.fetches.count > before) await answer(made, made.fetches.count, id);
	return list;
}

test('lists are told apart by cwd and by codexHome', async () => {
	const made = makeCache({ cwd: '/one' });
	const targets = [{}, { cwd: '/two' }, { codexHome: '/one' }, { cwd: '/two', codexHome: '/two' }];
	const ids = [['1'], ['2'], ['3'], ['4']];
	for (const [index, target] of targets.entries()) {
		expect(await fill(made, target, String(index + 1))).toEqual(ids[index]);
	}
	for (const [index, target] of targets.entries()) {
		expect(await made.ids(target)).toEqual(ids[index]);
		expect(made.peekIds(target)).toEqual(ids[index]);
	}
	expect(await made.ids({ cwd: '/one' })).toEqual(['1']);
	expect(made.fetches.count).toBe(4);
});

// A worker thread has an environment of its own, which `homedir` does not read.
test.runIf(isMainThread)(
	'a list belongs to the CODEX_HOME and the home directory at the time of the call',
	async () => {
		const made = makeCache();
		vi.stubEnv('CODEX_HOME', '/first');
		expect(await fill(made, {}, 'first')).toEqual(['first']);
		vi.stubEnv('CODEX_HOME', '/second');
		expect(made.peek()).toBeUndefined();
		expect(await fill(made, {}, 'second')).toEqual(['second']);
		vi.stubEnv('HOME', '/third');
		expect(await fill(made, {}, 'third')).toEqual(['third']);
		expect(made.fetches.all[2]?.context.target).toMatchObject({
			cwd: homedir(),
			isDefaultCwd: true,
		});
		vi.unstubAllEnvs();
		vi.stubEnv('CODEX_HOME', '/first');
		expect(await made.ids()).toEqual(['first']);
	},
);

test('of more lists than maxEntries the least recently used one is forgotten', async () => {
	const made = makeCache({ maxEntries: 2 });
	const [one, two, three] = [{ cwd: '/one' }, { cwd: '/two' }, { cwd: '/three' }];
	for (const target of [one, two, one, three]) await fill(made, target);
	const isKnown = (target: { cwd: string }) => made.peek(target) !== undefined;
	expect([one, two, three].map(isKnown)).toEqual([true, false, true]);
	for (const target of [one, two, three, one, two, three]) {
		await fill(made, target);
		expect(isKnown(target)).toBe(true);
		expect([one, two, three].filter(isKnown)).toHaveLength(2);
	}
});

test.each([1, 2, 3, 5])(
	'with a maxEntries of %d that number of lists is remembered',
	async (maxEntries) => {
		const made = makeCache({ maxEntries });
		const targets = Array.from({ length: 12 }, (_, index) => ({ cwd: `/${index}` }));
		for (const [index, target] of targets.entries()) {
			await fill(made, target);
			expect(targets.filter((other) => made.peek(other))).toHaveLength(
				Math.min(index + 1, maxEntries),
			);
			expect(made.peek(target)).toBeDefined();
		}
	},
);

test('a list stays visible to peek() while fetches of other targets fail', async () => {
	const made = makeCache({ maxEntries: 1 });
	const list = made.ids();
	await answer(made, 1, 'a');
	await list;
	for (let count = 2; count < 50; count++) {
		const failure = failureOf(made.list({ cwd: `/${count}` }));
		(await made.fetches.nth(count)).fail();
		await failure;
	}
	expect(made.peek()?.models.map(({ id }) => id)).toEqual(['a']);
});

test('a fetch is joined also when its list was forgotten for others meanwhile', async () => {
	const made = makeCache({ maxEntries: 1 });
	const first = made.ids({ cwd: '/one' });
	await made.fetches.nth(1);
	await fill(made, { cwd: '/two' });
	await fill(made, { cwd: '/three' });
	const joining = made.ids({ cwd: '/one' });
	await settle();
	await answer(made, 1, 'one');
	expect(await Promise.all([first, joining])).toEqual([['one'], ['one']]);
	expect(made.fetches.count).toBe(3);
});

test("another account's list is never served, and its first caller waits", async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs);
	const list = made.ids();
	expect(await isPending(list)).toBe(true);
	expect(made.peek()).toBeUndefined();
	await answer(made, 2, 'two');
	expect(await list).toEqual(['two']);
	expect(made.peekIds()).toEqual(['two']);
	expect(made.eventsOf('stale')).toEqual([]);
});

test("a failure does not fall back to another account's list", async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs);
	const failure = failureOf(made.list());
	(await made.fetches.nth(2)).fail();
	expect(await failure).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(made.peek()).toBeUndefined();
});

test('an account that comes back gets its list from memory', async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs);
	await fill(made, {}, 'two');
	made.files.change({ account: 'one' });
	setAge(2 * checkIntervalMs);
	expect(await made.ids()).toEqual(['one']);
	expect(made.peekIds()).toEqual(['one']);
	expect(made.fetches.count).toBe(2);
});

test('a caller of another account does not join the fetch of the account before', async () => {
	stopClock();
	const made = makeCache();
	const before = made.ids();
	await made.fetches.nth(1);
	made.files.change({ account: 'two' });
	const after = made.ids();
	await settle();
	const [first] = made.fetches.all;
	expect(first?.context.fingerprint.account).toBe('one');
	await answer(made, 1, 'one');
	expect(await before).toEqual(['one']);
	expect((await made.fetches.nth(2)).context.fingerprint.account).toBe('two');
	await answer(made, 2, 'two');
	expect(await after).toEqual(['two']);
	expect(await made.ids()).toEqual(['two']);
	made.files.change({ account: 'one' });
	// Somebody logged in as the second account during the fetch of the first one.
	await pass(checkIntervalMs);
	const again = made.ids();
	await answer(made, 3, 'again');
	expect(await again).toEqual(['again']);
});

test.each(['configuration', 'command'] as const)(
	'a change of the %s makes the list stale',
	async (part) => {
		const made = await makeFilledCache(['old']);
		made.files.change({ [part]: 'second' });
		setAge(checkIntervalMs);
		expect(await made.ids()).toEqual(['old']);
		expect(made.eventsOf('stale')).toMatchObject([{ ageMs: checkIntervalMs }]);
		expect(made.peek()).toMatchObject({ isFresh: false });
		expect(await made.ids()).toEqual(['old']);
		await answer(made, 2, 'new');
		expect(await made.ids()).toEqual(['new']);
		expect(made.peek()).toMatchObject({ isFresh: true });
		expect(made.fetches.count).toBe(2);
	},
);

test('a configuration that changes during a fetch leaves its list stale', async () => {
	const made = await makeFilledCache(['old']);
	const refresh = made.ids({ refresh: true });
	await made.fetches.nth(2);
	made.files.change({ configuration: 'second' });
	await answer(made, 2, 'new');
	expect(await refresh).toEqual(['new']);
	expect(made.peek()).toMatchObject({ isFresh: false });
	expect(await made.ids()).toEqual(['new']);
	await answer(made, 3, 'newer');
	expect(made.peek()).toMatchObject({ isFresh: true });
	expect(made.peekIds()).toEqual(['newer']);
});

test('the command that a function returns counts from the fetch that calls it on', async () => {
	const made = makeCache({ command: () => 'codex' }, {});
	made.files.change({ command: null });
	const list = made.ids();
	const fetch = await made.fetches.nth(1);
	expect(fetch.context.fingerprint.command).toBeNull();
	made.files.change({ command: 'known by now' });
	fetch.succeed(['old']);
	expect(await list).toEqual(['old']);
	expect(made.peek()).toMatchObject({ isFresh: true });
	made.files.change({ command: 'another release' });
	const refresh = made.ids({ refresh: true });
	await answer(made, 2, 'new');
	await refresh;
	expect(made.peek()).toMatchObject({ isFresh: true });
	expect(made.fetches.count).toBe(2);
});
