// Installs the runtimes that `npm run test:runtimes` needs, and prints where they are: [{ name, file }].
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasPackage, installAll } from './install-package.js';

const cache = fileURLToPath(new URL('../.cache/runtimes', import.meta.url));
const { platform, arch } = process;
const suffix = platform === 'win32' ? '.exe' : '';

// The packages that hold the binaries, for those in front of them (`node`, `bun`) need their install scripts.
const nodePackage = `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
const bunArch = { x64: 'x64-baseline', arm64: 'aarch64' }[arch];
const bunPackage = `@oven/bun-${platform === 'win32' ? 'windows' : platform}-${bunArch}`;

const runtimes = [
	...['20', '22', '24', '26'].map((version) => ({
		name: `node-${version}`,
		version,
		from: nodePackage,
	})),
	// The oldest Bun that is supported, and the newest.
	{ name: 'bun-1.3.14', version: '1.3.14', from: bunPackage },
	{ name: 'bun', version: '1', from: bunPackage },
];

await installAll(
	runtimes.map(({ name, version, from }) => ({
		folder: path.join(cache, name),
		spec: `${from}@${version}`,
		isComplete: (folder) => hasPackage(folder, from, version),
	})),
);

console.log(
	JSON.stringify(
		runtimes.map(({ name, from }) => ({
			name,
			file: path.join(cache, name, 'node_modules', from, 'bin', `${name.split('-')[0]}${suffix}`),
		})),
	),
);
