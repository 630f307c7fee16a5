import path from 'node:path';
import { parse } from 'smol-toml';
import type { FetchTarget, Fingerprint } from '../api/fetch.js';
import type { CommandSource, Settings } from '../api/settings.js';
import { buildEnvironment, findCodexUserHome, resolvePath } from '../system/environment.js';
import { describeFile, readRegularFile } from '../system/files.js';
import { findExecutable } from '../system/find-executable.js';
import { hash } from '../system/hash.js';

/** The largest `auth.json` or `config.toml` that is read, in bytes; real ones have some thousand. */
const maxFileBytes = 1024 * 1024;

/** The text of a file that cannot be read: the file counts as one of its own in each of its versions. */
const unreadable = 'unreadable ';

/** Reads the files that tell lists apart: the login, the configuration and the command. Never rejects. */
export async function readFingerprint(
	target: FetchTarget,
	{ env }: Settings,
	command: CommandSource,
): Promise<Fingerprint> {
	const environment = buildEnvironment(env, undefined);
	const userHome = findCodexUserHome(environment);
	// Codex takes a relative CODEX_HOME from its own working directory.
	const home = resolvePath(target.cwd, target.codexHome ?? path.join(userHome, '.codex'));
	// One file at a time, because each look at a dead network mount occupies a thread of libuv.
	const account = identifyAccount(await readText(path.join(home, 'auth.json')));
	const config = await readText(path.join(home, 'config.toml'));
	const modelCatalog = findModelCatalog(config, home, userHome);
	const configuration = hash(
		'configuration',
		config,
		modelCatalog && (await describeFile(modelCatalog)),
	);
	return { account, configuration, command: await describeCommand(command.latest, environment) };
}

/** The text of a regular file; an empty one where there is none. */
async function readText(file: string): Promise<string> {
	try {
		return (await readRegularFile(file, maxFileBytes)) ?? '';
	} catch {
		const description = await describeFile(file);
		return description === 'none' ? '' : unreadable + description;
	}
}

/** Another file, size or time of the command means another release, most likely. */
async function describeCommand(
	command: string | undefined,
	environment: NodeJS.ProcessEnv,
): Promise<string | null> {
	if (command === undefined) return null;
	try {
		const file = await findExecutable(command, environment);
		return hash('command', file, await describeFile(file));
	} catch {
		return 'none';
	}
}

/** The members of `auth.json` that tell logins apart and do not rotate (0.169.0). */
const loginMembers = [
	'auth_mode',
	'OPENAI_API_KEY',
	'personal_access_token',
	'agent_identity',
	'bedrock_api_key',
];

/**
 * The login of an `auth.json`: its kind, its keys and its account, but no token that rotates. Without the file (a login in the
 * keyring, or none) nothing tells accounts apart.
 */
function identifyAccount(text: string): string {
	try {
		const login = JSON.parse(text);
		const account = login.tokens?.account_id ?? readAccountClaim(login.tokens?.id_token);
		return hash('account', account ?? null, ...loginMembers.map((name) => login[name] ?? null));
	} catch {
		// Codex itself takes a corrupt file for no login (0.169.0).
		return text.startsWith(unreadable) ? hash(text) : 'none';
	}
}

/** The account in the claims of an id token; older releases do not write it beside the tokens. */
function readAccountClaim(idToken: unknown): unknown {
	try {
		const claims = JSON.parse(
			Buffer.from(String(idToken).split('.')[1] ?? '', 'base64url').toString('utf8'),
		);
		return claims['https://api.openai.com/auth']?.chatgpt_account_id ?? claims.sub ?? claims.email;
	} catch {
		return undefined;
	}
}

/** The file that replaces Codex's own list of models (from 0.105.0 on); Codex resolves a path as this does (to 0.169.0). */
function findModelCatalog(config: string, home: string, userHome: string): string | undefined {
	// Most configurations name none, and need no parser.
	if (!config.includes('model_catalog_json')) return undefined;
	try {
		const { profile, profiles, ...base } = parse(config) as Record<
			string,
			Record<string, Record<string, unknown>>
		>;
		const file = profiles?.[String(profile)]?.model_catalog_json ?? base.model_catalog_json;
		if (typeof file !== 'string' || file === '') return undefined;
		return file.startsWith('~/') ? path.join(userHome, file.slice(2)) : path.resolve(home, file);
	} catch {
		// Codex uses its defaults where the file cannot be parsed.
		return undefined;
	}
}
