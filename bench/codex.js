// The app-servers of the measurements: the real Codex, spoken to without this library, and the scripted app-server.
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeDirectory } from './measure.js';

export const dist = fileURLToPath(new URL('../dist', import.meta.url));
export const importIndex = (folder) => import(pathToFileURL(path.join(folder, 'index.js')).href);

const require = createRequire(import.meta.url);
export const manifest = require('../package.json');
const launcherManifest = require.resolve('@openai/codex/package.json');
export const codexVersion = require(launcherManifest).version;
export const launcher = path.join(launcherManifest, '..', '..', '..', '.bin', 'codex');

/** The program that the npm launcher starts. */
export function findRealProgram() {
	const name = `@openai/codex-${process.platform}-${process.arch}/package.json`;
	const vendor = path.join(createRequire(launcherManifest).resolve(name), '..', 'vendor');
	return path.join(vendor, readdirSync(vendor)[0], 'bin', 'codex');
}

/** The least code that gets a list and the configured model: four messages. `limitMs` and `kills` are for the replay of the incident. */
export async function converse({ command, env, limitMs, kills }) {
	const startedAt = performance.now();
	const args = ['app-server', '-c', 'features.plugins=false'];
	const child = spawn(command, args, { cwd: '/', env, stdio: ['pipe', 'pipe', 'ignore'] });
	const exited = new Promise((resolve) => {
		child.once('exit', resolve);
	});
	const send = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
	const clientInfo = { name: 'bench', version: '1.0.0' };
	send({ id: 1, method: 'initialize', params: { clientInfo, capabilities: null } });
	try {
		await new Promise((resolve, reject) => {
			let text = '';
			const answered = new Set();
			child.once('error', reject);
			exited.then((code) => reject(new Error(`${command} ended with exit code ${code}`)));
			if (limitMs) setTimeout(reject, limitMs, new Error('no answer')).unref();
			child.stdout.setEncoding('utf8').on('data', (chunk) => {
				const lines = (text + chunk).split('\n');
				text = lines.pop();
				for (const line of lines) {
					const { id } = JSON.parse(line);
					answered.add(id);
					if (answered.has(2) && answered.has(3)) resolve();
					if (id !== 1) continue;
					send({ method: 'initialized' });
					send({ id: 2, method: 'model/list', params: { includeHidden: true } });
					send({ id: 3, method: 'config/read', params: { includeLayers: true, cwd: '/' } });
				}
			});
		});
		return performance.now() - startedAt;
	} finally {
		child.stdin.end();
		if (kills) child.kill('SIGKILL');
		await exited;
	}
}

/** A CODEX_HOME that Codex has used before. */
export async function makeUsedHome() {
	const codexHome = makeDirectory();
	const env = { ...process.env, CODEX_HOME: codexHome };
	await converse({ command: launcher, env });
	return { codexHome, env };
}

/** A list of 12 models, as Codex answers it. */
const efforts = ['minimal', 'low', 'medium', 'high', 'xhigh', 'max'];
const description = 'A text';
const data = Array.from({ length: 12 }, (_, index) => ({
	id: `model-${index}`,
	displayName: `Model ${index}`,
	isDefault: index === 0,
	supportedReasoningEfforts: efforts.map((reasoningEffort) => ({ reasoningEffort, description })),
	defaultReasoningEffort: 'medium',
	serviceTiers: [{ id: 'priority', name: 'Fast', description }],
}));

/** A scripted app-server, called `codex`, in a folder of its own, with the waits of its starts. */
export function makeScripted(waits = [0]) {
	const folder = makeDirectory();
	const command = path.join(folder, 'codex');
	copyFileSync(new URL('app-server.sh', import.meta.url), command);
	chmodSync(command, 0o755);
	const files = {
		starts: '',
		waits: `${waits.join('\n')}\n`,
		result: `${JSON.stringify({ data })}\n`,
	};
	for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
	const countStarts = () =>
		readFileSync(path.join(folder, 'starts'), 'utf8').split('\n').length - 1;
	return { folder, command, countStarts };
}
