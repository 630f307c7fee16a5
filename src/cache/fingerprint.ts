import { realpath } from 'node:fs/promises';
import path from 'node:path';
import QuickLRU from 'quick-lru';
import { parse } from 'smol-toml';
import { buildEnvironment, findCodexUserHome } from '../core/environment.js';
import type { FetchTarget, Fingerprint } from '../core/fetch.js';
import { describeFile, readRegularFile } from '../core/files.js';
import { findExecutable } from '../core/find-executable.js';
import { hash } from '../core/hash.js';
import type { CommandSource, Settings } from '../core/settings.js';

/** The largest `auth.json` or `config.toml` that is read, in bytes; real ones have some thousand. */
const maxFileBytes = 1024 * 1024;

/** A value that is derived from a file, and derived again when the file has changed. */
class CachedFile<T> {
	readonly #file: string;
	readonly #derive: (text: string) => T;
	#description: string | undefined;
	#value: T;

	constructor(file: string, derive: (text: string) => T) {
		this.#file = file;
		this.#derive = derive;
		this.#value = derive('');
	}

	async read(): Promise<T> {
		const description = await describeFile(this.#file);
		if (description !== this.#description) {
			// A file that cannot be read counts as one of its own for each of its versions.
			const text =
				description === 'none' ? '' : await readRegularFile(this.#file, maxFileBytes).catch(() => `unreadable ${description}`);
			this.#value = this.#derive(text ?? '');
			this.#description = description;
		}
		return this.#value;
	}
}

type Configuration = { hash: string; modelCatalogFile: string | undefined };

type CodexHome = { auth: CachedFile<string>; configuration: CachedFile<Configuration> };

/** Reads the files that tell lists apart: the login, the configuration and the command. */
export class FingerprintReader {
	readonly #settings: Settings;
	readonly #command: CommandSource;
	readonly #homes: QuickLRU<string, CodexHome>;

	constructor(settings: Settings, command: CommandSource) {
		this.#settings = settings;
		this.#command = command;
		this.#homes = new QuickLRU({ maxSize: settings.maxEntries });
	}

	/** Never rejects. One file at a time, because each look at a dead network mount occupies a thread of libuv. */
	async read({ codexHome }: FetchTarget): Promise<Fingerprint> {
		const home = codexHome ?? path.join(findCodexUserHome(this.#settings.env), '.codex');
		const { auth, configuration } = this.#openHome(path.resolve(home));
		const account = await auth.read();
		const { hash: text, modelCatalogFile } = await configuration.read();
		const catalogue = modelCatalogFile === undefined ? 'none' : await describeFile(modelCatalogFile);
		const command = await this.#describeCommand();
		return { account, configuration: hash('configuration', text, catalogue), command };
	}

	#openHome(home: string): CodexHome {
		const known = this.#homes.get(home);
		if (known) return known;
		const opened = {
			auth: new CachedFile(path.join(home, 'auth.json'), identifyAccount),
			configuration: new CachedFile(path.join(home, 'config.toml'), (text) => ({
				hash: hash('config', text),
				modelCatalogFile: findModelCatalog(text, home, findCodexUserHome(this.#settings.env)),
			})),
		};
		this.#homes.set(home, opened);
		return opened;
	}

	/** Another file, size or time of the command means another release, most likely. */
	async #describeCommand(): Promise<string | null> {
		const command = this.#command.latest;
		if (command === undefined) return null;
		try {
			const file = await realpath(await findExecutable(command, buildEnvironment(this.#settings.env, undefined)));
			return hash('command', file, await describeFile(file));
		} catch {
			return 'none';
		}
	}
}

/**
 * The login of an `auth.json`: its kind, its account id and its key, but no token that rotates. Without the file (a login
 * in the keyring, or none) nothing tells accounts apart.
 */
function identifyAccount(text: string): string {
	try {
		const { auth_mode: mode, OPENAI_API_KEY: key, tokens } = JSON.parse(text);
		const account = tokens?.account_id ?? readAccountClaim(tokens?.id_token);
		return hash('account', mode ?? null, key ?? null, account ?? null);
	} catch {
		// Codex itself takes a corrupt file for no login (0.169.0).
		return text.startsWith('unreadable ') ? hash(text) : 'none';
	}
}

/** The account id in the claims of an id token; older releases do not write it beside the tokens. */
function readAccountClaim(idToken: unknown): unknown {
	if (typeof idToken !== 'string') return undefined;
	const claims = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString('utf8'));
	return claims['https://api.openai.com/auth']?.chatgpt_account_id;
}

/** The file that replaces Codex's own list of models (from 0.105.0 on); Codex resolves a path as this does (to 0.169.0). */
function findModelCatalog(text: string, home: string, userHome: string): string | undefined {
	try {
		const file = parse(text).model_catalog_json;
		if (typeof file !== 'string' || file === '') return undefined;
		return file.startsWith('~/') ? path.join(userHome, file.slice(2)) : path.resolve(home, file);
	} catch {
		// Codex uses its defaults where the file cannot be parsed.
		return undefined;
	}
}
