import { expect, test } from 'vitest';
import { isSharingViolation, retryOnSharingViolation } from '../../src/store/sharing-violation.js';

const failure = (code: string) => Object.assign(new Error(code), { code });

/** A step that fails with these codes, one after the other, and then succeeds. */
function makeStep(...codes: string[]) {
	const state = { calls: 0 };
	const step = async () => {
		const code = codes[state.calls++];
		if (code !== undefined) throw failure(code);
	};
	return { state, step };
}

test.each(['EPERM', 'EACCES', 'EBUSY'])(
	'%s is a sharing violation on Windows, and only there',
	(code) => {
		expect(isSharingViolation(failure(code), true)).toBe(true);
		expect(isSharingViolation(failure(code), false)).toBe(false);
		expect(isSharingViolation(failure('ENOENT'), true)).toBe(false);
	},
);

test('a step is repeated until no other process has the file open', async () => {
	const { state, step } = makeStep('EPERM', 'EACCES', 'EBUSY');
	await retryOnSharingViolation(step, true);
	expect(state.calls).toBe(4);
});

test('a step that fails for another reason, or on another system, is not repeated', async () => {
	for (const [code, onWindows] of [
		['ENOSPC', true],
		['EPERM', false],
	] as const) {
		const { state, step } = makeStep(code);
		await expect(retryOnSharingViolation(step, onWindows)).rejects.toMatchObject({ code });
		expect(state.calls).toBe(1);
	}
});

test('a step that fails for the whole time rejects with its error', async () => {
	const { state, step } = makeStep(...Array.from({ length: 1_000 }, () => 'EPERM'));
	await expect(retryOnSharingViolation(step, true)).rejects.toMatchObject({
		code: 'EPERM',
	});
	expect(state.calls).toBe(41);
});
