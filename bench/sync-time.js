// Counts the time of synchronous file and process calls; imported before anything that is to be measured.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import Module, { syncBuiltinESMExports } from 'node:module';

let depth = 0;
let spentMs = 0;
let calls = [];

function measure(owner, name, label = name) {
	const original = owner[name];
	const wrapped = function (...args) {
		if (depth > 0) return original.apply(this, args);
		depth++;
		const startedAt = performance.now();
		try {
			return original.apply(this, args);
		} finally {
			const tookMs = performance.now() - startedAt;
			depth--;
			if (label === 'spawn') spawnMs += tookMs;
			else {
				spentMs += tookMs;
				calls.push(label);
			}
		}
	};
	owner[name] = Object.assign(wrapped, original);
}

let spawnMs = 0;
for (const owner of [fs, childProcess]) {
	for (const name of Object.keys(owner)) {
		if (name.endsWith('Sync') && typeof owner[name] === 'function') measure(owner, name);
	}
}
// `require.resolve` looks at files without `fs`.
measure(Module, '_resolveFilename', 'require.resolve');
// Not synchronous, but its part in this thread is what a process cannot be had without.
measure(childProcess, 'spawn');
syncBuiltinESMExports();

/** What there was since the last call. */
export function takeSyncTime() {
	const result = { spentMs, spawnMs, calls };
	spentMs = 0;
	spawnMs = 0;
	calls = [];
	return result;
}
