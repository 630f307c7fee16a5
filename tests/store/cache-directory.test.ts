import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { hash } from '../../src/system/hash.js';
import { makeDirectory } from '../harness.js';
import { pretendPlatform } from '../pretend-platform.js';

vi.mock('node:os', async (importOriginal) => ({
	...(await importOriginal<object>()),
	userInfo: () => ({ homedir: process.env.HOME }),
}));

// The setup of the tests has loaded the module before.
vi.resetModules();
const load = () => import('../../src/store/file-store.js');
const onPosix = await load();
vi.resetModules();
const onWindows = await pretendPlatform('win32', load);

test.each([
	['linux', '$/caches', '$/caches/codex-models'],
	['linux', 'relative', '$/.cache/codex-models'],
	['linux', undefined, '$/.cache/codex-models'],
	['darwin', '$/caches', '$/Library/Caches/codex-models'],
	['win32', '$/Local', '$/Local/codex-models/Cache'],
	['win32', '', '$/AppData/Local/codex-models/Cache'],
] as const)('on %s with %s the default directory is %s', async (platform, variable, folder) => {
	const home = makeDirectory();
	vi.stubEnv('HOME', home);
	for (const name of ['XDG_CACHE_HOME', 'LOCALAPPDATA'])
		vi.stubEnv(name, variable?.replace('$', home));
	const { fileStore } = platform === 'win32' ? onWindows : onPosix;
	await pretendPlatform(platform, () => fileStore().set('key', 1) as Promise<void>);
	expect(existsSync(path.join(folder.replace('$', home), `v1-${hash('key')}.json`))).toBe(true);
});
