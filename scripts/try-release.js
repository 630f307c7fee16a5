// `npm run try-release -- VERSION`: installs a release of Codex and runs the release suite on it alone, which writes its row in
// docs/compatibility.md. `--times` also replaces a time that the page knows already.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const usage =
	'Usage: npm run try-release -- VERSION [--times], for example: npm run try-release -- 0.150.0';

function readArguments() {
	try {
		const { values, positionals } = parseArgs({
			allowPositionals: true,
			options: { times: { type: 'boolean' } },
		});
		const [version = '', ...others] = positionals;
		// npm takes a tag, a range, a path or a URL as well: none of them names one release.
		if (others.length === 0 && /^\d+\.\d+\.\d+(-[\dA-Za-z.-]+)?$/.test(version))
			return { version, ...values };
		console.error(`"${positionals.join(' ')}" is no version of Codex. ${usage}`);
	} catch (error) {
		console.error(`${error.message}. ${usage}`);
	}
	process.exit(2);
}

const { version, times } = readArguments();
const root = fileURLToPath(new URL('..', import.meta.url));
const env = {
	...process.env,
	CODEX_MODELS_RELEASE: version,
	CODEX_MODELS_REWRITE_TIMES: times ? '1' : '',
};

const runNode = (args, stdio) =>
	spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', stdio });

console.error(`Installing Codex ${version} …`);
const installation = runNode(['scripts/install-releases.js'], ['ignore', 'ignore', 'pipe']);
if (installation.status !== 0) {
	const isUnknown = /\b(?:ETARGET|E404)\b/.test(installation.stderr);
	console.error(isUnknown ? `There is no Codex ${version} on npm.` : installation.stderr);
	process.exit(1);
}
const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
const vitest = path.join(path.dirname(manifest), 'vitest.mjs');
const { status } = runNode(
	[vitest, 'run', '--project', 'releases', '--reporter=verbose'],
	'inherit',
);
process.exitCode = status ?? 1;
