import { homedir } from 'node:os';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import type { CodexModelCatalogOptions, TargetOptions } from '../../src/api/options.js';
import { resolveSettings } from '../../src/api/settings.js';
import { resolveTarget } from '../../src/cache/fetch-target.js';

const resolve = (options: CodexModelCatalogOptions = {}, call?: TargetOptions) =>
	resolveTarget(resolveSettings(options), call, undefined);

// A worker thread has an environment of its own, which `homedir` does not read.
test.runIf(isMainThread)(
	"the working directory is the user's home, never that of this process",
	() => {
		vi.stubEnv('HOME', '/the/home');
		expect(homedir()).toBe('/the/home');
		expect(resolve()).toMatchObject({ cwd: '/the/home', isDefaultCwd: true });
		vi.stubEnv('HOME', '/another/home');
		expect(resolve()).toMatchObject({ cwd: '/another/home', isDefaultCwd: true });
	},
);

test.runIf(isMainThread)(
	'another home is another target where Codex finds its own default of CODEX_HOME there',
	() => {
		const settings = resolveSettings({ cwd: '/one' });
		vi.stubEnv('HOME', '/the/home');
		const last = resolveTarget(settings, undefined, undefined);
		const chosen = resolveTarget(settings, { codexHome: '/two' }, undefined);
		vi.stubEnv('HOME', '/another/home');
		expect(resolveTarget(settings, undefined, last).key).not.toBe(last.key);
		expect(resolveTarget(settings, { codexHome: '/two' }, last).key).toBe(chosen.key);
	},
);

test("the cwd of a call comes before the catalog's, and both start from the directory of this process", () => {
	expect(resolve({ cwd: '/one' })).toMatchObject({ cwd: '/one', isDefaultCwd: false });
	expect(resolve({ cwd: '/one' }, { cwd: '/two' })).toMatchObject({
		cwd: '/two',
		isDefaultCwd: false,
	});
	expect(resolve({ cwd: 'one' }).cwd).toBe(path.resolve('one'));
	expect(resolve({}, { cwd: '.' })).toMatchObject({ cwd: process.cwd(), isDefaultCwd: false });
});

test("CODEX_HOME is a call's before the catalog's, before that of env, before that of this process", () => {
	vi.stubEnv('CODEX_HOME', '/of-process');
	const env = { CODEX_HOME: '/of-env' };
	expect(resolve().codexHome).toBe('/of-process');
	expect(resolve({ env }).codexHome).toBe('/of-env');
	expect(resolve({ env, codexHome: '/of-catalog' }).codexHome).toBe('/of-catalog');
	expect(resolve({ env, codexHome: '/of-catalog' }, { codexHome: '/of-call' }).codexHome).toBe(
		'/of-call',
	);
});

test('CODEX_HOME is unset where env removes it, or it is empty', () => {
	vi.stubEnv('CODEX_HOME', '/of-process');
	expect(resolve({ env: { CODEX_HOME: undefined } }).codexHome).toBeUndefined();
	vi.stubEnv('CODEX_HOME', '');
	expect(resolve().codexHome).toBeUndefined();
	vi.stubEnv('CODEX_HOME', undefined);
	expect(resolve().codexHome).toBeUndefined();
});

test('the key tells targets apart, and the last target is returned again where it is the same', () => {
	const settings = resolveSettings({ cwd: '/a' });
	const last = resolveTarget(settings, undefined, undefined);
	expect(resolveTarget(settings, { includeHidden: true }, last)).toBe(last);
	expect(resolveTarget(settings, { cwd: '/a' }, last).key).toBe(last.key);
	const ofHome = resolveTarget(resolveSettings(), undefined, undefined);
	const chosen = resolveTarget(resolveSettings(), { cwd: homedir() }, ofHome);
	expect([ofHome.isDefaultCwd, chosen.isDefaultCwd]).toEqual([true, false]);
	const others = [
		{ cwd: '/b' },
		{ codexHome: '/a' },
		{ cwd: '/b', codexHome: '/a' },
		{ cwd: '/a/', codexHome: '/b' },
	];
	const keys = others.map((call) => resolveTarget(settings, call, last).key);
	expect(new Set([last.key, ...keys]).size).toBe(others.length + 1);
});
