/**
 * The program in place of Codex, less its `script`, which comes before it. As text it passes through bundlers, minifiers and
 * compilers unchanged. It ends with its input, and when its folder is gone: a host may not have closed its catalog.
 */
export const appServer = String.raw`
import fs from 'node:fs';
import { createInterface } from 'node:readline';

const starts = process.argv[2];
fs.appendFileSync(starts, process.pid + '\n');
setInterval(() => fs.existsSync(starts) || process.exit(), 50);
process.stdin.on('end', () => process.exit());

const { models = [], config, error, stderr = '' } = script;
const answers = {
	initialize: { result: { userAgent: 'scripted/0.171.0' } },
	'config/read': { result: { config } },
	'model/list': error ? { error } : { result: { data: models } },
};
for await (const line of createInterface(process.stdin)) {
	const { id, method } = JSON.parse(line);
	if (method === 'model/list') {
		fs.writeSync(2, stderr);
		await new Promise((resolve) => script.hangs || setTimeout(resolve, script.delayMs));
		if ('exitCode' in script) process.exit(script.exitCode);
	}
	const answer = answers[method] ?? { error: { code: -32601, message: 'Method not found' } };
	if (id !== undefined) console.log(JSON.stringify({ id, ...answer }));
}
`;
