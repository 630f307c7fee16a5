import fs from 'node:fs';
import { tmpdir } from 'node:os';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CodexModel } from '../api/codex-model.js';
import {
	aBoolean,
	anObject,
	check,
	duration,
	isString,
	type Rule,
	rule,
} from '../api/option-rules.js';
import { appServer } from './app-server.js';

type ModelEntry = CodexModel & Record<string, unknown>;

/** An entry of `model/list` as Codex 0.171.0 sends it, with these properties; one that is `undefined` is not sent. */
export function modelEntry({
	id = 'gpt-6.2-sol',
	...others
}: Partial<ModelEntry> = {}): ModelEntry {
	return {
		id,
		model: id,
		upgrade: null,
		upgradeInfo: null,
		availabilityNux: null,
		displayName: id,
		description: 'Fast, go-to model for coding and everyday work.',
		modelSpecialty: null,
		hidden: false,
		supportedReasoningEfforts: [{ reasoningEffort: 'low', description: 'Fast responses' }],
		defaultReasoningEffort: 'low',
		inputModalities: ['text', 'image'],
		supportsPersonality: false,
		multiAgentVersion: 'v2',
		additionalSpeedTiers: ['fast'],
		serviceTiers: [{ id: 'priority', name: 'Fast', description: '2x speed, increased usage' }],
		defaultServiceTier: null,
		availableAccessPrograms: null,
		isDefault: false,
		...others,
	};
}

/** The deeds of a scripted Codex that is asked for its models. */
export type CodexScript = {
	/** The entries of the list, hidden ones included. @default [] */
	models?: readonly unknown[];
	/** The user's configuration, as `config/read` tells it: `{ model: 'a', model_reasoning_effort: 'high' }`. @default {} */
	config?: Record<string, unknown>;
	/** The wait before the list, the error or the exit. @default 0 */
	delayMs?: number;
	/** Whether it never answers `model/list`. @default false */
	hangs?: boolean;
	/** The code of an exit in place of the list. */
	exitCode?: number;
	/** Written to stderr before all that. */
	stderr?: string;
	/** The JSON-RPC error in place of the list. */
	error?: { code: number; message: string };
};

const rules: Record<keyof CodexScript, Rule> = {
	models: rule('an array', Array.isArray),
	config: anObject,
	delayMs: duration,
	hangs: aBoolean,
	exitCode: rule('a whole number', Number.isInteger),
	stderr: rule('a string', isString),
	error: anObject,
};

const toProgram = (script: CodexScript) =>
	`const script = ${JSON.stringify(check(script, rules))};${appServer}`;

export type ScriptedCodex = Awaited<ReturnType<typeof scriptedCodex>>;

/**
 * A program to start in place of Codex, in a new folder.
 *
 * @example
 * await using codex = await scriptedCodex({ models: [modelEntry({ id: 'a' })] });
 * const catalog = new CodexModelCatalog({ ...codex.options });
 * @throws TypeError that names a wrong property.
 */
export async function scriptedCodex(script: CodexScript = {}) {
	const source = toProgram(script);
	const codexHome = fs.mkdtempSync(`${tmpdir()}/scripted-codex-`);
	const program = `${codexHome}/app-server.mjs`;
	const starts = `${codexHome}/starts`;
	fs.writeFileSync(program, source);

	let pids: string[] = [];
	function readPids() {
		if (fs.existsSync(starts)) pids = fs.readFileSync(starts, 'utf8').match(/\d+/g) ?? [];
		return pids;
	}
	async function close() {
		readPids();
		fs.rmSync(codexHome, { recursive: true, force: true, maxRetries: 10 });
		for (const pid of pids) {
			try {
				// No signal to the process, and a limit, because its number may belong to another one by now.
				for (let turn = 0; turn < 100 && process.kill(Number(pid), 0); turn++) await sleep(20);
			} catch {}
		}
	}
	return {
		/** For `new CodexModelCatalog({ ...codex.options })`. `codexHome` has no login and no configuration. */
		options: {
			command: process.execPath,
			args: [program, starts],
			// A loader of the host is not there for the program; an executable of `bun build --compile` is Bun with the variable.
			env: { NODE_OPTIONS: undefined, BUN_BE_BUN: '1' },
			codexHome,
		},
		/** How many were started, each from its first line of code on. */
		get starts() {
			return readPids().length;
		},
		/** Replaces the script for later starts. @throws TypeError that names a wrong property. */
		async script(next: CodexScript) {
			fs.writeFileSync(program, toProgram(next));
		},
		/** Ends all that were started, and removes the folder. The same as `await using`. */
		close,
		[Symbol.asyncDispose]: close,
	};
}
