import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { makeDirectory } from '../harness.js';
import { root } from './consumer.js';

const run = promisify(execFile);

const source = `
	import { CodexModelCatalog } from 'codex-models';
	import { modelEntry, scriptedCodex } from 'codex-models/testing';
	const codex = await scriptedCodex({ models: [modelEntry({ id: 'a' })] });
	const catalog = new CodexModelCatalog({ ...codex.options });
	const ids = (await catalog.list()).map(({ id }) => id);
	await catalog.close();
	await codex.close();
	console.log(JSON.stringify({ ids, starts: codex.starts }));
`;

test.each(['bun-1.3.14', 'bun'])('an executable of %s is its own scripted Codex', async (name) => {
	const bun = inject('runtimes').find((runtime) => runtime.name === name)?.file as string;
	// Below the package, so that its own name leads to it.
	const entry = path.join(root, '.cache', `scripted-codex-${name}.ts`);
	writeFileSync(entry, source);
	const outfile = path.join(makeDirectory(), 'program');
	await run(bun, ['build', '--compile', '--minify', entry, '--outfile', outfile], { cwd: root });
	const { stdout } = await run(outfile, { cwd: path.dirname(outfile) });
	expect(JSON.parse(stdout)).toEqual({ ids: ['a'], starts: 1 });
});
