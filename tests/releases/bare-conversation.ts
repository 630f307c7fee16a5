import { spawn } from 'node:child_process';
import type { CodexModel } from '../../src/api/codex-model.js';
import { appServer, type Release } from './release-harness.js';

export type WireModel = Record<string, unknown>;

/** The entries that Codex lists in the plainest conversation: a launcher, three messages, and the lines that come back. */
export async function converse(
	{ command }: Release,
	codexHome: string,
	includeHidden: boolean,
): Promise<WireModel[]> {
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

/** The model that the documents promise for a wire entry, made without the library. */
export function expectModel(wire: WireModel): CodexModel {
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

/**
 * The paths of the properties in wire entries that `parse` does not look at, sorted. Proxies record each look, so that no
 * list of known fields has to be kept.
 */
export function findUnreadFields(
	entries: WireModel[],
	parse: (entries: unknown[]) => unknown,
): string[] {
	const present = new Set<string>();
	const read = new Set<string>();
	const watch = (value: unknown, at: string): unknown => {
		if (Array.isArray(value)) return value.map((item) => watch(item, at));
		if (typeof value !== 'object' || value === null) return value;
		for (const key of Object.keys(value)) present.add(`${at}${key}`);
		return new Proxy(value, {
			get(target, key) {
				read.add(`${at}${String(key)}`);
				return watch(Reflect.get(target, key), `${at}${String(key)}.`);
			},
		});
	};
	parse(watch(entries, '') as unknown[]);
	return [...present].filter((field) => !read.has(field)).sort();
}
