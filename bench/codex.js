// The app-servers that are measured with: the real one, spoken to without this library, and the scripted one.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeDirectory, median, run } from './measure.js';

const root = fileURLToPath(new URL('..', import.meta.url));

export const realCodex = path.join(root, 'node_modules', '.bin', 'codex');
export const codexVersion = JSON.parse(
	readFileSync(path.join(root, 'node_modules', '@openai', 'codex', 'package.json'), 'utf8'),
).version;

/** Other releases that are there: in CODEX_MODELS_RELEASES, or where the tests of releases install them. */
export function findReleases() {
	const folder = process.env.CODEX_MODELS_RELEASES || path.join(root, '.cache', 'releases');
	const versions = existsSync(folder) ? readdirSync(folder) : [];
	return versions
		.filter((version) => version !== codexVersion)
		.map((version) => ({ version, command: path.join(folder, version, 'node_modules', '.bin', 'codex') }))
		.filter(({ command }) => existsSync(command))
		.sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}

export const defaultArgs = ['app-server', '-c', 'features.plugins=false'];

/** The least that gives a list: three messages, and nothing that could go wrong is thought of. */
export async function converse({ command, args = defaultArgs, env }) {
	const startedAt = performance.now();
	const child = spawn(command, args, { cwd: homedir(), env, stdio: ['pipe', 'pipe', 'ignore'] });
	const exited = new Promise((resolve) => {
		child.once('exit', resolve);
	});
	const send = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
	const clientInfo = { name: 'bench', version: '1.0.0' };
	send({ id: 1, method: 'initialize', params: { clientInfo, capabilities: null } });
	const entries = await new Promise((resolve, reject) => {
		let text = '';
		child.once('error', reject);
		exited.then((code) => reject(new Error(`${command} ended with exit code ${code}`)));
		child.stdout.setEncoding('utf8').on('data', (chunk) => {
			const lines = (text + chunk).split('\n');
			text = lines.pop();
			for (const line of lines) {
				const { id, result } = JSON.parse(line);
				if (id === 1) {
					send({ method: 'initialized' });
					send({ id: 2, method: 'model/list', params: { includeHidden: true } });
				} else if (id === 2) resolve(result.data);
			}
		});
	});
	const tookMs = performance.now() - startedAt;
	child.stdin.end();
	await exited;
	return { tookMs, entries };
}

/** A CODEX_HOME that has been used before. */
export async function makeUsedHome(command) {
	const codexHome = makeDirectory();
	const env = { ...process.env, CODEX_HOME: codexHome };
	await converse({ command, env });
	const { entries } = await converse({ command, env });
	return { codexHome, env, entries };
}

/** The entries of the real list, as many as asked for: all visible, and each with an id of its own. */
export function multiply(entries, count) {
	return Array.from({ length: count }, (_, index) => {
		const entry = entries[index % entries.length];
		const id = index < entries.length ? entry.id : `${entry.id}-${index}`;
		return { ...entry, id, model: id, hidden: false, isDefault: index === 0 };
	});
}

/** A scripted app-server in a directory of its own. */
export function makeScripted({ models, pageSize = models.length, waits }) {
	const directory = makeDirectory();
	const pages = Math.ceil(models.length / pageSize);
	for (let page = 1; page <= pages; page++) {
		const data = models.slice((page - 1) * pageSize, page * pageSize);
		const nextCursor = page < pages ? String(page) : null;
		const answer = JSON.stringify({ id: page + 1, result: { data, nextCursor } });
		writeFileSync(path.join(directory, `page-${page}`), `${answer}\n`);
		if (answer.length > 30_000) writeFileSync(path.join(directory, 'long'), '');
	}
	if (waits) writeFileSync(path.join(directory, 'waits'), `${waits.join('\n')}\n`);
	writeFileSync(path.join(directory, 'starts'), '');
	const script = fileURLToPath(new URL('app-server.sh', import.meta.url));
	return {
		directory,
		command: '/bin/sh',
		args: [script, directory],
		countStarts: () => readFileSync(path.join(directory, 'starts'), 'utf8').split('\n').length - 1,
	};
}

/** How long a scripted app-server takes that need not wait. */
export async function measureScriptedStart(models) {
	const { command, args } = makeScripted({ models });
	const samples = [];
	for (let round = 0; round < 15; round++) {
		samples.push((await converse({ command, args, env: process.env })).tookMs);
	}
	return median(samples);
}

/** What the system says of itself. */
export async function describeRelease(command) {
	return (await run(command, ['--version'])).trim();
}
