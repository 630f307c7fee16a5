import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inject } from 'vitest';
import type { CodexModel } from '../../src/core/codex-model.js';
import type { CodexModelCatalogOptions } from '../../src/core/options.js';
import { findProcesses, makeCatalog, makeDirectory } from '../harness.js';
import type { Release } from './install.js';

export type { Release } from './install.js';

export const releases = inject('releases');

/** What a host starts, without a word on plugins and so also for other arguments. */
export const appServer = ['app-server', '-c', 'features.plugins=false'];

export function findRelease(version: string): Release {
	const release = releases.find((candidate) => candidate.version === version);
	if (!release) throw new Error(`Release ${version} is not among those that were installed`);
	return release;
}

/** The one that the project itself is tested with. */
export const newest = releases.at(-1) as Release;

/** A catalog of a release, without further attempts; a new CODEX_HOME unless it is told of one. */
export function makeReleaseCatalog({ command }: Release, options: CodexModelCatalogOptions = {}) {
	const codexHome = options.codexHome ?? makeDirectory();
	return {
		codexHome,
		...makeCatalog({ command, retries: 0, deadlineMs: 25_000, ...options, codexHome }),
	};
}

/** Behind it nobody finds a program: the npm launcher is what is started. */
export function wrap({ version, command }: Release): Release {
	const file = path.join(makeDirectory(), 'wrapped-codex');
	writeFileSync(file, `#!/bin/sh\nexec '${command}' "$@"\n`);
	chmodSync(file, 0o755);
	return { version, command: file };
}

export type Started = { pid: number; program: string; argv: string[]; env: Record<string, string> };

/** The real programs that run for this test, as the system sees them (Linux). */
export function findPrograms(): Started[] {
	return findProcesses().flatMap((pid) => {
		try {
			const program = readlinkSync(`/proc/${pid}/exe`);
			if (path.basename(program) !== 'codex') return [];
			const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8').split('\0').slice(0, -1);
			const env = read('environ').map((row) => {
				const at = row.indexOf('=');
				return [row.slice(0, at), row.slice(at + 1)];
			});
			return { pid, program, argv: read('cmdline'), env: Object.fromEntries(env) };
		} catch {
			return [];
		}
	});
}

type Wire = Record<string, unknown>;

/** What Codex says to who asks in the plainest way: a launcher, three messages, and the lines that come back. */
export async function converse(
	{ command }: Release,
	codexHome: string,
	includeHidden: boolean,
): Promise<Wire[]> {
	const child = spawn(command, appServer, {
		env: { ...process.env, CODEX_HOME: codexHome },
		stdio: ['pipe', 'pipe', 'ignore'],
		detached: true,
	});
	const exited = new Promise((resolve) => child.once('exit', resolve));
	const say = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
	const clientInfo = { name: 'bare', version: '1.0.0' };
	say({ id: 'hello', method: 'initialize', params: { clientInfo, capabilities: null } });
	try {
		let text = '';
		for await (const chunk of child.stdout.setEncoding('utf8')) {
			text += chunk;
			const lines = text.split('\n');
			text = lines.pop() ?? '';
			for (const message of lines.map((line) => JSON.parse(line))) {
				if (message.id === 'hello') {
					say({ method: 'initialized' });
					say({ id: 'list', method: 'model/list', params: { includeHidden } });
				}
				if (message.id === 'list') return message.result.data;
			}
		}
		throw new Error('The bare conversation broke off');
	} finally {
		child.stdin.end();
		child.stdout.destroy();
		await exited;
	}
}

const orNull = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);

/** What the library should make of a wire entry, as the README has it; not the way in which the library does it. */
export function expectModel(wire: Wire): CodexModel {
	const efforts = (wire.supportedReasoningEfforts ?? []) as {
		reasoningEffort: string;
		description: string;
	}[];
	const tiers = (wire.serviceTiers ?? []) as { id: string; name: string; description: string }[];
	return {
		id: wire.id as string,
		model: wire.model as string,
		displayName: wire.displayName as string,
		description: orNull(wire.description),
		hidden: wire.hidden === true,
		isDefault: wire.isDefault as boolean,
		upgrade: orNull(wire.upgrade),
		supportedReasoningEfforts: efforts.map(({ reasoningEffort, description }) => ({
			effort: reasoningEffort,
			description: orNull(description),
		})),
		defaultReasoningEffort: orNull(wire.defaultReasoningEffort),
		serviceTiers: tiers.map(({ id, name, description }) => ({ id, name, description })),
		defaultServiceTier: orNull(wire.defaultServiceTier),
		inputModalities: (wire.inputModalities ?? []) as string[],
	};
}
