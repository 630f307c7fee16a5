// A host that does what it is told: a process of its own, with the built package.
//
//   node lister.js '{ "options": { … }, "directory": "…" }'
//
// It has a catalog with the `options`; behind it is the file store of the `directory`. On its input come calls, a JSON line
// each: [METHOD, ARGUMENT] of the catalog. On its output go, a JSON line each:
//
//   { what: 'ready' }                          at the start
//   { what: 'event', event }                   as they happen
//   { what: 'result', call, value }            of the nth call (from 0)
//   { what: 'failure', call, code, message }
//
// It has nothing else to live for: when its input ends, so may it.

import { createInterface } from 'node:readline';
import { CodexModelCatalog } from '../../dist/index.js';
import { fileStore } from '../../dist/store/file-store.js';

const { options, directory } = JSON.parse(process.argv[2]);

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const catalog = new CodexModelCatalog({
	deadlineMs: 60_000,
	...options,
	store: directory === undefined ? undefined : fileStore({ directory }),
	onEvent: (event) => say({ what: 'event', event }),
});

async function run(call, [method, argument]) {
	try {
		const value = await catalog[method](argument);
		say({ what: 'result', call, value });
	} catch (error) {
		say({ what: 'failure', call, code: error.code, message: error.message });
	}
}

let calls = 0;
createInterface({ input: process.stdin }).on('line', (line) => run(calls++, JSON.parse(line)));
say({ what: 'ready' });
