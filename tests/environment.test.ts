import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { pretendPlatform } from './pretend-platform.js';

vi.mock('node:os', async (importOriginal) => {
	const original = await importOriginal<typeof import('node:os')>();
	return { ...original, userInfo: vi.fn(original.userInfo) };
});

const { userInfo } = vi.mocked(await import('node:os'));

// The setup of the tests has loaded the module before.
vi.resetModules();
const load = () => import('../src/system/environment.js');
const onPosix = await load();
vi.resetModules();
const modules = { POSIX: onPosix, Windows: await pretendPlatform('win32', load) };
const { buildEnvironment, findHome, resolvePath } = onPosix;

test('the home is HOME at the time of the call, or that of an environment', () => {
	for (const home of ['/one', '/two', '/one']) {
		vi.stubEnv('HOME', home);
		expect(findHome()).toBe(home);
		expect(findHome({ HOME: '/of-env' })).toBe('/of-env');
	}
});

test.each([
	['POSIX', ''],
	['POSIX', 'a/relative/path'],
	['POSIX', undefined],
	['Windows', '/an/absolute/path'],
] as const)("on %s a HOME of %j does not count, but the user's own home", (system, HOME) => {
	userInfo.mockReturnValueOnce({ homedir: '/of-user' } as never);
	expect(modules[system].findHome({ HOME })).toBe('/of-user');
});

test('a user without a name has the root for a home, until there is another', () => {
	userInfo.mockImplementationOnce(() => {
		throw new Error('no such user');
	});
	expect(findHome({})).toBe(path.parse(process.cwd()).root);
	expect(findHome({})).toBe(userInfo().homedir);
});

test("the environment is the process's at the time of the call, with the overlay and CODEX_HOME laid over it", () => {
	const own = { TEST_KEPT: 'kept', TEST_CHANGED: 'before', TEST_GONE: 'there', CODEX_HOME: '/own' };
	for (const [name, value] of Object.entries(own)) vi.stubEnv(name, value);
	const pick = (environment: NodeJS.ProcessEnv) =>
		Object.fromEntries(
			Object.entries(environment).filter(([name]) => /^TEST_|^CODEX_HOME$/.test(name)),
		);
	const overlay = { TEST_CHANGED: 'after', TEST_NEW: 'new', TEST_EMPTY: '', TEST_GONE: undefined };
	const added = { TEST_CHANGED: 'after', TEST_NEW: 'new', TEST_EMPTY: '' };
	const built = { TEST_KEPT: 'kept', ...added, CODEX_HOME: '/of-target' };
	expect(pick(buildEnvironment(overlay, '/of-target'))).toEqual(built);
	expect(pick(process.env)).toEqual(own);
	// A CODEX_HOME that the process got after the call is another call's.
	expect(buildEnvironment({}, undefined)).not.toHaveProperty('CODEX_HOME');
	expect(buildEnvironment({ CODEX_HOME: '/of-env' }, '/of-target').CODEX_HOME).toBe('/of-target');
});

test.each([
	['POSIX', 'differ by case', 'PATH', undefined, { Test_Name: 'before', TEST_NAME: 'after' }],
	['Windows', 'do not differ by case', 'Path', '/a', { TEST_NAME: 'after' }],
] as const)('on %s the names of variables %s', (system, _, spelling, value, built) => {
	const { buildEnvironment, findSpelling, lookUp } = modules[system];
	const environment = { PATHEXT: '.exe', Path: '/a' };
	expect([findSpelling(environment, 'PATH'), findSpelling({}, 'pATH')]).toEqual([spelling, 'pATH']);
	expect([lookUp(environment, 'PATH'), lookUp({}, 'PATH')]).toEqual([value, undefined]);
	vi.stubEnv('Test_Name', 'before');
	const all = Object.entries(buildEnvironment({ TEST_NAME: 'after' }, undefined));
	expect(Object.fromEntries(all.filter(([name]) => /^test_name$/i.test(name)))).toEqual(built);
});

test('a path is absolute, or as it is where the current directory was deleted', () => {
	expect(resolvePath('a', 'b')).toBe(path.resolve('a/b'));
	vi.spyOn(process, 'cwd').mockImplementation(() => {
		throw new Error('ENOENT: uv_cwd');
	});
	expect([resolvePath('a', 'b'), resolvePath('/a', 'b')]).toEqual(['a/b', '/a/b']);
});
