import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { findHome } from './home.js';
import { type ListPlace, type ResolvedOptions, readVariable } from './options.js';

/** What a list was made from, as far as files tell. Hashes: neither can be read back. */
export type Origin = {
	/** Whose list it is. */
	account: string;
	/** Which `config.toml`, and which command, it came from. */
	configuration: string;
};

/** Files are looked at no more often than this, in milliseconds, so that a hit stays as cheap as it is. */
const checkEveryMs = 1_000;

/** Loaded when it is needed: `node:crypto` is a sixth of what an import of this package takes. */
const hash = async (...parts: unknown[]) => (await import('./hash.js')).hash(...parts);

/** Something worked out from a file; again only when the file's stat has changed. */
class FileMemo {
	readonly #file: string;
	readonly #workOut: (text: string) => Promise<string>;
	#stat: string | undefined;
	#result = 'none';

	constructor(file: string, workOut: (text: string) => Promise<string>) {
		this.#file = file;
		this.#workOut = workOut;
	}

	async read(): Promise<string> {
		const seen = await describeFile(this.#file);
		if (seen !== this.#stat) {
			this.#result =
				seen === 'none' ? 'none' : await readFile(this.#file, 'utf8').then(this.#workOut, () => 'none');
			this.#stat = seen;
		}
		return this.#result;
	}
}

async function describeFile(file: string): Promise<string> {
	return stat(file).then(
		({ ino, size, mtimeMs, ctimeMs }) => `${ino} ${size} ${mtimeMs} ${ctimeMs}`,
		() => 'none',
	);
}

/**
 * Whose login an `auth.json` is: how, with which account id and which key, and nothing of a token that rotates. Without
 * the file (a login in the keyring, or none) there is nothing to tell accounts apart by.
 */
async function identifyAccount(text: string): Promise<string> {
	try {
		const { auth_mode: mode, OPENAI_API_KEY: key, tokens } = JSON.parse(text);
		const account = tokens?.account_id ?? readClaim(tokens?.id_token);
		return await hash('account', mode ?? null, key ?? null, account ?? null);
	} catch {
		// Codex itself takes a spoilt file for no login (0.169.0).
		return 'none';
	}
}

/** The account id in the claims of an id token; older releases do not write it beside the tokens. */
function readClaim(idToken: unknown): unknown {
	if (typeof idToken !== 'string') return undefined;
	try {
		const claims = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString('utf8'));
		return claims['https://api.openai.com/auth']?.chatgpt_account_id;
	} catch {
		return undefined;
	}
}

/** Watches what the lists of one place depend on, when asked to. */
export class OriginWatch {
	readonly #options: ResolvedOptions;
	readonly #auth: FileMemo;
	readonly #config: FileMemo;
	#origin: Origin = { account: 'none', configuration: 'none' };
	#checkedAt = Number.NEGATIVE_INFINITY;
	#check: Promise<Origin> | undefined;

	constructor(options: ResolvedOptions, { codexHome }: ListPlace) {
		this.#options = options;
		const home = codexHome ?? path.join(readVariable(options.env, 'HOME') ?? findHome(), '.codex');
		this.#auth = new FileMemo(path.join(home, 'auth.json'), identifyAccount);
		this.#config = new FileMemo(path.join(home, 'config.toml'), (text) => hash('config', text));
	}

	/** What the files said last; to be `read` before it is first asked for. */
	get origin(): Origin {
		return this.#origin;
	}

	/** Whether that was so long ago that they may say something else by now, in epoch ms. */
	isDue(now: number): boolean {
		const sinceMs = now - this.#checkedAt;
		return !(sinceMs >= 0 && sinceMs < checkEveryMs);
	}

	/** What the files say; all who ask at once share one look. */
	read(): Promise<Origin> {
		this.#check ??= this.#look().finally(() => {
			this.#check = undefined;
		});
		return this.#check;
	}

	async #look(): Promise<Origin> {
		const startedAt = Date.now();
		const [account, config, command] = await Promise.all([
			this.#auth.read(),
			this.#config.read(),
			describeCommand(this.#options),
		]);
		this.#origin = { account, configuration: await hash('configuration', config, command) };
		this.#checkedAt = startedAt;
		return this.#origin;
	}
}

/** Another target, size or time: another release, most likely. */
async function describeCommand({ command, env }: ResolvedOptions): Promise<string> {
	try {
		const { findFile } = await import('./program.js');
		const target = await findFile(command, { PATH: readVariable(env, 'PATH') });
		const { size, mtimeMs } = await stat(target);
		return `${target} ${size} ${mtimeMs}`;
	} catch {
		return 'none';
	}
}
