// A host that writes to a file store, again and again, until it is killed.
//
//   node writer.js DIRECTORY KEY LETTER LENGTH
//
// The values are { letter, text }, with LENGTH times the LETTER for a text. Each write is one line on its output.

import { fileStore } from '../../dist/store/file-store.js';

const [directory, key, letter, length] = process.argv.slice(2);
const store = fileStore({ directory });
for (;;) {
	await store.set(key, { letter, text: letter.repeat(Number(length)) });
	process.stdout.write('written\n');
}
