import { expect, test, vi } from 'vitest';
import { answer, makeCache, makeFilledCache } from './cache-harness.js';
import {
	checkIntervalMs,
	exitError,
	failureOf,
	isPending,
	makeFiles,
	makeGate,
	maxAgeMs,
	setAge,
	settle,
	stopClock,
} from './fakes.js';

test('files are looked at once a second at most', async () => {
	const made = await makeFilledCache(['one']);
	await made.list();
	const looks = made.files.looks;
	made.files.change({ account: 'two' });
	setAge(checkIntervalMs - 1);
	for (let count = 0; count < 10; count++) expect(await made.ids()).toEqual(['one']);
	expect(made.files.looks).toBe(looks);
	setAge(checkIntervalMs);
	const list = made.ids();
	await answer(made, 2, 'two');
	expect(await list).toEqual(['two']);
});

test('refresh: true looks at the files, however young the last look is', async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	expect(await made.ids()).toEqual(['one']);
	const refresh = made.ids({ refresh: true });
	expect((await made.fetches.nth(2)).context.fingerprint.account).toBe('two');
	await answer(made, 2, 'two');
	expect(await refresh).toEqual(['two']);
	expect(await made.ids()).toEqual(['two']);
});

test('a clock that was set back does not put off the next look', async () => {
	const made = await makeFilledCache(['one']);
	made.files.change({ account: 'two' });
	setAge(-maxAgeMs);
	const list = made.ids();
	await answer(made, 2, 'two');
	expect(await list).toEqual(['two']);
});

test('all who ask at once share one look', async () => {
	const made = await makeFilledCache(['a']);
	setAge(checkIntervalMs);
	const looks = made.files.looks;
	const calls = Array.from({ length: 100 }, () => made.ids());
	for (const ids of await Promise.all(calls)) expect(ids).toEqual(['a']);
	expect(made.files.looks).toBe(looks + 1);
	expect(made.eventsOf('hit')).toHaveLength(100);
	expect(vi.getTimerCount()).toBe(0);
});

test('a look that fails costs its callers an error, and the next call looks again', async () => {
	const files = makeFiles();
	const { read } = files;
	files.read = () => Promise.reject(exitError());
	const made = makeCache({}, { files });
	files.read = read;
	expect(await failureOf(made.list())).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(made.peek()).toBeUndefined();
	expect(await failureOf(made.list())).toMatchObject({ code: 'ERR_CODEX_EXITED' });
	expect(made.fetches.count).toBe(0);
});

test('a list is not remembered where the account changes during its fetch', async () => {
	const made = makeCache();
	const list = made.ids();
	await made.fetches.nth(1);
	made.files.change({ account: 'two' });
	await answer(made, 1, 'one');
	// The caller asked before the change.
	expect(await list).toEqual(['one']);
	expect(made.peek()).toBeUndefined();
	const next = made.ids();
	await answer(made, 2, 'two');
	expect(await next).toEqual(['two']);
});

test('a look that began before the answer does not say whose answer it is', async () => {
	const made = await makeFilledCache(['old']);
	setAge(maxAgeMs);
	expect(await made.ids()).toEqual(['old']);
	await made.fetches.nth(2);
	setAge(maxAgeMs + checkIntervalMs);
	const finish = made.files.hang();
	const list = made.ids();
	await settle();
	// The look has read the first account, and still reads other files.
	made.files.change({ account: 'two' });
	(await made.fetches.nth(2)).succeed(['of the second account']);
	await settle();
	finish();
	expect(await list).toEqual(['old']);
	await settle();
	made.files.change({ account: 'one' });
	setAge(maxAgeMs + 2 * checkIntervalMs);
	expect(await made.ids()).toEqual(['old']);
});

test('lists of as many targets as maxEntries allows are served without another look', async () => {
	stopClock();
	const made = makeCache({ maxEntries: 3 });
	const targets = ['/a', '/b', '/c'].map((cwd) => ({ cwd }));
	for (const [index, target] of targets.entries()) {
		const list = made.list(target);
		await answer(made, index + 1, 'a');
		await list;
	}
	const looks = made.files.looks;
	for (const target of [...targets, ...targets]) expect(await made.ids(target)).toEqual(['a']);
	expect(made.files.looks).toBe(looks);
});

test('looks at different targets do not wait for each other', async () => {
	const files = makeFiles();
	const { read } = files;
	const gate = makeGate();
	files.read = async (target) => {
		if (target?.codexHome === '/dead-mount') await gate.opened;
		return read(target);
	};
	const made = makeCache({}, { files });
	const hanging = made.ids({ codexHome: '/dead-mount' });
	const list = made.ids({ codexHome: '/well' });
	await answer(made, 1, 'a');
	expect(await list).toEqual(['a']);
	expect(await isPending(hanging)).toBe(true);
	gate.open();
	await answer(made, 2, 'b');
	expect(await hanging).toEqual(['b']);
});
