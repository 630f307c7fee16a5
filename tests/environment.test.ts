import path from 'node:path';
import { expect, test, vi } from 'vitest';

vi.mock('node:os', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:os')>();
	return { ...original, userInfo: vi.fn(original.userInfo) };
});

// The setup of the tests has loaded these modules before.
vi.resetModules();
const { userInfo } = vi.mocked(await import('node:os'));
const { buildEnvironment, findHome, findSpelling, isWindows, lookUp } = await import(
	'../src/system/environment.js'
);

test.skipIf(isWindows)(
	'the home is HOME at the time of the call, or that of an environment',
	() => {
		for (const home of ['/one', '/two', '/one']) {
			vi.stubEnv('HOME', home);
			expect(findHome()).toBe(home);
			expect(findHome({ HOME: '/of-env' })).toBe('/of-env');
		}
	},
);

test.each(['', 'a/relative/path', undefined])(
	"a HOME of %j does not count, but the user's own home",
	(HOME) => {
		expect(findHome({ HOME })).toBe(userInfo().homedir);
		expect(path.isAbsolute(findHome({ HOME }))).toBe(true);
	},
);

test('a user without a name has the root for a home, until there is another', () => {
	userInfo.mockImplementationOnce(() => {
		throw new Error('no such user');
	});
	expect(findHome({})).toBe(path.parse(process.cwd()).root);
	expect(findHome({})).toBe(userInfo().homedir);
});

test("the environment is the process's at the time of the call, with the overlay and CODEX_HOME laid over it", () => {
	vi.stubEnv('TEST_KEPT', 'kept');
	vi.stubEnv('TEST_CHANGED', 'before');
	vi.stubEnv('TEST_REMOVED', 'still there');
	vi.stubEnv('CODEX_HOME', '/of-process');
	const overlay = {
		TEST_CHANGED: 'after',
		TEST_NEW: 'new',
		TEST_EMPTY: '',
		TEST_REMOVED: undefined,
	};
	const environment = buildEnvironment(overlay, '/of-target');
	expect(environment).toMatchObject({
		TEST_KEPT: 'kept',
		TEST_CHANGED: 'after',
		TEST_NEW: 'new',
		TEST_EMPTY: '',
		CODEX_HOME: '/of-target',
	});
	expect(environment).not.toHaveProperty('TEST_REMOVED');
	expect(process.env).toMatchObject({
		TEST_CHANGED: 'before',
		TEST_REMOVED: 'still there',
		CODEX_HOME: '/of-process',
	});
	expect(process.env).not.toHaveProperty('TEST_NEW');
	// A CODEX_HOME that the process got after the call is another call's.
	expect(buildEnvironment({}, undefined)).not.toHaveProperty('CODEX_HOME');
	expect(buildEnvironment({ CODEX_HOME: '/of-env' }, '/of-target').CODEX_HOME).toBe('/of-target');
});

test.skipIf(isWindows)('the names of variables differ by case', () => {
	expect(lookUp({ Path: '/a' }, 'PATH')).toBeUndefined();
	expect(findSpelling({ Path: '/a' }, 'PATH')).toBe('PATH');
});
