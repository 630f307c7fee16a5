import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findProgram } from '../src/program.js';
import { afterTest, makeCatalog, makeDirectory, realCodex, script, until } from './harness.js';

const isLinux = process.platform === 'linux';

test('the program behind the npm launcher is the real one', async () => {
	const env = { ...process.env };
	const program = await findProgram(realCodex, env);
	expect(program.command).toMatch(/[\\/]vendor[\\/].*codex(?:\.exe)?$/);
	expect(program.env).toMatchObject({ CODEX_MANAGED_BY_NPM: '1' });
	expect(env).toEqual({ ...process.env });
});

test('it is found on PATH, too', async () => {
	const { command } = await findProgram(realCodex, process.env);
	const PATH = `${makeDirectory()}${path.delimiter}${path.dirname(realCodex)}`;
	expect((await findProgram('codex', { PATH })).command).toBe(command);
});

test('any other command is itself, with the environment as it is', async () => {
	const server = script(['answers']);
	const env = { PATH: server.installAsCodex(), A: 'b' };
	for (const command of [
		'codex',
		path.join(server.directory, 'codex'),
		process.execPath,
		'not-there',
		'/nowhere',
	]) {
		expect(await findProgram(command, env)).toEqual({ command, env });
	}
});

test('a launcher whose program is not where it should be is itself', async () => {
	const root = path.join(makeDirectory(), 'node_modules', '@openai', 'codex');
	mkdirSync(path.join(root, 'bin'), { recursive: true });
	const launcher = realpathSync(realCodex);
	copyFileSync(launcher, path.join(root, 'bin', 'codex.js'));
	copyFileSync(path.join(path.dirname(launcher), '..', 'package.json'), path.join(root, 'package.json'));
	const command = path.join(root, 'codex');
	symlinkSync(path.join(root, 'bin', 'codex.js'), command);
	expect(await findProgram(command, process.env)).toEqual({ command, env: process.env });
});

test.runIf(isLinux)('the real program gets the environment that the launcher would give it', async () => {
	const CODEX_HOME = makeDirectory();
	const readEnvironment = (pid: number) =>
		Object.fromEntries(
			readFileSync(`/proc/${pid}/environ`, 'utf8')
				.split('\0')
				.filter(Boolean)
				.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
		);
	const isRealProgram = (pid: number) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0]?.includes('/vendor/');
		} catch {
			return false;
		}
	};
	const launcher = spawn(realCodex, ['app-server'], {
		env: { ...process.env, CODEX_HOME },
		stdio: ['pipe', 'ignore', 'ignore'],
		detached: true,
	});
	const { pid: launcherPid = 0 } = launcher;
	const exited = new Promise((resolve) => launcher.once('exit', resolve));
	afterTest(async () => {
		process.kill(-launcherPid, 'SIGKILL');
		await exited;
	});
	const findReal = () => {
		const children = readFileSync(`/proc/${launcherPid}/task/${launcherPid}/children`, 'utf8');
		return [launcherPid, ...children.trim().split(' ').map(Number)].find(isRealProgram);
	};
	await until('the launcher has started the real program', () => findReal() !== undefined);
	const expected = readEnvironment(findReal() as number);

	let actual: object | undefined;
	const { catalog, events } = makeCatalog({
		command: realCodex,
		codexHome: CODEX_HOME,
		onEvent(event) {
			if (event.type === 'spawned') actual = readEnvironment(event.pid);
			events.onEvent(event);
		},
	});
	await catalog.list();
	expect(actual).toEqual(expected);
	expect(actual).toMatchObject({ CODEX_MANAGED_BY_NPM: '1' });
});
