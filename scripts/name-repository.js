// Names the repository in the package that is about to be published: `node scripts/name-repository.js https://HOST/OWNER/NAME`.
// A registry's page has no files beside the README, so the links of the README become addresses there.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const [address] = process.argv.slice(2);
const { protocol, pathname } = new URL(address);
const [, owner, name, ...others] = pathname.split('/');
if (protocol !== 'https:' || !owner || !name || others.length > 0)
	throw new Error(`${address} is no address of a repository, such as https://HOST/OWNER/NAME`);

const json = JSON.parse(readFileSync('package.json', 'utf8'));
json.author = owner;
json.repository = { type: 'git', url: `git+${address}.git` };
json.bugs = { url: `${address}/issues` };
json.homepage = `${address}#readme`;
writeFileSync('package.json', `${JSON.stringify(json, null, '\t')}\n`);

const toAddress = (start, file) => {
	if (!existsSync(file.replace(/#.*/, '')))
		throw new Error(`README.md links to ${file}, which is not there`);
	const view = start.startsWith('!') ? 'raw' : 'blob';
	return `${start}(${address}/${view}/v${json.version}/${file})`;
};
const readme = readFileSync('README.md', 'utf8');
writeFileSync(
	'README.md',
	readme.replaceAll(/(!?\[[^\]]*\])\((?![a-z]+:|#)([^)]+)\)/g, (_link, start, file) =>
		toAddress(start, file),
	),
);
