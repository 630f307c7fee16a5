import os from 'node:os';
import path from 'node:path';
import { expect, test, vi } from 'vitest';

vi.mock('node:os', async (importOriginal) => {
	const original = await importOriginal<typeof os>();
	return { ...original, homedir: vi.fn(original.homedir), userInfo: vi.fn(original.userInfo) };
});

// The setup of the tests has loaded these modules before.
vi.resetModules();
const { homedir, userInfo } = vi.mocked(await import('node:os'));
const {
	buildEnvironment,
	findCodexUserHome,
	findHome,
	findSpelling,
	isWindows,
	lookUp,
	resolvePath,
} = await import('../src/system/environment.js');

test('the home directory is that at the time of the call', () => {
	for (const home of ['/one', '/two', '/one']) {
		vi.stubEnv('HOME', home);
		expect(findHome()).toBe(home);
		expect(findHome()).toBe(home);
	}
});

test.each(['', 'a/relative/path'])(
	"a HOME of %j does not count, but the user's own home",
	(home) => {
		vi.stubEnv('HOME', home);
		expect(findHome()).toBe(userInfo().homedir);
		expect(path.isAbsolute(findHome())).toBe(true);
	},
);

const none = () => {
	throw Object.assign(new Error('no such user'), { code: 'ERR_SYSTEM_ERROR' });
};

test('a user without a name and a home has the root', () => {
	const root = path.parse(process.cwd()).root;
	homedir.mockImplementationOnce(none);
	userInfo.mockImplementationOnce(none);
	expect(findHome()).toBe(root);
	vi.stubEnv('HOME', 'relative');
	userInfo.mockImplementationOnce(() => ({ ...os.userInfo(), homedir: '' }));
	expect(findHome()).toBe(root);
});

test('a home that can be found again is found again', () => {
	homedir.mockImplementationOnce(none);
	userInfo.mockImplementationOnce(none);
	findHome();
	vi.stubEnv('HOME', '/later');
	expect(findHome()).toBe('/later');
});

test.skipIf(isWindows)(
	"Codex's home is HOME of the app-server's environment, if that is an absolute path",
	() => {
		vi.stubEnv('HOME', '/of-process');
		expect(findCodexUserHome({ HOME: '/of-env' })).toBe('/of-env');
		for (const environment of [{ HOME: '' }, { HOME: 'relative' }, {}])
			expect(findCodexUserHome(environment)).toBe('/of-process');
	},
);

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

test.skipIf(isWindows)(
	'the names of variables differ by case, and names of prototypes are no variables',
	() => {
		expect(lookUp({ Path: '/a' }, 'PATH')).toBeUndefined();
		expect(findSpelling({ PATH: '/a' }, 'PATH')).toBe('PATH');
		expect(findSpelling({}, 'constructor')).toBeUndefined();
	},
);

test('a path is absolute, and stays relative where the current directory was deleted', () => {
	expect(resolvePath('a')).toBe(path.resolve('a'));
	vi.spyOn(process, 'cwd').mockImplementation(() => {
		throw new Error('ENOENT: uv_cwd');
	});
	// Not "a", which would be looked up on PATH.
	expect(resolvePath('./a')).toBe('./a');
	expect(resolvePath('/a')).toBe(path.resolve('/a'));
});
