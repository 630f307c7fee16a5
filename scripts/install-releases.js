// Installs the releases of Codex that `npm run test:releases` needs, and prints where they are: [{ version, command }].
// With CODEX_MODELS_RELEASE=VERSION it installs that release alone.
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasPackage, installAll } from './install-package.js';

/** The oldest, the last one before the new layout of the npm package, that of the incident, and one that races in a new home. */
const olderVersions = ['0.66.0', '0.115.0', '0.136.0', '0.160.0'];

/** The release that is a development dependency. */
const newest = createRequire(import.meta.url)('@openai/codex/package.json').version;

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, '.cache', 'releases');
const isThere = (file) =>
	access(file).then(
		() => true,
		() => false,
	);

/** Up to 0.98.0 or so one package holds the programs for all platforms. */
async function isComplete(folder, version) {
	const scope = path.join(folder, 'node_modules', '@openai');
	const target = `${process.platform}-${process.arch}`;
	return (
		(await hasPackage(folder, '@openai/codex', version)) &&
		((await isThere(path.join(scope, 'codex', 'vendor'))) ||
			(await isThere(path.join(scope, `codex-${target}`, 'vendor'))))
	);
}

const toFolder = (version) => (version === newest ? root : path.join(cache, version));

const versions = process.env.CODEX_MODELS_RELEASE
	? [process.env.CODEX_MODELS_RELEASE]
	: [...olderVersions, newest];

await installAll(
	versions
		.filter((version) => version !== newest)
		.map((version) => ({
			folder: toFolder(version),
			spec: `@openai/codex@${version}`,
			isComplete: (folder) => isComplete(folder, version),
		})),
);

console.log(
	JSON.stringify(
		versions.map((version) => ({
			version,
			command: path.join(toFolder(version), 'node_modules', '.bin', 'codex'),
		})),
	),
);
