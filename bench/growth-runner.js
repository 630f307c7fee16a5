// A process of `growth.js`: it asks once when it is told to. Usage: fork, with the facts as JSON.
import path from 'node:path';
import { CodexModelCatalog } from '../dist/index.js';
import { fileStore } from '../dist/store/file-store.js';

const { command, directory } = JSON.parse(process.argv[2]);
const store = fileStore({ directory: path.join(directory, 'store') });
const catalog = new CodexModelCatalog({
	command,
	codexHome: directory,
	store,
	deadlineMs: 120_000,
});

process.once('message', async () => {
	await catalog.list();
	process.send('listed');
	await catalog.close();
	process.disconnect();
});
process.send('ready');
