import { spawnSync } from 'node:child_process';
import {
	chmodSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	realpathSync,
	renameSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { resolveNativeBinary } from '../../src/app-server/executable.js';
import { makeDirectory, realCodex } from '../harness.js';

const isPosix = process.platform !== 'win32';
const launcher = realpathSync(realCodex);
const platformPackage = `@openai/codex-${process.platform}-${process.arch}`;
const [triple = ''] = readdirSync(path.join(launcher, '../../../..', platformPackage, 'vendor'));

/** An installation of npm with the real launcher and a program of our own, which prints its environment. */
function install({
	scope = 'node_modules',
	change = (source: string) => source,
	program = 'bin/codex',
	extra = 'codex-path',
} = {}) {
	const root = path.join(makeDirectory(), scope, '@openai', 'codex');
	const vendor = path.join(root, 'node_modules', platformPackage);
	mkdirSync(path.join(root, 'bin'), { recursive: true });
	mkdirSync(vendor, { recursive: true });
	writeFileSync(path.join(vendor, 'package.json'), '{}');
	const file = path.join(root, 'bin', 'codex.js');
	writeFileSync(file, change(readFileSync(launcher, 'utf8')));
	const binary = path.join(vendor, 'vendor', triple, program);
	mkdirSync(path.dirname(binary), { recursive: true });
	mkdirSync(path.join(vendor, 'vendor', triple, extra), { recursive: true });
	writeFileSync(binary, '#!/bin/sh\nenv\n');
	chmodSync(binary, 0o755);
	return { root, file, binary, vendor };
}

test('the npm launcher of the real Codex resolves to the native binary', async () => {
	const env = { ...process.env };
	const executable = await resolveNativeBinary(realCodex, env);
	expect(executable.file).toMatch(/[\\/]vendor[\\/].*codex(?:\.exe)?$/);
	expect(executable.env).toMatchObject({ CODEX_MANAGED_BY_NPM: '1' });
	expect(env).toEqual({ ...process.env });
});

test.runIf(isPosix)(
	'a native binary gets the environment that the launcher would give it',
	async () => {
		const installed = install();
		const given = {
			PATH: `:${process.env.PATH}::`,
			HOME: '/',
			CODEX_MANAGED_BY_BUN: '1',
			CODEX_MANAGED_BY_NPM: '0',
			A: 'b',
		};
		const run = (file: string, args: string[], env: NodeJS.ProcessEnv) =>
			spawnSync(file, args, { env, encoding: 'utf8' })
				.stdout.split('\n')
				.filter((line) => !/^(?:_|PWD|SHLVL|OLDPWD)=/.test(line));
		const expected = run(process.execPath, [installed.file, 'app-server'], given);
		const { file, env } = await resolveNativeBinary(installed.file, given);
		expect(file).toBe(installed.binary);
		expect(run(file, ['app-server'], env).sort()).toEqual(expected.sort());
		expect(expected.join('\n')).toContain('CODEX_MANAGED_BY_NPM=1');
	},
);

test.runIf(isPosix)(
	'a launcher of before 0.136.0 resolves to the binary of the older layout',
	async () => {
		const { file, binary } = install({
			program: 'codex/codex',
			extra: 'path',
			change: (source) => `${source}// getUpdatedPath`,
		});
		const { file: found, env } = await resolveNativeBinary(file, { PATH: '/bin' });
		expect(found).toBe(binary);
		expect(env.PATH).toBe(`${path.join(binary, '../../path')}:/bin`);
	},
);

test.runIf(isPosix)(
	'a launcher of before 0.99.0 has its binary in its own package, and no other package counts',
	async () => {
		const { root, file, vendor, binary } = install({
			change: (source) => source.replaceAll(platformPackage, 'none'),
		});
		expect((await resolveNativeBinary(file, {})).file).toBe(file);
		renameSync(path.join(vendor, 'vendor'), path.join(root, 'vendor'));
		expect((await resolveNativeBinary(file, {})).file).toBe(binary.replace(vendor, root));
	},
);

test.runIf(isPosix)(
	'a launcher that is not as npm installs it is started itself, with the environment as it is',
	async () => {
		const env = { PATH: '/bin' };
		const without = install();
		renameSync(path.join(without.vendor, 'vendor'), path.join(without.vendor, 'gone'));
		const notExecutable = install();
		chmodSync(notExecutable.binary, 0o644);
		const elsewhere = install({ scope: 'lib' });
		for (const { file } of [without, notExecutable, elsewhere]) {
			expect(await resolveNativeBinary(file, env)).toEqual({ file, env });
		}
	},
);

test.runIf(isPosix)('the launchers of Bun and pnpm resolve to the native binary, too', async () => {
	const bun = install({ scope: '.bun/install/global/node_modules' });
	expect(await resolveNativeBinary(bun.file, {})).toMatchObject({
		file: bun.binary,
		env: { CODEX_MANAGED_BY_BUN: '1' },
	});
	const npm = install();
	expect((await resolveNativeBinary(npm.file, { npm_execpath: '/bin/bun' })).env).toMatchObject({
		CODEX_MANAGED_BY_BUN: '1',
	});
	const pnpm = install({ scope: 'global/5/.pnpm/@openai+codex@0.169.0/node_modules' });
	const home = pnpm.root.split('/global/')[0] as string;
	const script = path.join(home, 'codex');
	writeFileSync(
		script,
		`#!/bin/sh\nexec node  "$basedir/${path.relative(home, pnpm.file)}" "$@"\n`,
	);
	expect(await resolveNativeBinary(script, {})).toMatchObject({
		file: pnpm.binary,
		env: { CODEX_MANAGED_BY_PNPM: '1' },
	});
});

test('any other file is started itself', async () => {
	const env = { A: 'b' };
	const link = path.join(makeDirectory(), 'codex');
	symlinkSync(process.execPath, link);
	for (const file of [process.execPath, link, '/bin/sh', '/nowhere', makeDirectory()]) {
		expect(await resolveNativeBinary(file, env)).toEqual({ file, env });
	}
});
