// A `codex app-server` for Windows, small enough to start behind cmd.exe and Wine without surprises.
//
//   node app-server.js BEHAVIOUR LOG [ANYTHING...]
//
//   answers   lists one model and exits at the end of its input
//   deaf      lists one model and ignores the end of its input
//   fails     writes a reason to stderr and exits with the code of a missing DLL
//
// LOG gets one JSON line for each start: the program, the arguments and the PATH.
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [behaviour, log, ...rest] = process.argv.slice(2);
const { PATH: path } = process.env;
const start = { program: process.execPath, behaviour, rest, path };
appendFileSync(log, `${JSON.stringify(start)}\n`);

if (behaviour === 'fails') {
	process.stderr.write('error: the database is locked\n');
	process.exit(0xc0000135);
}
if (behaviour === 'deaf') setInterval(() => {}, 60_000);

const results = {
	initialize: { userAgent: 'windows/0.0.0' },
	'model/list': { data: [{ id: 'gpt-windows', model: 'gpt-windows' }], nextCursor: null },
	'config/read': { config: {}, origins: {} },
};

createInterface({ input: process.stdin }).on('line', (line) => {
	if (line.trim() === '') return;
	const { id, method } = JSON.parse(line);
	if (id === undefined) return;
	const answer = results[method]
		? { id, result: results[method] }
		: { id, error: { code: -32601, message: 'Method not found' } };
	process.stdout.write(`${JSON.stringify(answer)}\n`);
});
