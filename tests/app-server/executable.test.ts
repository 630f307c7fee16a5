import {
	chmodSync,
	mkdirSync,
	readdirSync,
	realpathSync,
	renameSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { resolveNativeBinary } from '../../src/app-server/executable.js';
import { makeDirectory, realCodex } from '../harness.js';

const testOnPosix = test.runIf(process.platform !== 'win32');
const platformPackage = `@openai/codex-${process.platform}-${process.arch}`;
const vendorFolder = path.join(realpathSync(realCodex), '../../../..', platformPackage, 'vendor');
const [triple = ''] = readdirSync(vendorFolder);

/** The files of an installation of npm. */
function install({ scope = 'node_modules', program = 'bin/codex' } = {}) {
	const root = path.join(makeDirectory(), scope, '@openai', 'codex');
	const vendor = path.join(root, 'node_modules', platformPackage, 'vendor');
	const file = path.join(root, 'bin', 'codex.js');
	const binary = path.join(vendor, triple, program);
	for (const program of [file, binary]) {
		mkdirSync(path.dirname(program), { recursive: true });
		writeFileSync(program, '', { mode: 0o755 });
	}
	return { root, file, binary, vendor };
}

test('the npm launcher of the real Codex resolves to the native binary', async () => {
	const binary = await resolveNativeBinary(realCodex);
	expect(binary).toMatch(/[\\/]vendor[\\/].*codex(?:\.exe)?$/);
});

testOnPosix('a launcher of before 0.136.0 resolves to the binary of the older layout', async () => {
	const { file, binary } = install({ program: 'codex/codex' });
	expect(await resolveNativeBinary(file)).toBe(binary);
});

testOnPosix('a launcher of before 0.99.0 has its binary in its own package', async () => {
	const { root, file, vendor, binary } = install();
	renameSync(vendor, path.join(root, 'vendor'));
	expect(await resolveNativeBinary(file)).toBe(binary.replace(vendor, path.join(root, 'vendor')));
});

testOnPosix('the package of the platform may lie beside that of the launcher', async () => {
	const { root, file, vendor, binary } = install();
	const beside = path.join(root, '../..', platformPackage);
	renameSync(path.dirname(vendor), beside);
	expect(await resolveNativeBinary(file)).toBe(binary.replace(path.dirname(vendor), beside));
});

testOnPosix('a launcher that is not as npm installs it is started itself', async () => {
	const without = install();
	renameSync(without.vendor, path.join(without.root, 'gone'));
	const notExecutable = install();
	chmodSync(notExecutable.binary, 0o644);
	const elsewhere = install({ scope: 'lib' });
	for (const { file } of [without, notExecutable, elsewhere])
		expect(await resolveNativeBinary(file)).toBe(file);
});

testOnPosix('a script of pnpm or npm resolves to the native binary, too', async () => {
	const pnpm = install({ scope: 'global/5/.pnpm/@openai+codex@0.169.0/node_modules' });
	const home = pnpm.root.split('/global/')[0] as string;
	const script = path.join(home, 'codex');
	const launcher = path.relative(home, pnpm.file);
	// That for a shell, and those of pnpm and npm for cmd.exe.
	for (const folder of ['$basedir', '%~dp0', '%dp0%']) {
		writeFileSync(script, `#!/bin/sh\nexec node  "${folder}/${launcher}" "$@"\n`);
		expect(await resolveNativeBinary(script)).toBe(pnpm.binary);
	}
});

test('any other file is started itself', async () => {
	const link = path.join(makeDirectory(), 'codex');
	symlinkSync(process.execPath, link);
	const { root } = install();
	const beside = ['rg', 'codex.js.old'].map((name) => path.join(root, 'bin', name));
	for (const file of beside) writeFileSync(file, '');
	for (const file of [process.execPath, link, ...beside, '/bin/sh', '/nowhere', makeDirectory()])
		expect(await resolveNativeBinary(file)).toBe(file);
});
